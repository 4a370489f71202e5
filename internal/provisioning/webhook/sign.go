// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Secret is a signing secret.
type Secret struct {
	key  []byte
	text string
}

const (
	secretPrefix = "whsec_"
	minSecret    = 24
	maxSecret    = 64
)

// ParseSecret reads a secret as the Standard Webhooks scheme writes it: `whsec_` and base64 of 24 to 64 bytes. The error
// does not repeat it.
func ParseSecret(text string) (Secret, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	if !ok {
		return Secret{}, errors.New("must begin with whsec_, followed by base64 of 24 to 64 bytes")
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(key) < minSecret || len(key) > maxSecret {
		return Secret{}, errors.New("must be whsec_ followed by base64 of 24 to 64 bytes")
	}
	return Secret{key: key, text: encoded}, nil
}

// sign is the header webhook-signature: one signature for every secret, separated by spaces.
func sign(secrets []Secret, id string, when time.Time, body []byte) string {
	all := make([]string, len(secrets))
	for i, s := range secrets {
		mac := hmac.New(sha256.New, s.key)
		mac.Write(fmt.Appendf(nil, "%s.%d.", id, when.Unix()))
		mac.Write(body)
		all[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(all, " ")
}

// redact takes secrets out of a text.
func redact(secrets []Secret, text string) string {
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s.text, "...")
	}
	return text
}
