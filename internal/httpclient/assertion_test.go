// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpclient_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// inPEM writes a key as PKCS #8.
func inPEM(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func keys(t *testing.T) (*rsa.PrivateKey, *ecdsa.PrivateKey) {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return r, e
}

func TestHeader(t *testing.T) {
	var got http.Header
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header })
	for want, a := range map[string]httpclient.Authentication{
		"t0ken": httpclient.Header("X-Api-Key", "", "t0ken"), "SSWS t0ken": httpclient.Header("X-Api-Key", "SSWS", "t0ken"),
	} {
		c := httpclient.New(httpclient.Options{Authentication: a})
		if _, err := get(t, c, s.URL); err != nil || got.Get("X-Api-Key") != want {
			t.Errorf("%q %v", got.Get("X-Api-Key"), err)
		}
		if c.Redact("bad t0ken") != "bad [redacted]" {
			t.Error(c.Redact("bad t0ken"))
		}
	}
}

func TestJWTBearer(t *testing.T) {
	rsaKey, ecKey := keys(t)
	tests := map[string]struct {
		algorithm string
		private   any
		public    crypto.PublicKey
	}{"RS256": {"RS256", rsaKey, rsaKey.Public()}, "ES256": {"ES256", ecKey, ecKey.Public()}}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			key, err := httpclient.ParseKey(tc.algorithm, inPEM(t, tc.private))
			if err != nil {
				t.Fatal(err)
			}
			tokens, seen := 0, map[string]bool{}
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/token" {
					tokens++
					checkAssertion(t, r.FormValue("assertion"), tc.algorithm, tc.public, seen)
					if r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || r.FormValue("scope") != "a b" {
						t.Error(r.Form)
					}
					fmt.Fprintf(w, `{"access_token":"token%d","expires_in":3600}`, tokens)
					return
				}
				if tokens == 1 || r.Header.Get("Authorization") != "Bearer token2" {
					w.WriteHeader(http.StatusUnauthorized)
				}
			})
			c := httpclient.New(httpclient.Options{Authentication: httpclient.JWTBearer(s.URL+"/token", httpclient.Assertion{
				Key: key, KeyID: "k1", Issuer: "me", Subject: "admin@example.com", Audience: "them", Scopes: []string{"a", "b"},
			})})
			for i, want := range []int{401, 200, 200} {
				if res, err := get(t, c, s.URL); err != nil || res.Status != want {
					t.Fatalf("request %d: %v %v", i, res, err)
				}
			}
			if tokens != 2 || c.Redact("token1 token2") != "[redacted] [redacted]" {
				t.Error(tokens, c.Redact("token1 token2"))
			}
		})
	}
}

// checkAssertion verifies an assertion as an authorization server does, which takes each once.
func checkAssertion(t *testing.T, assertion, algorithm string, public crypto.PublicKey, seen map[string]bool) {
	t.Helper()
	token, err := jwt.Parse(assertion, func(*jwt.Token) (any, error) { return public, nil },
		jwt.WithValidMethods([]string{algorithm}), jwt.WithAudience("them"), jwt.WithIssuer("me"), jwt.WithSubject("admin@example.com"),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	if err != nil || token.Header["kid"] != "k1" {
		t.Error(err, token)
		return
	}
	claims, _ := token.Claims.(jwt.MapClaims)
	id, _ := claims["jti"].(string)
	if seen[id] || id == "" || claims["scope"] != "a b" {
		t.Error(claims)
	}
	seen[id] = true
	if ends, err := claims.GetExpirationTime(); err != nil || time.Until(ends.Time) > 10*time.Minute {
		t.Error("valid for too long: ", ends, err)
	}
}

func TestGitHubApp(t *testing.T) {
	key, _ := keys(t)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v3/app/installations/42/access_tokens" {
			_, err := jwt.Parse(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), func(*jwt.Token) (any, error) { return key.Public(), nil }, jwt.WithIssuer("12345"))
			if err != nil || r.Method != http.MethodPost {
				t.Error(r.Method, err)
			}
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"token":"ghs_1","expires_at":"2999-01-01T00:00:00Z"}`)
			return
		}
		if r.Header.Get("Authorization") != "Bearer ghs_1" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	c := httpclient.New(httpclient.Options{Authentication: httpclient.GitHubApp(s.URL+"/api/v3/", 42, httpclient.Assertion{Key: key, Issuer: "12345"})})
	if res, err := get(t, c, s.URL+"/orgs"); err != nil || res.Status != 200 {
		t.Error(res, err)
	}
}

func TestAnAssertionThatIsRefused(t *testing.T) {
	key, _ := keys(t)
	tests := map[string]struct {
		status int
		body   string
		word   string
		want   string
	}{
		"refused":              {400, `{"error":"invalid_grant","error_description":"hunter2"}`, "unavailable", "invalid_grant"},
		"no word":              {400, `{"error":"hunter2 HUNTER2"}`, "unavailable", "400"},
		"no token":             {200, `{}`, "unavailable", "no token"},
		"a page":               {200, `<html>hunter2</html>`, "unavailable", "no token"},
		"a failure":            {503, `hunter2`, "retryable", "503"},
		"a limit":              {429, ``, "retryable", "429"},
		"a redirect elsewhere": {302, ``, "unavailable", "302"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/token" {
					t.Error("followed a redirect, or sent a request without a token")
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tc.status)
				fmt.Fprint(w, tc.body)
			})
			_, err := get(t, httpclient.New(httpclient.Options{Authentication: httpclient.JWTBearer(s.URL+"/token", httpclient.Assertion{Key: key})}), s.URL)
			if provisioning.Word(err) != tc.word || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v", provisioning.Word(err), err)
			}
		})
	}
}

func TestKeysThatDoNotFit(t *testing.T) {
	rsaKey, ecKey := keys(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		algorithm string
		pem       []byte
	}{
		"not PEM":            {"RS256", []byte("hunter2")},
		"ECDSA for RS256":    {"RS256", inPEM(t, ecKey)},
		"RSA for ES256":      {"ES256", inPEM(t, rsaKey)},
		"another curve":      {"ES256", inPEM(t, p384)},
		"nothing for ES256":  {"ES256", nil},
		"nothing for RS256":  {"RS256", nil},
		"PEM that holds not": {"RS256", []byte("-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n")},
	}
	for name, tc := range tests {
		if _, err := httpclient.ParseKey(tc.algorithm, tc.pem); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
