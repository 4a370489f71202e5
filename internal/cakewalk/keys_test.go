// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"

	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
)

// publicKeys are two good keys, made once.
var publicKeys = sync.OnceValue(func() []*rsa.PublicKey {
	var all []*rsa.PublicKey
	for range 2 {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		all = append(all, &key.PublicKey)
	}
	return all
})

// odd is a number of a size that is taken for the modulus of a key.
func odd(bits uint) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537}
}

func spkiOfEC() []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		panic(err)
	}
	return der
}

func asJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestKeysInEveryForm(t *testing.T) {
	f := cakewalktest.Start(t, cakewalktest.Options{})
	f.RotateKey(true)
	f.RotateKey(true)
	c := newClient(t, f)
	want := f.PublicKeys()
	if len(want) != 2 || want[0].Equal(want[1]) {
		t.Fatal("the fake does not have two keys")
	}
	several := []cakewalktest.KeysForm{cakewalktest.FormPEM, cakewalktest.FormPEMPKCS1, cakewalktest.FormQuoted, cakewalktest.FormArray, cakewalktest.FormJWKS}
	for form := range cakewalktest.KeysForms {
		f.SetKeysForm(form)
		got, _, err := c.Keys(t.Context(), f.KeysURL)
		expected := want[:1]
		if slices.Contains(several, form) {
			expected = want
		}
		if err != nil || !slices.EqualFunc(got, expected, func(a, b *rsa.PublicKey) bool { return a.Equal(b) }) {
			t.Errorf("form %d: %d keys, %v, want %d", form, len(got), err, len(expected))
		}
	}
}

