// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
)

const (
	nowhere = "00000000-0000-4000-8000-000000000000"
	taskA   = "7ac60a4b-4b4d-4fc1-988c-f95254591f06"
)

var grace = cakewalk.User{ID: "c1b264ce-29bf-47f3-973a-e0f0187e430f", Email: "grace@example.com", FullName: "Grace"}

// newClient returns a client of a fake, with a gate of its own.
func newClient(t *testing.T, f *cakewalktest.Fake) *cakewalk.Client {
	t.Helper()
	return newClientAt(t, f.URL, f.Key, f.Secret)
}

func newClientAt(t *testing.T, url, key, secret string) *cakewalk.Client {
	t.Helper()
	c, err := cakewalk.NewClient(cakewalk.ClientOptions{BaseURL: url, Key: key, Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// answering serves one answer to everything.
func answering(t *testing.T, status int, body string, header ...string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func wantFault(t *testing.T, err error, fault cakewalk.Fault, status int, words ...string) *cakewalk.APIError {
	t.Helper()
	of, ok := errors.AsType[*cakewalk.APIError](err)
	if !ok {
		t.Fatalf("got %T: %v, want an *APIError with %q", err, err, fault)
	}
	if of.Fault != fault || of.Status != status {
		t.Errorf("got %q with status %d: %v, want %q with %d", of.Fault, of.Status, err, fault, status)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not hold %q", err, word)
		}
	}
	return of
}

func TestTask(t *testing.T) {
	f := cakewalktest.Start(t, cakewalktest.Options{})
	made := time.Date(2026, 11, 23, 7, 44, 3, 0, time.UTC)
	ann := cakewalk.User{ID: "1934ea57-962f-41de-bf2c-ba2c288e7f68", Email: "ann@example.com", FullName: "Ann"}
	f.AddTask(cakewalktest.Task{
		ID: taskA, CreatedAt: made, AssignedTo: []cakewalk.User{ann}, Autoprovisioning: true,
		Request: &cakewalktest.Request{
			ID: "0b0f1e57-4c52-4a0e-9a55-0d7f0b6c2a11", Type: "RemoveAccessRequest", Purpose: "leaves", RequestedBy: &ann, TargetUser: &grace,
			WorkApp: &cakewalk.NamedObject{ID: "b95160f2-1eec-4cf0-8f49-bb4f29936f5d", Name: "Google Workspace"},
			Level:   &cakewalk.NamedObject{ID: "5f7f2f0e-6a5f-4d7e-8f65-6b0a1f0f9d10", Name: "Editor"},
		},
	})
	got, err := newClient(t, f).Task(t.Context(), strings.ToUpper(taskA))
	if err != nil {
		t.Fatal(err)
	}
	want := &cakewalk.Task{
		ID: taskA, Type: cakewalktest.TypeAction, Status: cakewalktest.StatusPending, CreatedAt: made,
		Autoprovisioning: new(true), ActionStep: new(true), AssignedUser: &ann, Claimers: []cakewalk.User{ann},
		Request: &cakewalk.TaskRequest{
			ID: "0b0f1e57-4c52-4a0e-9a55-0d7f0b6c2a11", Type: "RemoveAccessRequest", Status: cakewalktest.StatusPending,
			RequestedBy: ann.ID, TargetUserID: grace.ID, WorkAppID: "b95160f2-1eec-4cf0-8f49-bb4f29936f5d",
			PermissionLevelID: "5f7f2f0e-6a5f-4d7e-8f65-6b0a1f0f9d10", Purpose: "leaves", CreatedAt: made,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestApproveAndDecline(t *testing.T) {
	f := cakewalktest.Start(t, cakewalktest.Options{})
	c := newClient(t, f)
	approved, declined := f.AddTask(cakewalktest.Task{}), f.AddTask(cakewalktest.Task{})
	if err := c.Approve(t.Context(), approved, nil); err != nil {
		t.Error(err)
	}
	if err := c.Decline(t.Context(), declined, json.RawMessage(`{"comment":"no"}`)); err != nil {
		t.Error(err)
	}
	for id, want := range map[string][2]string{approved: {cakewalktest.StatusApproved, `{}`}, declined: {cakewalktest.StatusDeclined, `{"comment":"no"}`}} {
		if task, _ := f.Task(id); task.Status != want[0] || task.ClosingBody != want[1] || !task.ClosedByAPI {
			t.Errorf("got %q with the body %q, want %q", task.Status, task.ClosingBody, want)
		}
	}
	wantFault(t, c.Approve(t.Context(), approved, nil), cakewalk.FaultConflict, 409, "already acted")
	wantFault(t, c.Approve(t.Context(), nowhere, nil), cakewalk.FaultNotFound, 404)
	before := len(f.Requests())
	for _, body := range []string{`[]`, `null`, `{`, `"x"`} {
		wantFault(t, c.Approve(t.Context(), declined, json.RawMessage(body)), cakewalk.FaultRefused, 0)
	}
	if got := len(f.Requests()); got != before {
		t.Errorf("%d requests with a body that is no object", got-before)
	}
	f.SetReadOnly(true)
	wantFault(t, c.Approve(t.Context(), declined, nil), cakewalk.FaultForbidden, 403, "read-only")
	if _, err := c.Task(t.Context(), declined); err != nil {
		t.Error("a read-only key may read: ", err)
	}
}

func TestNoAnswer(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	_, err := newClientAt(t, gone.URL, "k", "s").Task(t.Context(), taskA)
	wantFault(t, err, cakewalk.FaultAway, 0, "refused")

	secure := httptest.NewTLSServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(secure.Close)
	_, err = newClientAt(t, secure.URL, "k", "s").Task(t.Context(), taskA)
	wantFault(t, err, cakewalk.FaultAway, 0, "certificateAuthority")

	f := cakewalktest.Start(t, cakewalktest.Options{})
	id := f.AddTask(cakewalktest.Task{})
	f.Inject(cakewalktest.Fault{LoseAnswer: true, Times: 1})
	wantFault(t, newClient(t, f).Approve(t.Context(), id, nil), cakewalk.FaultAway, 0)
	if task, _ := f.Task(id); task.Status != cakewalktest.StatusApproved {
		t.Errorf("the answer was lost before the effect: %s", task.Status)
	}
}

func TestACallerThatGoesAwayClosesNothing(t *testing.T) {
	f := cakewalktest.Start(t, cakewalktest.Options{})
	id := f.AddTask(cakewalktest.Task{})
	c := newClient(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	f.Inject(cakewalktest.Fault{Times: 1, Match: func(*http.Request) bool { cancel(); return true }, Delay: time.Hour})
	if _, err := c.Task(ctx, id); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Task(t.Context(), id); err != nil {
		t.Error(err)
	}
}

func TestWhatClosesTheClient(t *testing.T) {
	tests := map[string]struct {
		fault cakewalktest.Fault
		want  cakewalk.Fault
	}{
		"no answer":               {cakewalktest.Fault{Away: true}, cakewalk.FaultAway},
		"a failure":               {cakewalktest.Fault{Status: 502}, cakewalk.FaultAway},
		"a page":                  {cakewalktest.Fault{Body: "<html>"}, cakewalk.FaultAway},
		"refused credentials":     {cakewalktest.Fault{Status: 401}, cakewalk.FaultUnauthorized},
		"a limit":                 {cakewalktest.Fault{Status: 429, RetryAfter: 9}, cakewalk.FaultRateLimited},
		"a key that may not":      {cakewalktest.Fault{Status: 403}, ""},
		"no such task":            {cakewalktest.Fault{Status: 404, Body: "{}"}, ""},
		"a conflict":              {cakewalktest.Fault{Status: 409}, ""},
		"a bad request":           {cakewalktest.Fault{Status: 422}, ""},
		"a task that is not well": {cakewalktest.Fault{Body: `{"data":{"id":7}}`}, ""},
		"a page that is not there": {
			cakewalktest.Fault{Status: 404}, "",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := cakewalktest.Start(t, cakewalktest.Options{})
			id := f.AddTask(cakewalktest.Task{})
			c := newClient(t, f)
			tc.fault.Times = 1
			f.Inject(tc.fault)
			_, first := c.Task(t.Context(), id)
			if first == nil {
				t.Fatal("the fault did not happen")
			}
			err := c.Background().Approve(t.Context(), id, nil)
			if tc.want == "" {
				if err != nil {
					t.Errorf("the client is closed after %v: %v", first, err)
				}
				return
			}
			of, ok := errors.AsType[*cakewalk.APIError](err)
			if !ok || of.Fault != tc.want || of.After <= 0 || of.Error() != first.Error() {
				t.Errorf("got %v after %v", err, first)
			}
			if got := len(f.Requests()); got != 1 {
				t.Errorf("%d requests", got)
			}
		})
	}
}

func TestA404WithoutAProblemCountsWhereTheAPIIsKnown(t *testing.T) {
	f := cakewalktest.Start(t, cakewalktest.Options{})
	c := newClient(t, f)
	if _, err := c.Task(t.Context(), f.AddTask(cakewalktest.Task{})); err != nil {
		t.Fatal(err)
	}
	f.Inject(cakewalktest.Fault{Status: 404})
	_, err := c.Task(t.Context(), taskA)
	wantFault(t, err, cakewalk.FaultNotFound, 404)
}

func TestIDsStayOutOfPaths(t *testing.T) {
	f := cakewalktest.Start(t, cakewalktest.Options{})
	c := newClient(t, f)
	for _, id := range []string{"", "..", "../Users", "x/Approve", taskA + "/Approve", taskA + "?x"} {
		_, err := c.Task(t.Context(), id)
		wantFault(t, err, cakewalk.FaultRefused, 0, "no UUID")
		_, err = c.TasksOf(t.Context(), id)
		wantFault(t, err, cakewalk.FaultRefused, 0)
		_, err = c.PermissionLevels(t.Context(), id)
		wantFault(t, err, cakewalk.FaultRefused, 0)
		wantFault(t, c.Decline(t.Context(), id, nil), cakewalk.FaultRefused, 0)
	}
	if got := len(f.Requests()); got != 0 {
		t.Errorf("%d requests", got)
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	for name, o := range map[string]cakewalk.ClientOptions{
		"no URL":     {Key: "k", Secret: "s"},
		"a path":     {BaseURL: "/api", Key: "k", Secret: "s"},
		"a scheme":   {BaseURL: "ftp://x/", Key: "k", Secret: "s"},
		"no secret":  {BaseURL: "https://x", Key: "k"},
		"no key":     {BaseURL: "https://x", Secret: "s"},
		"not a URL ": {BaseURL: "https://s:ecret@x:y", Key: "k", Secret: "s"},
	} {
		if _, err := cakewalk.NewClient(o); err == nil || strings.Contains(err.Error(), "ecret@") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRequestsCarryTheCredentialsAndNothingElse(t *testing.T) {
	var got *http.Request
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Clone(r.Context()) }))
	t.Cleanup(s.Close)
	c := newClientAt(t, s.URL+"/api/v1/", "the-key", "the-secret")
	if err := c.Approve(t.Context(), taskA, nil); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"X-Api-Key": "the-key", "X-Api-Secret": "the-secret", "Content-Type": "application/json", "Accept": "application/json", "Cookie": "", "Authorization": ""} {
		if got.Header.Get(name) != want {
			t.Errorf("header %s: %q, want %q", name, got.Header.Get(name), want)
		}
	}
	if got.Method != "POST" || got.RequestURI != "/api/v1/Tasks/"+taskA+"/Approve" {
		t.Errorf("%s %s", got.Method, got.RequestURI)
	}
}
