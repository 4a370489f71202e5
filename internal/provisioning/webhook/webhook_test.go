// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
)

func TestSecrets(t *testing.T) {
	encode := base64.StdEncoding.EncodeToString
	tests := map[string]struct {
		text string
		want string
	}{
		"24 bytes":       {"whsec_" + encode(make([]byte, 24)), ""},
		"64 bytes":       {"whsec_" + encode(make([]byte, 64)), ""},
		"23 bytes":       {"whsec_" + encode(make([]byte, 23)), "24 to 64 bytes"},
		"65 bytes":       {"whsec_" + encode(make([]byte, 65)), "24 to 64 bytes"},
		"no prefix":      {encode(make([]byte, 32)), "must begin with whsec_"},
		"no base64":      {"whsec_s3cr3t!", "base64"},
		"nothing at all": {"", "must begin with whsec_"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ParseSecret(tc.text)
			if (err == nil) != (tc.want == "") || (err != nil && (!strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "s3cr3t"))) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

// The example of the scheme's specification and of its libraries.
func TestSignature(t *testing.T) {
	s, err := ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := sign([]Secret{s}, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestAnswers(t *testing.T) {
	tests := map[string]struct {
		status   int
		header   http.Header
		body     string
		want     string // the word
		wantSays string
	}{
		"done":                       {status: 204, want: "ok", wantSays: "answered 204"},
		"done before":                {status: 409, want: "ok", wantSays: "done before"},
		"accepted without a place":   {status: 202, want: "ok", wantSays: "no Location"},
		"accepted":                   {status: 202, header: http.Header{"Location": {"/tasks/1"}}, want: "pending", wantSays: "at work"},
		"a place at another host":    {status: 202, header: http.Header{"Location": {"https://evil.example.com/1"}}, want: "permanent", wantSays: "another host"},
		"a place with credentials":   {status: 202, header: http.Header{"Location": {"http://u:p@HOST/1"}}, want: "permanent", wantSays: "another host"},
		"a redirect":                 {status: 307, header: http.Header{"Location": {"https://evil.example.com/1"}}, want: "unavailable", wantSays: "redirects"},
		"refused":                    {status: 401, want: "unavailable", wantSays: "refuses the signature"},
		"not there":                  {status: 404, want: "unavailable", wantSays: "nothing at the url"},
		"busy":                       {status: 429, want: "retryable", wantSays: "429"},
		"broken":                     {status: 500, want: "retryable", wantSays: "500"},
		"wrong, with problem detail": {status: 422, body: `{"detail": "no such\n\u001b[1mdoor"}`, want: "permanent", wantSays: "422: no such  [1mdoor"},
		"wrong, with a page":         {status: 400, body: "<html>the whole page", want: "permanent", wantSays: "answered 400"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for k, v := range tc.header {
					w.Header()[k] = []string{strings.ReplaceAll(v[0], "HOST", r.Host)}
				}
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			}))
			t.Cleanup(server.Close)
			e := New(Options{URL: server.URL, Client: httpclient.New(httpclient.Options{}), PollInterval: time.Second})
			said, err := e.Execute(t.Context(), provisioning.Task{ID: "1", Event: []byte("{}")})
			if err != nil {
				said = err.Error()
			}
			if provisioning.Word(err) != tc.want || !strings.Contains(said, tc.wantSays) || strings.Contains(said, "html") {
				t.Errorf("%s: %s, want %s: %s", provisioning.Word(err), said, tc.want, tc.wantSays)
			}
		})
	}
}
