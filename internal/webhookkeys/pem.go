// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookkeys

import (
	"encoding/pem"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

// parsePEM takes the RSA public keys out of PEM text (RFC 7468): SPKI ("PUBLIC KEY", RFC 5280) or PKCS #1 ("RSA PUBLIC
// KEY", RFC 8017). Text between the blocks is a comment.
func (l *loader) parsePEM(text []byte, source string) {
	blocks := 0
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		blocks++
		if blocks > cakewalk.MaxPublicKeys {
			l.problem(accessv1alpha1.ReasonInvalidKey, true, "%s holds more than %d PEM blocks; the rest is not read", source, cakewalk.MaxPublicKeys)
			return
		}
		key, err := cakewalk.ParseKeyBlock(block)
		if err != nil {
			l.problem(accessv1alpha1.ReasonInvalidKey, false, "PEM block %d of %s %s", blocks, source, err)
			continue
		}
		l.keys.public = append(l.keys.public, key)
	}
	if blocks == 0 {
		l.problem(accessv1alpha1.ReasonInvalidKey, false, "%s holds no public key in PEM", source)
	}
}
