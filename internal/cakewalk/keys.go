// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
)

// maxKeyNodes bounds how many values of a JSON document are looked at for keys.
const maxKeyNodes = 1000

// ParsePublicKeys takes the RSA public keys out of an answer, whose form Cakewalk does not document: PEM (RFC 7468) or
// the base64 of DER, SPKI (RFC 5280) or PKCS #1 (RFC 8017), bare or in JSON under any name, a JWK or a JWKS (RFC 7517).
// It returns the good keys, each once, at most 16; the error says what is wrong with the others, or that there is none.
// It repeats nothing of the text.
func ParsePublicKeys(text []byte) ([]*rsa.PublicKey, error) {
	p := &keyParser{}
	text = bytes.TrimSpace(text)
	var tree any
	if err := json.Unmarshal(text, &tree); err == nil {
		p.value(tree)
	} else {
		p.text(string(text))
	}
	if len(p.keys) == 0 && len(p.refused) == 0 {
		return nil, errors.New("there is no RSA public key in it, in any known form")
	}
	return p.keys, errors.Join(p.refused...)
}

// keyParser collects keys and what is wrong with those that are refused.
type keyParser struct {
	keys    []*rsa.PublicKey
	refused []error
	nodes   int
}

// value looks for keys in a JSON value.
func (p *keyParser) value(value any) {
	if p.nodes++; p.nodes > maxKeyNodes {
		return
	}
	switch v := value.(type) {
	case string:
		p.text(v)
	case []any:
		for _, item := range v {
			p.value(item)
		}
	case map[string]any:
		if kty, ok := v["kty"].(string); ok {
			p.jwk(kty, v)
			return
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			p.value(v[name])
		}
	}
}

// text looks for keys in a text: PEM blocks, else the base64 of DER. A text that is neither is something else.
func (p *keyParser) text(text string) {
	rest := []byte(text)
	for {
		block, after := pem.Decode(rest)
		if block == nil {
			break
		}
		rest = after
		if key, err := ParseKeyBlock(block); err != nil {
			p.refuse("a PEM block " + err.Error())
		} else {
			p.add(key)
		}
	}
	if strings.Contains(text, "-----BEGIN ") {
		return
	}
	der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return
	}
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		if key, ok := key.(*rsa.PublicKey); ok {
			p.add(key)
		} else {
			p.refuse("a key is not an RSA key")
		}
	} else if key, err := x509.ParsePKCS1PublicKey(der); err == nil {
		p.add(key)
	}
}

// jwk takes in a JSON Web Key (RFC 7518 section 6.3.1).
func (p *keyParser) jwk(kty string, members map[string]any) {
	if kty != "RSA" {
		p.refuse("a JWK is not an RSA key")
		return
	}
	number := func(name string) *big.Int {
		text, _ := members[name].(string)
		value, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
		if err != nil {
			return new(big.Int)
		}
		return new(big.Int).SetBytes(value)
	}
	n, e := number("n"), number("e")
	if n.Sign() == 0 || !e.IsInt64() || e.Int64() > 1<<31-1 {
		p.refuse("a JWK has no usable n and e")
		return
	}
	p.add(&rsa.PublicKey{N: n, E: int(e.Int64())})
}

func (p *keyParser) add(key *rsa.PublicKey) {
	if err := CheckPublicKey(key); err != nil {
		p.refuse("a key " + err.Error())
		return
	}
	if slices.ContainsFunc(p.keys, func(known *rsa.PublicKey) bool { return key.Equal(known) }) {
		return
	}
	if len(p.keys) == MaxPublicKeys {
		p.refuse(fmt.Sprintf("there are more than %d keys", MaxPublicKeys))
		return
	}
	p.keys = append(p.keys, key)
}

func (p *keyParser) refuse(why string) {
	if len(p.refused) < MaxPublicKeys {
		p.refused = append(p.refused, errors.New(why))
	}
}
