// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpclient_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
)

func get(t *testing.T, c *httpclient.Client, url string) (*httpclient.Response, error) {
	t.Helper()
	t.Cleanup(c.Close)
	return c.Do(t.Context(), http.MethodGet, url, http.Header{"Accept": {"x/y"}}, nil)
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestAuthentication(t *testing.T) {
	var header http.Header
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { header = r.Header })
	tests := map[string]struct {
		authentication httpclient.Authentication
		want           string
	}{
		"none":   {nil, ""},
		"bearer": {httpclient.Bearer("t0ken"), "Bearer t0ken"},
		"basic":  {httpclient.Basic("ann", "s:cret"), "Basic YW5uOnM6Y3JldA=="},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := get(t, httpclient.New(httpclient.Options{Authentication: tc.authentication}), s.URL); err != nil {
				t.Fatal(err)
			}
			if got := header.Get("Authorization"); got != tc.want || header.Get("Accept") != "x/y" || header.Get("User-Agent") != "access-operator" {
				t.Errorf("header %v", header)
			}
		})
	}
}

func TestSeveralHeaderFields(t *testing.T) {
	var header http.Header
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { header = r.Header })
	c := httpclient.New(httpclient.Options{Authentication: httpclient.Headers(map[string]string{"X-API-KEY": "hunter1", "X-API-SECRET": "hunter2"})})
	if _, err := get(t, c, s.URL); err != nil {
		t.Fatal(err)
	}
	if header.Get("X-Api-Key") != "hunter1" || header.Get("X-Api-Secret") != "hunter2" || header.Get("Authorization") != "" {
		t.Errorf("header %v", header)
	}
	if got := c.Redact("hunter1 and hunter2"); got != "[redacted] and [redacted]" {
		t.Error(got)
	}
}

func TestClientCredentialsGetATokenAndKeepItUntilItIsRefused(t *testing.T) {
	var tokens, refuse atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			if err := r.ParseForm(); err != nil || r.Form.Get("grant_type") != "client_credentials" || r.Form.Get("scope") != "a b" {
				t.Errorf("token request %v %v", r.Form, err)
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"access_token":"token%d","token_type":"bearer","expires_in":3600}`, tokens.Add(1))
			return
		}
		if want := fmt.Sprintf("Bearer token%d", tokens.Load()); r.Header.Get("Authorization") != want || refuse.Load() > 0 {
			refuse.Store(0)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	c := httpclient.New(httpclient.Options{Authentication: httpclient.ClientCredentials(s.URL+"/token", "id", "secret", []string{"a", "b"})})
	for i, want := range []int{200, 200, 401, 200} {
		if i == 2 {
			refuse.Store(1)
		}
		res, err := get(t, c, s.URL)
		if err != nil || res.Status != want {
			t.Fatalf("request %d: %v %v", i, res, err)
		}
		// A server that refuses a token may well repeat it.
		if got := c.Redact("token1 is bad"); i == 2 && got != "[redacted] is bad" {
			t.Error(got)
		}
	}
	if tokens.Load() != 2 {
		t.Errorf("%d tokens, want 2", tokens.Load())
	}
	if got := c.Redact("token2 and secret"); got != "[redacted] and [redacted]" {
		t.Error(got)
	}
}

func TestATokenEndpointThatFails(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		word   string
		want   string
	}{
		"a refused client":         {400, `{"error":"invalid_client","error_description":"secret hunter2"}`, "unavailable", "invalid_client"},
		"an unauthorized client":   {401, `{"error":"unauthorized_client"}`, "unavailable", "401"},
		"an error that is no word": {400, `{"error":"secret: hunter2"}`, "unavailable", "400"},
		"a page":                   {200, `<html>hunter2</html>`, "unavailable", "no token"},
		"no token":                 {200, `{"token_type":"bearer"}`, "unavailable", "no token"},
		"a failure of the server":  {503, `hunter2`, "retryable", "503"},
		"a limit":                  {429, `{"error":"slow_down"}`, "retryable", "429"},
		"a redirect to who knows":  {302, ``, "unavailable", "302"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/token" {
					t.Error("a request without a token, or to where the endpoint redirects")
				}
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tc.status)
				fmt.Fprint(w, tc.body)
			})
			c := httpclient.New(httpclient.Options{Authentication: httpclient.ClientCredentials(s.URL+"/token", "id", "hunter2", nil)})
			_, err := get(t, c, s.URL+"/api")
			if provisioning.Word(err) != tc.word || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v", provisioning.Word(err), err)
			}
		})
	}
}

func TestNoAnswer(t *testing.T) {
	tls := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	tls.Config.ErrorLog = nil
	t.Cleanup(tls.Close)
	release := make(chan struct{})
	slow := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(release) })
	gone := httptest.NewServer(nil)
	gone.Close()
	tests := map[string]struct {
		url     string
		timeout time.Duration
		want    string
	}{
		"an unknown certificate authority": {tls.URL, time.Minute, "certificateAuthority"},
		"a server that does not answer":    {slow.URL + "/Users?filter=ann@example.com", 300 * time.Millisecond, "in time"},
		"a server that is not there":       {gone.URL + "/Users?filter=ann@example.com", time.Minute, "refused"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := get(t, httpclient.New(httpclient.Options{Timeout: tc.timeout}), tc.url)
			var retryable *provisioning.RetryableError
			if !errors.As(err, &retryable) || !retryable.Unreachable || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v", err)
			}
			if err != nil && strings.Contains(err.Error(), "ann@") {
				t.Errorf("the error repeats what was asked: %v", err)
			}
		})
	}
	pool := x509.NewCertPool()
	pool.AddCert(tls.Certificate())
	if _, err := get(t, httpclient.New(httpclient.Options{RootCAs: pool}), tls.URL); err != nil {
		t.Error("with its authority: ", err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+"/?secret", http.StatusTemporaryRedirect)
	})
	_, err := get(t, httpclient.New(httpclient.Options{Authentication: httpclient.Bearer("t")}), s.URL)
	var unavailable *provisioning.UnavailableError
	if !errors.As(err, &unavailable) || unavailable.Reason != provisioning.ReasonEndpointNotFound || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

func TestLimits(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 100)) })
	if _, err := get(t, httpclient.New(httpclient.Options{MaxResponseBytes: 99}), s.URL); provisioning.Word(err) != "retryable" {
		t.Error("an answer that is too large: ", err)
	}
	if res, err := get(t, httpclient.New(httpclient.Options{MaxResponseBytes: 100}), s.URL); err != nil || len(res.Body) != 100 {
		t.Error(err)
	}
	closed := rate.NewLimiter(0, 0)
	if _, err := get(t, httpclient.New(httpclient.Options{Limiter: closed}), s.URL); provisioning.Word(err) != "retryable" {
		t.Error("a limit that is used up: ", err)
	}
}

func TestRedact(t *testing.T) {
	c := httpclient.New(httpclient.Options{Authentication: httpclient.Basic("ann", "hunter2")})
	tests := map[string]string{
		"bad password hunter2":          "bad password [redacted]",
		"Basic YW5uOmh1bnRlcjI= is bad": "Basic [redacted] is bad",
		"two\nlines\x00":                "two lines",
		"\xff":                          "",
		strings.Repeat("é", 300):        strings.Repeat("é", 253) + "...",
	}
	for text, want := range tests {
		if got := c.Redact(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
