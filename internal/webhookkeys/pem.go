// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookkeys

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// Bounds of RSA keys. The upper ones bound what a forged signature costs.
const (
	minRSABits = 2048
	maxRSABits = 16384
	maxRSAKeys = 16
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
		if blocks > maxRSAKeys {
			l.problem(accessv1alpha1.ReasonInvalidKey, true, "%s holds more than %d PEM blocks; the rest is not read", source, maxRSAKeys)
			return
		}
		key, fault := parseBlock(block)
		if fault != "" {
			l.problem(accessv1alpha1.ReasonInvalidKey, false, "PEM block %d of %s %s", blocks, source, fault)
			continue
		}
		l.keys.public = append(l.keys.public, key)
	}
	if blocks == 0 {
		l.problem(accessv1alpha1.ReasonInvalidKey, false, "%s holds no public key in PEM", source)
	}
}

// parseBlock returns a block's key, or what is wrong with it.
func parseBlock(block *pem.Block) (*rsa.PublicKey, string) {
	var key *rsa.PublicKey
	switch block.Type {
	case "PUBLIC KEY":
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, "cannot be parsed"
		}
		is := false
		if key, is = parsed.(*rsa.PublicKey); !is {
			return nil, "is not an RSA key"
		}
	case "RSA PUBLIC KEY":
		parsed, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return nil, "cannot be parsed"
		}
		key = parsed
	default:
		return nil, "is neither a PUBLIC KEY nor an RSA PUBLIC KEY"
	}
	switch bits := key.N.BitLen(); {
	case bits < minRSABits:
		return nil, "is an RSA key of less than 2048 bits"
	case bits > maxRSABits:
		return nil, "is an RSA key of more than 16384 bits"
	case key.N.Bit(0) == 0, key.E < 3, key.E%2 == 0:
		// With an exponent of 1 anybody could sign.
		return nil, "is not a valid RSA key"
	}
	return key, ""
}
