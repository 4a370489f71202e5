// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/provisioningtest"
	"getcakewalk.io/access-operator/internal/provisioning/webhook"
)

// automation is a system that takes tasks by webhook. What it trusts is decided by the Standard Webhooks project's own
// library.
type automation struct {
	server *httptest.Server
	proxy  *provisioningtest.HTTPProxy
	// polled answers 202 with a Location first.
	polled  bool
	secrets []string

	mu      sync.Mutex
	ends    map[string][]provisioningtest.End
	carried map[string]int
	done    map[string]int // the status of the end
	asked   map[string]int
}

var _ provisioningtest.ExecutorTarget = (*automation)(nil)

func TestWebhookConformance(t *testing.T) {
	for name, polled := range map[string]bool{"answers at once": false, "is polled": true} {
		t.Run(name, func(t *testing.T) {
			a := &automation{
				polled: polled, secrets: []string{newSecret(0)},
				ends: map[string][]provisioningtest.End{}, carried: map[string]int{}, done: map[string]int{}, asked: map[string]int{},
			}
			a.server = httptest.NewServer(http.HandlerFunc(a.serve))
			t.Cleanup(a.server.Close)
			a.proxy = provisioningtest.NewHTTPProxy(t, a.server.URL)
			provisioningtest.RunExecutorConformance(t, a)
		})
	}
}

func newSecret(n int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "a secret of 32 bytes, number %04d", n))
}

// verify takes a message that any of the secrets in force has signed.
func (a *automation) verify(body []byte, h http.Header) error {
	wh, err := standardwebhooks.NewWebhook(a.secrets[len(a.secrets)-1])
	if err != nil {
		return err
	}
	return wh.Verify(body, h)
}

func (a *automation) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.verify(body, r.Header); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	id := r.Header.Get("Webhook-Id")
	if r.Method == http.MethodGet {
		if a.asked[id]++; a.asked[id]%3 != 0 {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.WriteHeader(a.done[id])
		return
	}
	var message struct {
		Type string
		Data struct {
			TaskID string
			Event  json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &message); err != nil || message.Type != "access_task.execute" || message.Data.TaskID != id {
		http.Error(w, fmt.Sprintf("%+v %v", message, err), http.StatusBadRequest)
		return
	}
	if events, err := cakewalk.Decode(message.Data.Event, 1); err != nil || events[0].Task == nil || events[0].Task.TaskID != id {
		http.Error(w, "the event is not Cakewalk's", http.StatusBadRequest)
		return
	}
	if a.done[id] == http.StatusOK {
		w.WriteHeader(http.StatusConflict)
		return
	}
	a.carried[id]++
	a.done[id] = a.next(id)
	if a.polled {
		w.Header().Set("Location", "/tasks/"+id)
		w.WriteHeader(http.StatusAccepted)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(a.done[id])
	fmt.Fprintf(w, `{"detail":"so it is, with %s"}`, a.secrets[len(a.secrets)-1])
}

// next is the status of how a task ends this time.
func (a *automation) next(id string) int {
	end := provisioningtest.Succeeds
	if ends := a.ends[id]; len(ends) > 0 {
		end = ends[0]
		if len(ends) > 1 {
			a.ends[id] = ends[1:]
		}
	}
	return map[provisioningtest.End]int{
		provisioningtest.Succeeds: http.StatusOK, provisioningtest.FailsForNow: http.StatusServiceUnavailable, provisioningtest.Fails: http.StatusUnprocessableEntity,
	}[end]
}

func (a *automation) Executor(tb testing.TB) provisioning.Executor {
	return a.executor(tb, a.proxy.URL, a.secrets[len(a.secrets)-1])
}

func (*automation) executor(tb testing.TB, url string, secrets ...string) provisioning.Executor {
	client := httpclient.New(httpclient.Options{Timeout: 2 * time.Second})
	tb.Cleanup(client.Close)
	var all []webhook.Secret
	for _, text := range secrets {
		s, err := webhook.ParseSecret(text)
		must(tb, err)
		all = append(all, s)
	}
	return webhook.New(webhook.Options{URL: url + "/hook", Secrets: all, Client: client, PollInterval: time.Second})
}

func (a *automation) Proxy() provisioningtest.Proxy { return a.proxy }

func (a *automation) Ends(_ testing.TB, id string, ends ...provisioningtest.End) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ends[id] = ends
}

func (a *automation) Carried(_ testing.TB, id string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.carried[id]
}

func (*automation) Task(_ testing.TB, id string) provisioning.Task { return newTask(id) }

// newTask is a task to grant ann the level Editor.
func newTask(id string) provisioning.Task {
	return provisioning.Task{
		ID: id, Namespace: team, Name: id, UID: id, Kind: provisioning.Grant, RequestType: "GrantAccessRequest",
		Subject: provisioning.Subject{ID: ann}, UserEmail: ann, WorkApp: "Google Workspace", Level: "Editor", Entitlements: []string{"editors"},
		Event: cakewalk.EncodeActionTask(cakewalk.ActionTask{TaskID: id, Request: &cakewalk.RequestMetadata{
			Type: "GrantAccessRequest", TargetUser: &cakewalk.User{Email: ann}, TargetWorkApp: &cakewalk.NamedObject{Name: "Google Workspace"},
			PermissionLevel: &cakewalk.NamedObject{Name: "Editor"},
		}}),
	}
}

func (a *automation) Traits() provisioningtest.ExecutorTraits {
	return provisioningtest.ExecutorTraits{
		Faults: []provisioningtest.Fault{
			provisioningtest.Busy, provisioningtest.BusyForSeconds, provisioningtest.Fail, provisioningtest.FailAfter, provisioningtest.Hang,
		},
		Secrets: func() []string {
			var all []string
			for _, s := range a.secrets {
				all = append(all, s, strings.TrimPrefix(s, "whsec_"))
			}
			return all
		},
		WrongSecret: func(tb testing.TB) provisioning.Executor { return a.executor(tb, a.proxy.URL, newSecret(9999)) },
		Nowhere:     func(tb testing.TB) provisioning.Executor { return a.executor(tb, "http://127.0.0.1:1", newSecret(0)) },
		Rotate: func(testing.TB) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.secrets = append(a.secrets, newSecret(len(a.secrets)))
		},
	}
}

// While the receiving side is changed from one secret to the next, both sign.
func TestWebhookSignsWithEverySecret(t *testing.T) {
	a := &automation{
		secrets: []string{newSecret(0)},
		ends:    map[string][]provisioningtest.End{}, carried: map[string]int{}, done: map[string]int{}, asked: map[string]int{},
	}
	a.server = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.server.Close)
	e := a.executor(t, a.server.URL, newSecret(0), newSecret(1))
	for i, id := range []string{"00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"} {
		a.secrets = []string{newSecret(i)}
		if _, err := e.Execute(t.Context(), newTask(id)); err != nil {
			t.Error(err)
		}
	}
}
