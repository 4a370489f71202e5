// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalktest

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"slices"
)

// KeysForm is a form in which the public keys are served. Cakewalk does not document which one it uses.
type KeysForm int

// The forms. Where a form holds one key alone, the newest is served.
const (
	// FormPEM is PEM with SPKI, the blocks of all keys one after the other.
	FormPEM KeysForm = iota
	// FormPEMPKCS1 is PEM with PKCS #1.
	FormPEMPKCS1
	// FormQuoted is PEM in a JSON string.
	FormQuoted
	// FormDER is the base64 of DER (SPKI). One key.
	FormDER
	// FormDERPKCS1 is the base64 of DER (PKCS #1). One key.
	FormDERPKCS1
	// FormObject is a JSON object with a PEM member. One key.
	FormObject
	// FormArray is a JSON array of objects with a member that holds the base64 of DER.
	FormArray
	// FormJWK is a JWK. One key.
	FormJWK
	// FormJWKS is a set of JWKs.
	FormJWKS
	// KeysForms is how many forms there are.
	KeysForms
)

// SetKeysForm chooses the form in which the public keys are served.
func (f *Fake) SetKeysForm(form KeysForm) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keysForm = form
}

// RotateKey makes a new key, with which webhooks are signed from now on. The old ones are served as well if keep is true.
func (f *Fake) RotateKey(keep bool) { f.UseKey(newKey(), keep) }

// UseKey makes a key the one that webhooks are signed with. The old ones are served as well if keep is true.
func (f *Fake) UseKey(key *rsa.PrivateKey, keep bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !keep {
		f.signing = nil
	}
	f.signing = append(f.signing, key)
}

// PublicKeys are the keys that are served, the newest first.
func (f *Fake) PublicKeys() []*rsa.PublicKey {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.public()
}

// signer returns the newest key, and makes one where there is none.
func (f *Fake) signer() *rsa.PrivateKey {
	if len(f.signing) == 0 {
		f.signing = append(f.signing, newKey())
	}
	return f.signing[len(f.signing)-1]
}

func (f *Fake) public() []*rsa.PublicKey {
	f.signer()
	var all []*rsa.PublicKey
	for _, key := range slices.Backward(f.signing) {
		all = append(all, &key.PublicKey)
	}
	return all
}

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

func (f *Fake) keys() answer {
	text := Encode(f.keysForm, f.public()...)
	contentType := "application/json"
	if len(text) > 0 && text[0] != '{' && text[0] != '[' && text[0] != '"' {
		contentType = "text/plain"
	}
	return answer{status: http.StatusOK, header: http.Header{"Content-Type": {contentType}}, body: text}
}

// Encode writes public keys in a form.
func Encode(form KeysForm, keys ...*rsa.PublicKey) []byte {
	switch form {
	case FormPEMPKCS1:
		return pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey, keys)
	case FormQuoted:
		return mustJSON(string(pemOf("PUBLIC KEY", spki, keys)))
	case FormDER:
		return []byte(base64.StdEncoding.EncodeToString(spki(keys[0])))
	case FormDERPKCS1:
		return []byte(base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(keys[0])))
	case FormObject:
		return mustJSON(map[string]any{"createdAt": "2026-01-01T00:00:00Z", "publicKey": string(pemOf("PUBLIC KEY", spki, keys[:1]))})
	case FormArray:
		all := make([]map[string]any, len(keys))
		for i, key := range keys {
			all[i] = map[string]any{"version": i, "value": base64.StdEncoding.EncodeToString(spki(key))}
		}
		return mustJSON(all)
	case FormJWK:
		return mustJSON(jwk(keys[0]))
	case FormJWKS:
		all := make([]any, len(keys))
		for i, key := range keys {
			all[i] = jwk(key)
		}
		return mustJSON(map[string]any{"keys": all})
	default:
		return pemOf("PUBLIC KEY", spki, keys)
	}
}

func pemOf(kind string, der func(*rsa.PublicKey) []byte, keys []*rsa.PublicKey) []byte {
	var text bytes.Buffer
	for _, key := range keys {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der(key)}))
	}
	return text.Bytes()
}

func spki(key *rsa.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return der
}

func jwk(key *rsa.PublicKey) map[string]string {
	return map[string]string{
		"kty": "RSA", "use": "sig", "alg": "RS256",
		"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
	}
}

func mustJSON(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}
