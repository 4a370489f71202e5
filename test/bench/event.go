// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"github.com/google/uuid"
)

// secret signs deliveries to receivers with HMAC.
const secret = "0123456789abcdef0123456789abcdef"

// delivery is a signed body.
type delivery struct {
	body      []byte
	signature string
	// tasks are the ids of those that it announces.
	tasks []string
}

// signer signs bodies.
type signer func(body []byte) (string, error)

func signHMAC(body []byte) (string, error) {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil)), nil
}

func signRSA(key *rsa.PrivateKey) signer {
	return func(body []byte) (string, error) {
		digest := sha256.Sum256(body)
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
		return base64.StdEncoding.EncodeToString(signature), err
	}
}

// newDeliveries makes deliveries of batch new tasks each, that announce at least n in all. Each task is about somebody else.
func newDeliveries(n, batch int, app string, sign signer) ([]delivery, error) {
	all := make([]delivery, 0, (n+batch-1)/batch)
	for range cap(all) {
		var body bytes.Buffer
		tasks := make([]string, batch)
		body.WriteByte('[')
		for i := range batch {
			if i > 0 {
				body.WriteByte(',')
			}
			tasks[i] = writeEvent(&body, app)
		}
		body.WriteByte(']')
		signature, err := sign(body.Bytes())
		if err != nil {
			return nil, err
		}
		all = append(all, delivery{body: body.Bytes(), signature: signature, tasks: tasks})
	}
	return all, nil
}

// writeEvent writes an event as large as Cakewalk's are: one reviewer, one assignee, every field there. It returns the id
// of the task.
func writeEvent(w *bytes.Buffer, app string) (task string) {
	task = uuid.NewString()
	user := uuid.NewString()
	_, _ = fmt.Fprintf(w, `{"eventType":"action_task.actionable","data":{"taskId":%q,`+
		`"assignedTo":[{"id":"c1b264ce-29bf-47f3-973a-e0f0187e430f","email":"superadmin@example.com","fullName":"superadmin"}],`+
		`"requestMetadata":{"reviewedBy":[{"id":"c1b264ce-29bf-47f3-973a-e0f0187e430f","email":"superadmin@example.com","fullName":"superadmin"}],`+
		`"requestType":"GrantAccessRequest","requestedBy":{"id":"1934ea57-962f-41de-bf2c-ba2c288e7f68","email":"admin@example.com","fullName":"admin"},`+
		`"targetWorkApp":{"id":"b95160f2-1eec-4cf0-8f49-bb4f29936f5d","name":%q},`+
		`"permissionLevel":{"id":"5f7f2f0e-6a5f-4d7e-8f65-6b0a1f0f9d10","name":"Editor"},`+
		`"targetUser":{"id":%q,"email":"%s@example.com","fullName":"Somebody"},"triggeredByUsersGroup":null}}}`, task, app, user, user)
	return task
}
