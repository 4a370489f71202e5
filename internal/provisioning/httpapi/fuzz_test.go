// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpapi_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/httpapi"
)

// always answers every request for holders alike, and has an account for everybody.
type always struct {
	t      *testing.T
	status int
	link   string
	body   []byte
	asked  int
}

func (a *always) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != "api.example.com" || !strings.HasPrefix(req.URL.EscapedPath(), "/v1/") {
		a.t.Errorf("%s is asked", req.URL)
	}
	a.asked++
	res := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: req, Body: io.NopCloser(strings.NewReader(`{"id":"ann"}`))}
	if !strings.HasSuffix(req.URL.Path, "/users/ann") {
		res.StatusCode, res.Body = a.status, io.NopCloser(bytes.NewReader(a.body))
		res.Header.Set("Link", a.link)
	}
	return res, nil
}

// FuzzAnswers reads the holders of an entitlement out of an answer, in each way of paging. Credentials go nowhere else, the
// pages end, and nobody is a holder whom the answer does not name.
func FuzzAnswers(f *testing.F) {
	const pages = 5
	ways := []*httpapi.Pagination{
		nil,
		{Link: true, MaxPages: pages},
		{Cursor: `response.body.?next.orValue("")`, CursorParameter: "after", MaxPages: pages},
		{NextURL: `response.body.?next.orValue("")`, MaxPages: pages},
		{Page: &httpapi.Page{Parameter: "page"}, MaxPages: pages},
		{Page: &httpapi.Page{Parameter: "first", ByItems: true}, MaxPages: pages},
	}
	f.Add(uint8(0), 200, "", []byte(`[{"id":"ann"},{"id":"bob"}]`))
	f.Add(uint8(1), 200, `<https://api.example.com/v1/more>; rel="next"`, []byte(`[]`))
	f.Add(uint8(1), 200, `</v1/%2e%2e/x>; rel=next, <a`, []byte(`{"id":7}`))
	f.Add(uint8(2), 200, "", []byte(`{"id":"ann","next":"x"}`))
	f.Add(uint8(3), 200, "", []byte(`{"id":"ann","next":"//elsewhere.example.com/v1/"}`))
	f.Add(uint8(4), 404, "", []byte(`{"message":"gone"}`))
	f.Add(uint8(5), 200, "", []byte(`[{"id":1.5}]`))
	f.Fuzz(func(t *testing.T, way uint8, status int, link string, body []byte) {
		if status < 200 || status > 599 {
			return
		}
		server := &always{t: t, status: status, link: link, body: body}
		ops := operations()
		ops.Observe.Holders.Pagination = ways[int(way)%len(ways)]
		b, err := httpapi.New(httpapi.Options{
			BaseURL: "https://api.example.com/v1", Operations: ops,
			Client: httpclient.New(httpclient.Options{Authentication: httpclient.Bearer(secret), Transport: server}),
		})
		if err != nil {
			t.Fatal(err)
		}
		seen, err := b.Observe(t.Context(), provisioning.Subject{ID: "ann"}, []string{"editors"})
		if server.asked > pages+1 {
			t.Errorf("%d requests", server.asked)
		}
		if err != nil {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("it shows the token: %v", err)
			}
			return
		}
		if !json.Valid(body) || status >= 300 && status != http.StatusNotFound {
			t.Errorf("%d %q is taken for %+v", status, body, seen)
		}
		if seen.Entitlements["editors"].Presence == provisioning.Present && !names(body, "ann") {
			t.Errorf("%q makes a holder", body)
		}
	})
}

// names tells whether a text stands anywhere in a JSON value as a string.
func names(body []byte, text string) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		if token == text {
			return true
		}
	}
}
