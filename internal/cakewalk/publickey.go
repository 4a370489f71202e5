// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// MaxPublicKeys is how many public keys verify the deliveries of one receiver at the most. It bounds, like the size of a
// key, what a forged signature costs.
const MaxPublicKeys = 16

const (
	minRSABits = 2048
	maxRSABits = 16384
)

// ParseKeyBlock reads the public key of a PEM block: SPKI ("PUBLIC KEY", RFC 5280) or PKCS #1 ("RSA PUBLIC KEY", RFC
// 8017). The error is the end of a sentence that begins with the block, and holds nothing of it.
func ParseKeyBlock(block *pem.Block) (*rsa.PublicKey, error) {
	var key *rsa.PublicKey
	switch block.Type {
	case "PUBLIC KEY":
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, errors.New("cannot be parsed")
		}
		is := false
		if key, is = parsed.(*rsa.PublicKey); !is {
			return nil, errors.New("is not an RSA key")
		}
	case "RSA PUBLIC KEY":
		parsed, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return nil, errors.New("cannot be parsed")
		}
		key = parsed
	default:
		return nil, errors.New("is neither a PUBLIC KEY nor an RSA PUBLIC KEY")
	}
	if err := CheckPublicKey(key); err != nil {
		return nil, err
	}
	return key, nil
}

// CheckPublicKey says what is wrong with a key, as the end of a sentence that begins with the key: it must have 2,048 to
// 16,384 bits, and be one at all.
func CheckPublicKey(key *rsa.PublicKey) error {
	switch bits := key.N.BitLen(); {
	case bits < minRSABits:
		return fmt.Errorf("is an RSA key of %d bits, which is less than %d bits", bits, minRSABits)
	case bits > maxRSABits:
		return fmt.Errorf("is an RSA key of %d bits, which is more than %d bits", bits, maxRSABits)
	case key.N.Bit(0) == 0, key.E < 3, key.E%2 == 0:
		// With an exponent of 1 anybody could sign.
		return errors.New("is not a valid RSA key")
	}
	return nil
}
