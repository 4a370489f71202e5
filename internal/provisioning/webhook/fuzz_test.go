// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// FuzzJudge holds what is concluded from an answer against what may be: a task is done by 2xx and 409 alone, and what is
// asked later is at the same server.
func FuzzJudge(f *testing.F) {
	f.Add(202, "/tasks/1", "7", []byte(`{"detail":"at work"}`))
	f.Add(202, "https://evil.example.com/1", "-1", []byte(`{}`))
	f.Add(202, "//u:p@hooks.example.com/1", "Wed, 21 Oct 2015 07:28:00 GMT", []byte(`null`))
	f.Add(422, "", "", []byte("{\"message\":\"\x1b[1mno\"}"))
	f.Fuzz(func(t *testing.T, status int, location, after string, body []byte) {
		e := New(Options{URL: "https://hooks.example.com/tasks", Client: httpclient.New(httpclient.Options{}), PollInterval: time.Second})
		said, err := e.judge("1/", e.options.URL, &httpclient.Response{
			Status: status, Header: http.Header{"Location": {location}, "Retry-After": {after}}, Body: body,
		})
		if (err == nil) != (status >= 200 && status < 300 && (status != http.StatusAccepted || location == "") || status == http.StatusConflict) {
			t.Errorf("%d at %q: %v", status, location, err)
		}
		if place := e.place("1/"); place != "" && !strings.HasPrefix(place, "https://hooks.example.com/") && place != "https://hooks.example.com" && !strings.HasPrefix(place, "https://hooks.example.com?") {
			t.Errorf("it would be asked at %q", place)
		}
		if err != nil {
			said = err.Error()
		}
		if strings.ContainsFunc(said, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("%q", said)
		}
		if pending, ok := errors.AsType[*provisioning.PendingError](err); ok && pending.After <= 0 {
			t.Errorf("it would be asked again after %s", pending.After)
		}
	})
}
