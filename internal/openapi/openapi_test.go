// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
	"getcakewalk.io/access-operator/internal/provisioning"
)

func TestOneClientForEachReceiver(t *testing.T) {
	w := newWorld(t)
	if _, _, _, _, ok := w.clients.Condition(client.ObjectKeyFromObject(w.receiver)); ok {
		t.Error("a condition without a request")
	}
	first := w.client()
	if w.client() != first {
		t.Error("two clients for a receiver")
	}
	if w.store.reads != 1 {
		t.Errorf("%d reads", w.store.reads)
	}
	other := w.receiver.DeepCopy()
	other.Name = "other"
	if c, err := w.clients.Client(t.Context(), other); err != nil || c == first {
		t.Errorf("two receivers share a client, %v", err)
	}
	without := w.receiver.DeepCopy()
	without.Spec.CakewalkAPI = nil
	if _, err := w.clients.Client(t.Context(), without); err == nil {
		t.Error("a client without spec.cakewalkAPI")
	}
	if err := w.read(); err != nil {
		t.Error(err)
	}
	w.wantCondition("True", "Answering")
	w.clients.Forget(client.ObjectKeyFromObject(w.receiver))
	if _, _, _, _, ok := w.clients.Condition(client.ObjectKeyFromObject(w.receiver)); ok {
		t.Error("a condition of a receiver that was forgotten")
	}
}

func TestCredentialsAreReadAgain(t *testing.T) {
	rotate := func(w *world) {
		w.fake.SetCredentials("new-key", "new-secret")
		w.store.put("api", map[string]string{"apiKey": "new-key", "apiSecret": "new-secret"})
	}
	tests := map[string]func(w *world){
		"after 30 seconds":           func(w *world) { w.now = w.now.Add(30 * time.Second) },
		"when the spec changed":      func(w *world) { w.receiver.Generation++ },
		"when the receiver is a new": func(w *world) { w.receiver.UID = "2" },
		"after a refusal": func(w *world) {
			if err := w.read(); cakewalk.FaultOf(err) != cakewalk.FaultUnauthorized {
				w.Errorf("got %v", err)
			}
			w.wantCondition("False", "Unauthorized", "credentialsSecretRef")
		},
	}
	for name, when := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if err := w.read(); err != nil {
				t.Fatal(err)
			}
			rotate(w)
			old := w.client()
			when(w)
			// The client is open although the old credentials were refused a moment ago.
			if err := w.read(); err != nil {
				t.Error(err)
			}
			if w.client() == old {
				t.Error("the client is the old one")
			}
			w.wantCondition("True", "Answering")
		})
	}
}

func TestRefusedCredentialsAreReadOnce(t *testing.T) {
	w := newWorld(t)
	w.fake.SetCredentials("x", "y")
	if err := w.read(); cakewalk.FaultOf(err) != cakewalk.FaultUnauthorized {
		t.Fatalf("got %v", err)
	}
	for range 10 {
		if err := w.read(); cakewalk.FaultOf(err) != cakewalk.FaultUnauthorized {
			t.Errorf("got %v", err)
		}
	}
	if w.store.reads != 2 || len(w.fake.Requests()) != 1 {
		t.Errorf("%d reads and %d requests", w.store.reads, len(w.fake.Requests()))
	}
}

func TestWhatIsMissing(t *testing.T) {
	tests := map[string]struct {
		prepare func(w *world)
		reason  string
		words   []string
	}{
		"the Secret":    {func(w *world) { w.store.remove("api") }, "SecretNotFound", []string{"spec.cakewalkAPI.credentialsSecretRef", `secret "api"`}},
		"the key":       {func(w *world) { w.store.put("api", map[string]string{"apiSecret": "x"}) }, "SecretNotFound", []string{`"apiKey"`, `"api"`}},
		"the secret":    {func(w *world) { w.store.put("api", map[string]string{"apiKey": "x", "apiSecret": " \n"}) }, "SecretNotFound", []string{`"apiSecret"`, "empty"}},
		"a line":        {func(w *world) { w.store.put("api", map[string]string{"apiKey": "x\ny", "apiSecret": "z"}) }, "InvalidConfiguration", []string{`"apiKey"`, "control characters"}},
		"the authority": {func(w *world) { w.receiver.Spec.CakewalkAPI.CertificateAuthority = authority() }, "SecretNotFound", []string{"certificateAuthority", `"ca"`}},
		"an authority's PEM": {func(w *world) {
			w.receiver.Spec.CakewalkAPI.CertificateAuthority = authority()
			w.store.put("ca", map[string]string{"ca.crt": "x"})
		}, "InvalidConfiguration", []string{"certificateAuthority", "no certificate"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if err := w.read(); err != nil {
				t.Fatal(err)
			}
			tc.prepare(w)
			w.receiver.Generation++
			for range 2 {
				_, err := w.clients.Client(t.Context(), w.receiver)
				unavailable, ok := errors.AsType[*provisioning.UnavailableError](err)
				if !ok || unavailable.Reason != tc.reason {
					t.Fatalf("got %v", err)
				}
				w.wantCondition("False", tc.reason, tc.words...)
			}
			w.receiver.Spec.CakewalkAPI.CertificateAuthority = nil
			w.store.put("api", map[string]string{"apiKey": w.fake.Key, "apiSecret": w.fake.Secret})
			w.now = w.now.Add(30 * time.Second)
			if err := w.read(); err != nil {
				t.Error(err)
			}
			w.wantCondition("True", "Answering")
		})
	}
}

