// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpclient

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func FuzzReadToken(f *testing.F) {
	f.Add(200, []byte(`{"access_token":"hunter2","expires_in":3600}`))
	f.Add(201, []byte(`{"access_token":"hunter2","expires_at":"2030-01-01T00:00:00Z"}`))
	f.Add(400, []byte(`{"error":"invalid_grant","access_token":"hunter2"}`))
	f.Add(200, []byte(`{"access_token":"hunter2","expires_in":1e400}`))
	f.Add(200, []byte(`{"access_token":7,"expires_in":9223372036854775807}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		token, err := readToken(&http.Response{StatusCode: status, Header: http.Header{}}, body, "access_token")
		switch {
		case (token == nil) == (err == nil):
			t.Errorf("%v, %v", token, err)
		case err != nil && strings.Contains(err.Error(), "hunter2"):
			t.Errorf("it shows the token: %v", err)
		case err == nil && (token.AccessToken == "" || status != http.StatusOK && status != http.StatusCreated):
			t.Errorf("%d %q yields a token", status, body)
		case err == nil && !strings.Contains(string(body), "expires_at") && token.Expiry.Before(time.Now().Add(-time.Minute)):
			t.Errorf("%q yields a token that ended at %s", body, token.Expiry)
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"7", "-7", "99999999999999999999", "Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if after := RetryAfter(http.Header{"Retry-After": {text}}); after < 0 || after > 24*time.Hour {
			t.Errorf("%q is read as %s", text, after)
		}
	})
}
