// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// auditPolicy has the API server write down what service accounts ask for.
const auditPolicy = `{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [
	{"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}]}`

// Asked is a request of a service account to the API server, about a resource.
type Asked struct {
	// Namespace and ServiceAccount say who asked.
	Namespace, ServiceAccount string
	// Verb, Group, Resource and Subresource say for what.
	Verb, Group, Resource, Subresource string
}

// auditEvent is what counts of an event of the API server's audit log.
type auditEvent struct {
	Verb string `json:"verb"`
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	ObjectRef *struct {
		Resource    string `json:"resource"`
		APIGroup    string `json:"apiGroup"`
		Subresource string `json:"subresource"`
	} `json:"objectRef"`
	Annotations map[string]string `json:"annotations"`
}

// Asked returns what service accounts have asked for until now, and whether the API server allowed all of it.
func (e *Env) Asked() (map[Asked]bool, error) {
	text, err := os.ReadFile(e.auditLog)
	if err != nil {
		return nil, err
	}
	asked := map[Asked]bool{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event auditEvent
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return nil, err
		}
		name := strings.Split(event.User.Username, ":")
		if event.ObjectRef == nil || len(name) != 4 {
			continue
		}
		a := Asked{
			Namespace: name[2], ServiceAccount: name[3], Verb: event.Verb,
			Group: event.ObjectRef.APIGroup, Resource: event.ObjectRef.Resource, Subresource: event.ObjectRef.Subresource,
		}
		allowed, known := asked[a]
		asked[a] = event.Annotations["authorization.k8s.io/decision"] != "forbid" && (allowed || !known)
	}
	return asked, lines.Err()
}

// configureAudit has the API server write an audit log into a folder.
func configureAudit(env *envtest.Environment, dir string) (log string, err error) {
	policy := filepath.Join(dir, "policy.json")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return "", err
	}
	log = filepath.Join(dir, "audit.log")
	env.ControlPlane.GetAPIServer().Configure().Set("audit-policy-file", policy).Set("audit-log-path", log)
	return log, nil
}