func TestParsePublicKeys(t *testing.T) {
	keys := publicKeys()
	pemText := string(cakewalktest.Encode(cakewalktest.FormPEM, keys[0]))
	der := string(cakewalktest.Encode(cakewalktest.FormDER, keys[0]))
	small := string(cakewalktest.Encode(cakewalktest.FormPEM, odd(2047)))
	ecPEM := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spkiOfEC()}))
	many := make([]*rsa.PublicKey, 17)
	for i := range many {
		many[i] = odd(2048)
		many[i].N.SetBit(many[i].N, i+1, 1)
	}
	tests := map[string]struct {
		text string
		keys int
		want []string
	}{
		"a PEM":                                  {text: pemText, keys: 1},
		"a PEM in white space and Windows lines": {text: "\r\n " + strings.ReplaceAll(pemText, "\n", "\r\n") + "\r\n", keys: 1},
		"a PEM between other words":              {text: "The key:\n" + pemText + "Bye.", keys: 1},
		"a PEM under any name":                   {text: asJSON(map[string]any{"data": map[string]any{"x": []any{1, nil, true, pemText}}}), keys: 1},
		"the same key in two forms":              {text: asJSON([]string{pemText, der}), keys: 1},
		"base64 in lines":                        {text: der[:64] + "\n" + der[64:], keys: 1},
		"quoted base64":                          {text: asJSON(der), keys: 1},
		"a JWK with padding":                     {text: `{"kty":"RSA","n":"` + base64.URLEncoding.EncodeToString(keys[0].N.Bytes()) + `","e":"AQAB"}`, keys: 1},
		"a JWK among others":                     {text: `{"keys":[{"kty":"EC","crv":"P-256"},` + string(cakewalktest.Encode(cakewalktest.FormJWK, keys[0])) + `]}`, keys: 1, want: []string{"not an RSA key"}},
		"a good one beside a small one":          {text: small + pemText, keys: 1, want: []string{"2047 bits"}},
		"sixteen and one more":                   {text: string(cakewalktest.Encode(cakewalktest.FormPEM, many...)), keys: 16, want: []string{"more than 16"}},
		"a small one":                            {text: small, want: []string{"2047 bits", "less than 2048"}},
		"a small one as a JWK":                   {text: string(cakewalktest.Encode(cakewalktest.FormJWK, odd(1024))), want: []string{"1024 bits"}},
		"a huge one":                             {text: string(cakewalktest.Encode(cakewalktest.FormPEMPKCS1, odd(16385))), want: []string{"16385 bits"}},
		"an exponent of 1":                       {text: string(cakewalktest.Encode(cakewalktest.FormJWK, &rsa.PublicKey{N: odd(2048).N, E: 1})), want: []string{"not a valid RSA key"}},
		"an even modulus":                        {text: string(cakewalktest.Encode(cakewalktest.FormJWK, &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 2047), E: 3})), want: []string{"not a valid RSA key"}},
		"a JWK without numbers":                  {text: `{"kty":"RSA","n":7,"e":"AQAB"}`, want: []string{"n and e"}},
		"a JWK with a large exponent":            {text: `{"kty":"RSA","n":"` + base64.RawURLEncoding.EncodeToString(keys[0].N.Bytes()) + `","e":"` + strings.Repeat("_", 32) + `"}`, want: []string{"n and e"}},
		"a symmetric JWK":                        {text: `{"kty":"oct","k":"c2VjcmV0"}`, want: []string{"not an RSA key"}},
		"a key on a curve":                       {text: ecPEM, want: []string{"not an RSA key"}},
		"a private key":                          {text: "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", want: []string{"neither a PUBLIC KEY"}},
		"a PEM of nonsense":                      {text: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", want: []string{"cannot be parsed"}},
		"half a PEM":                             {text: pemText[:100], want: []string{"no RSA public key"}},
		"nothing":                                {text: "", want: []string{"no RSA public key"}},
		"a page":                                 {text: "<html></html>", want: []string{"no RSA public key"}},
		"other words in base64":                  {text: asJSON([]string{"AAAA", "deadbeef", ""}), want: []string{"no RSA public key"}},
		"a deep document":                        {text: strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), want: []string{"no RSA public key"}},
		"a wide document":                        {text: "[" + strings.Repeat("1,", 100_000) + asJSON(pemText) + "]", want: []string{"no RSA public key"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := cakewalk.ParsePublicKeys([]byte(tc.text))
			if len(got) != tc.keys || tc.keys == 1 && !got[0].Equal(keys[0]) {
				t.Errorf("%d keys, want %d", len(got), tc.keys)
			}
			if (err != nil) != (len(tc.want) > 0) {
				t.Fatalf("got error %v", err)
			}
			for _, word := range tc.want {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q does not hold %q", err, word)
				}
			}
		})
	}
}

func TestKeysThatAreNotUsableCloseNothing(t *testing.T) {
	f := cakewalktest.Start(t, cakewalktest.Options{})
	c := newClient(t, f)
	f.Inject(cakewalktest.Fault{Times: 1, Body: string(cakewalktest.Encode(cakewalktest.FormJWKS, odd(1024)))})
	keys, _, err := c.Keys(t.Context(), f.KeysURL)
	wantFault(t, err, cakewalk.FaultAway, 200, "fetchFrom", "1024 bits")
	if len(keys) > 0 {
		t.Errorf("%d keys", len(keys))
	}
	if keys, _, err = c.Keys(t.Context(), f.KeysURL); err != nil || len(keys) != 1 {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

func FuzzParsePublicKeys(f *testing.F) {
	keys := publicKeys()
	for form := range cakewalktest.KeysForms {
		f.Add(cakewalktest.Encode(form, keys...))
	}
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQ"},{"kty":"EC"}],"x":"AAAA"}`))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := cakewalk.ParsePublicKeys(text)
		if len(keys) == 0 && err == nil {
			t.Fatal("no key and no error")
		}
		if len(keys) > 16 {
			t.Fatalf("%d keys", len(keys))
		}
		for _, key := range keys {
			if err := cakewalk.CheckPublicKey(key); err != nil {
				t.Fatal(err)
			}
		}
	})
}
