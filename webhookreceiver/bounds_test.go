// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

var flooded, quiet = types.NamespacedName{Namespace: "a", Name: "flooded"}, types.NamespacedName{Namespace: "b", Name: "quiet"}

func TestDeliveriesInFlightAreBounded(t *testing.T) {
	a := newAdmission(10)
	fill := func(receiver types.NamespacedName, n int) (leaves []func()) {
		t.Helper()
		for range n {
			leave, ok := a.enter(receiver)
			if !ok {
				t.Fatalf("refused with %+v in flight", a.inFlight())
			}
			leaves = append(leaves, leave)
		}
		if _, ok := a.enter(receiver); ok {
			t.Error("admitted beyond the bound")
		}
		return leaves
	}
	leaves := fill(flooded, maxInFlight/2)
	leaves = append(leaves, fill(quiet, maxInFlight/2)...)
	if _, ok := a.enter(types.NamespacedName{Name: "third"}); ok {
		t.Error("admitted beyond the bound of all")
	}
	for _, leave := range leaves {
		leave()
	}
	if got := a.inFlight(); got != (use{}) || len(a.used) != 0 {
		t.Errorf("%+v is left in flight, of %d receivers", got, len(a.used))
	}
}

func TestBytesInFlightAreBounded(t *testing.T) {
	a := newAdmission(10)
	a.all.bytes, a.each.bytes = 25, 15
	for _, receiver := range []types.NamespacedName{flooded, quiet} {
		if _, ok := a.enter(receiver); !ok {
			t.Fatal("refused")
		}
	}
	read := func(receiver types.NamespacedName, want error) (free func()) {
		t.Helper()
		_, free, err := a.read(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(make([]byte, 10))), receiver)
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
		return free
	}
	free := read(flooded, nil)
	read(flooded, errTooManyBytes)()
	freeQuiet := read(quiet, nil)
	free()
	read(flooded, nil)()
	freeQuiet()
	if got := a.inFlight().bytes; got != 0 {
		t.Errorf("%d bytes are left in flight", got)
	}
}

// hold begins deliveries to a receiver whose bodies do not end before end is called.
func (s *suite) hold(t *testing.T, receiver string, n int) (end func()) {
	t.Helper()
	var writers []*io.PipeWriter
	answered := make(chan struct{}, n)
	before := s.server.handler.admission.inFlight().deliveries
	for range n {
		reader, writer := io.Pipe()
		writers = append(writers, writer)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+(*s.server.address.Load()).String()+s.path(receiver), reader)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer func() { answered <- struct{}{} }()
			if response, err := http.DefaultClient.Do(request); err == nil {
				response.Body.Close()
			}
		}()
	}
	eventually(t, "they are in flight", func() bool { return s.server.handler.admission.inFlight().deliveries == before+int64(n) })
	return func() {
		for _, w := range writers {
			w.Close()
		}
		for range n {
			<-answered
		}
	}
}

func TestTheFloodOfOneReceiverLeavesRoomForAnother(t *testing.T) {
	s := start(t, nil)
	s.receiver(t, "flooded", secret, nil)
	s.receiver(t, "quiet", secret, nil)
	s.server.handler.admission.all.deliveries, s.server.handler.admission.each.deliveries = 8, 4
	end := s.hold(t, "flooded", 4)
	defer end()
	if got := s.post(t, "flooded", secret, "[]"); got.code != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Error("beyond the bound:", got.code, got.body)
	}
	if got := s.post(t, "quiet", secret, grant(id(1), "{}")); got.code != http.StatusOK {
		t.Error("another receiver:", got.code, got.body)
	}
	if got := counted(t, s.registry, "access_operator_webhook_in_flight")[""]; got != 4 {
		t.Errorf("%v are said to be in flight", got)
	}
	eventually(t, "the refusal is counted", func() bool { return s.refusals(t, "flooded")["in_flight"] == 1 })
}

// refusals are the refusals of a receiver by their reasons, without those that did not happen.
func (s *suite) refusals(t *testing.T, receiver string) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for labels, value := range counted(t, s.registry, "access_operator_webhook_refusals_total") {
		if l := strings.Fields(labels); value > 0 && len(l) == 3 && l[0] == s.namespace && l[2] == receiver {
			all[l[1]] = value
		}
	}
	return all
}

func TestRefusalsAreCountedByTheirReasons(t *testing.T) {
	s := start(t, func(_ *manager.Options, o *Options) { o.MaxBodyBytes = 2000 })
	s.receiver(t, "suspended", secret, func(r *accessv1alpha1.WebhookReceiver) { r.Spec.Suspend = new(true) })
	s.receiver(t, "keyless", "", nil)
	s.receiver(t, "full", secret, func(r *accessv1alpha1.WebhookReceiver) { r.Spec.Limits.MaxUnfinishedTasks = 1 })
	s.receiver(t, "strict", secret, func(r *accessv1alpha1.WebhookReceiver) { r.Spec.Limits.MaxEventsPerDelivery = 1 })
	if got := s.post(t, "full", secret, grant(id(1), "{}")); got.code != http.StatusOK {
		t.Fatal(got.code, got.body)
	}
	eventually(t, "the backlog is known", func() bool {
		return counted(t, s.registry, "access_operator_unfinished_tasks")[s.namespace+" full"] == 1
	})
	if got := counted(t, s.registry, "access_operator_unfinished_tasks_limit")[s.namespace+" full"]; got != 1 {
		t.Errorf("the limit is said to be %v", got)
	}
	for _, c := range []struct {
		receiver, secret, body string
		code                   int
		reason                 string
	}{
		{"suspended", secret, "[]", http.StatusServiceUnavailable, "suspended"},
		{"keyless", secret, "[]", http.StatusServiceUnavailable, "no_keys"},
		{"full", secret, "[]", http.StatusServiceUnavailable, "backlog"},
		{"strict", secret, strings.Repeat(" ", 2001), http.StatusRequestEntityTooLarge, "too_large"},
		{"strict", "another", "[]", http.StatusUnauthorized, "signature"},
		{"strict", secret, "x", http.StatusBadRequest, "malformed"},
		{"strict", secret, "[{},{}]", http.StatusRequestEntityTooLarge, "too_many_events"},
		{"strict", secret, "[{}]", http.StatusUnprocessableEntity, "invalid_events"},
	} {
		got := s.post(t, c.receiver, c.secret, c.body)
		if got.code != c.code || (got.header.Get("Retry-After") != "") != (c.code == http.StatusServiceUnavailable) {
			t.Errorf("%s: %d %v %s", c.reason, got.code, got.header, got.body)
		}
		eventually(t, "it is counted as "+c.reason, func() bool { return s.refusals(t, c.receiver)[c.reason] == 1 })
	}
}