func authority() *accessv1alpha1.KeySource {
	return &accessv1alpha1.KeySource{SecretRef: &accessv1alpha1.SecretKeyReference{Name: "ca", Key: "ca.crt"}}
}

func TestTheAPIServerIsAway(t *testing.T) {
	w := newWorld(t)
	w.store.away = true
	_, err := w.clients.Client(t.Context(), w.receiver)
	if _, ok := errors.AsType[*provisioning.RetryableError](err); !ok {
		t.Errorf("got %v", err)
	}
	w.store.away = false
	if err := w.read(); err != nil {
		t.Error(err)
	}
}

func TestAReceiversOwnAuthority(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewTLSServer(w.fake)
	t.Cleanup(server.Close)
	w.fake.ServedAt(server.URL)
	w.store.put("ca", map[string]string{"ca.crt": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))})
	w.receiver.Spec.CakewalkAPI.URL, w.receiver.Spec.CakewalkAPI.CertificateAuthority = w.fake.URL, authority()
	if err := w.read(); err != nil {
		t.Error(err)
	}
}

func TestCondition(t *testing.T) {
	tests := map[string]struct {
		fault  cakewalktest.Fault
		status string
		reason string
	}{
		"away":                {cakewalktest.Fault{Away: true}, "False", "Unreachable"},
		"failing":             {cakewalktest.Fault{Status: 503}, "False", "Unreachable"},
		"a page":              {cakewalktest.Fault{Body: "<html>"}, "False", "Unreachable"},
		"refused credentials": {cakewalktest.Fault{Status: 401}, "False", "Unauthorized"},
		"nothing may be read": {cakewalktest.Fault{Status: 403}, "False", "Unauthorized"},
		"a limit":             {cakewalktest.Fault{Status: 429}, "False", "RateLimited"},
		"no such task":        {cakewalktest.Fault{Status: 404, Body: "{}"}, "True", "Answering"},
		"a malformed task":    {cakewalktest.Fault{Body: `{"data":{"id":1}}`}, "True", "Answering"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tc.fault.Times = 1
			w.fake.Inject(tc.fault)
			if err := w.read(); err == nil {
				t.Fatal("the fault did not happen")
			}
			w.wantCondition(tc.status, tc.reason)
			w.now = w.now.Add(time.Minute)
			if err := w.read(); err != nil {
				t.Fatal(err)
			}
			w.wantCondition("True", "Answering")
		})
	}
}

func TestAReadOnlyKeySticks(t *testing.T) {
	approve := func(w *world) error { return w.client().Approve(w.Context(), w.task, nil) }
	w := newWorld(t)
	w.fake.SetReadOnly(true)
	if err := approve(w); cakewalk.FaultOf(err) != cakewalk.FaultForbidden {
		t.Fatalf("got %v", err)
	}
	w.wantCondition("False", "ReadOnlyKey", "read-only")
	if err := w.read(); err != nil {
		t.Fatal(err)
	}
	w.wantCondition("False", "ReadOnlyKey")
	w.fake.SetReadOnly(false)
	if err := approve(w); err != nil {
		t.Fatal(err)
	}
	w.wantCondition("True", "Answering")

	w = newWorld(t)
	w.fake.SetReadOnly(true)
	_ = approve(w)
	w.store.put("api", map[string]string{"apiKey": w.fake.Key, "apiSecret": w.fake.Secret})
	w.now = w.now.Add(time.Minute)
	if err := w.read(); err != nil {
		t.Fatal(err)
	}
	w.wantCondition("True", "Answering")
}

func TestNewCredentialsGiveNoSecondBurst(t *testing.T) {
	w := newWorld(t)
	// The clock stands still, so that nothing is given back; the next turn would come after 71 ms.
	const burst = 50
	for range burst {
		if _, err := w.client().Task(t.Context(), w.task); err != nil {
			t.Fatal(err)
		}
	}
	oneMore := func(when string) {
		t.Helper()
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := w.client().Task(short, w.task); err == nil || len(w.fake.Requests()) != burst {
			t.Errorf("%s: %v, %d requests", when, err, len(w.fake.Requests()))
		}
	}
	oneMore("after the burst")
	w.store.put("api", map[string]string{"apiKey": w.fake.Key, "apiSecret": w.fake.Secret})
	w.receiver.Generation++
	oneMore("with new credentials")
}

func TestMetrics(t *testing.T) {
	w := newWorld(t)
	_ = w.read()
	_ = w.read()
	_ = w.client().Approve(t.Context(), w.task, nil)
	_ = w.client().Decline(t.Context(), w.task, nil)
	w.fake.Inject(cakewalktest.Fault{Away: true})
	_ = w.read()
	want := `# HELP access_operator_cakewalk_requests_total Requests to Cakewalk's Open API, by operation (for example get_task or approve_task) and status code (none for no answer).
# TYPE access_operator_cakewalk_requests_total counter
access_operator_cakewalk_requests_total{code="200",operation="get_task"} 2
access_operator_cakewalk_requests_total{code="204",operation="approve_task"} 1
access_operator_cakewalk_requests_total{code="409",operation="decline_task"} 1
access_operator_cakewalk_requests_total{code="none",operation="get_task"} 1
`
	if err := testutil.GatherAndCompare(w.registry, strings.NewReader(want), "access_operator_cakewalk_requests_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(w.registry, "access_operator_cakewalk_request_duration_seconds"); err != nil || n != 3 {
		t.Errorf("%d histograms, %v", n, err)
	}
}
