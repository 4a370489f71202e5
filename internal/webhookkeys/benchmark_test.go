// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookkeys

import (
	"net/http"
	"testing"
)

// BenchmarkVerify verifies a delivery of four events.
func BenchmarkVerify(b *testing.B) {
	body := file(b, "batch.json")
	publicKeys, problems := rsaKeys(b, file(b, "rsa-2048-spki.pem"))
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	for name, c := range map[string]struct {
		keys      Keys
		signature string
	}{
		"HMAC, one secret":             {hmacKeys(b, "SHA256", newSecret), golden(b, "SHA256", newSecret, "hex")},
		"HMAC, the second of two":      {hmacKeys(b, "SHA256", oldSecret, newSecret), golden(b, "SHA256", newSecret, "hex")},
		"RSA with 2048 bits":           {publicKeys, golden(b, "RSA", "rsa-2048-spki.pem", "base64")},
		"RSA, not a signature":         {publicKeys, "bm90IGEgc2lnbmF0dXJl"},
		"HMAC, a signature of another": {hmacKeys(b, "SHA256", oldSecret), golden(b, "SHA256", newSecret, "hex")},
	} {
		b.Run(name, func(b *testing.B) {
			header := http.Header{"X-Signature": {c.signature}}
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				_ = c.keys.Verify(header, body)
			}
		})
	}
}
