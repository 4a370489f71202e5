// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package webhookkeys

import (
	"net/http"
	"testing"
)

// The race detector allocates for itself, so that these are counted without it.
func TestVerifyAllocations(t *testing.T) {
	body := file(t, "batch.json")
	publicKeys, _ := rsaKeys(t, file(t, "rsa-2048-spki.pem"))
	for name, c := range map[string]struct {
		keys      Keys
		signature string
		most      float64
	}{
		"HMAC": {hmacKeys(t, "SHA256", newSecret), golden(t, "SHA256", newSecret, "hex"), 8},
		"RSA":  {publicKeys, golden(t, "RSA", "rsa-2048-spki.pem", "base64"), 11},
	} {
		header := http.Header{"X-Signature": {c.signature}}
		got := testing.AllocsPerRun(100, func() {
			if err := c.keys.Verify(header, body); err != nil {
				t.Fatal(err)
			}
		})
		if got > c.most {
			t.Errorf("%s takes %.0f allocations, at most %.0f are right", name, got, c.most)
		}
	}
}
