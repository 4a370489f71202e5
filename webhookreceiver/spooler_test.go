// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/audit"
	"getcakewalk.io/access-operator/internal/spool"
)

// outage is a suite with a spool, whose way to the API server can be cut. Only the test drains the spool.
type outage struct {
	*suite
	dir   string
	fault atomic.Pointer[error]
	// invalid is a task that the API server refuses as invalid.
	invalid string
	created []string
	mu      sync.Mutex
	audited bytes.Buffer
	now     time.Time
}

func newOutage(t *testing.T, maxBytes int64) *outage {
	t.Helper()
	o := &outage{dir: filepath.Join(t.TempDir(), "spool"), now: time.Now()}
	o.suite = faulty(t, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			if _, receiver := object.(*accessv1alpha1.WebhookReceiver); receiver && o.fault.Load() != nil {
				return *o.fault.Load()
			}
			return c.Get(ctx, key, object, options...)
		},
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
			if o.fault.Load() != nil {
				return *o.fault.Load()
			}
			if object.GetName() == o.invalid {
				return apierrors.NewInvalid(schema.GroupKind{Kind: "AccessTask"}, o.invalid, nil)
			}
			err := c.Create(ctx, object, options...)
			if err == nil {
				o.mu.Lock()
				defer o.mu.Unlock()
				o.created = append(o.created, object.GetName())
			}
			return err
		},
	})
	o.open(t, maxBytes)
	o.secret(t, "cakewalk", secret)
	o.plainReceiver(t)
	if got := o.post(t, "cakewalk", secret, "[]"); got.code != http.StatusOK {
		t.Fatal(got.code, got.body)
	}
	return o
}

// open gives the handler a spool, as a process that starts does.
func (o *outage) open(t *testing.T, maxBytes int64) []spool.SetAside {
	t.Helper()
	kept, reports, err := openSpool(Options{SpoolDir: o.dir, SpoolMaxBytes: maxBytes})
	if err != nil {
		t.Fatal(err)
	}
	h := o.server.handler
	h.spool, h.maxSpoolAge, h.audit, h.now = kept, time.Hour, audit.New(&o.audited, nil), func() time.Time { return o.now }
	h.store.arrivals.now = h.now
	h.spooler = newSpooler(h.dependencies, h.store)
	t.Cleanup(h.spooler.close)
	return reports
}

func (o *outage) cut(err error) { o.fault.Store(&err) }
func (o *outage) heal()         { o.fault.Store(nil) }

func (o *outage) drain(t *testing.T) progress {
	t.Helper()
	return o.server.handler.spooler.drain(t.Context())
}

func (o *outage) stats() spool.Stats { return o.server.handler.spool.Stats() }

// told counts the audit log's lines by event and outcome.
func (o *outage) told() map[string]int {
	all := map[string]int{}
	for line := range strings.Lines(o.audited.String()) {
		_, rest, _ := strings.Cut(line, `"event":"`)
		event, rest, _ := strings.Cut(rest, `"`)
		_, rest, _ = strings.Cut(rest, `"outcome":"`)
		outcome, _, _ := strings.Cut(rest, `"`)
		all[event+" "+outcome]++
	}
	return all
}

// onePerson is somebody whose tasks are stored one after the other.
const onePerson = `{"email":"ann@example.com"}`

var unreachable = &url.Error{Op: "Post", URL: "https://192.0.2.1", Err: errors.New("connection refused")}

func TestDeliveriesAreSpooledAndStoredInOrderOfArrival(t *testing.T) {
	o := newOutage(t, 1<<20)
	o.cut(unreachable)
	got := o.post(t, "cakewalk", secret, "["+grant(id(1), onePerson)+","+grant("x", "{}")+`,{"eventType":"test","data":{"message":"Hello, World!"}}]`)
	if got.code != http.StatusUnprocessableEntity || got.Spooled != 1 || got.Invalid != 1 || len(got.Errors) != 1 {
		t.Errorf("with a malformed event: %d %s", got.code, got.body)
	}
	for i := 2; i < 5; i++ {
		got = o.post(t, "cakewalk", secret, "["+grant(id(i), onePerson)+"]")
		want := fmt.Sprintf(`{"received":1,"stored":0,"duplicates":0,"ignored":0,"spooled":1,"events":[{"index":0,"taskID":%q,"outcome":"spooled"}]}`+"\n", id(i))
		if got.code != http.StatusAccepted || got.body != want || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%d %v %s", got.code, got.header, got.body)
		}
	}
	if p := o.drain(t); p != serverAway || o.stats().Files != 4 {
		t.Errorf("progress %d, %+v", p, o.stats())
	}
	o.heal()
	// One that comes now waits behind those that are spooled.
	if got := o.post(t, "cakewalk", secret, grant(id(5), onePerson)); got.code != http.StatusAccepted {
		t.Error(got.code, got.body)
	}
	if got := o.post(t, "cakewalk", secret, "[]"); got.code != http.StatusOK {
		t.Error("nothing to store is not spooled:", got.code)
	}
	if p := o.drain(t); p != drained || o.stats() != (spool.Stats{}) {
		t.Errorf("progress %d, %+v", p, o.stats())
	}
	if got := o.post(t, "cakewalk", secret, grant(id(6), onePerson)); got.code != http.StatusOK {
		t.Error(got.code, got.body)
	}
	tasks := o.tasks(t)
	for i := 2; i < 7; i++ {
		before, after := tasks[id(i-1)], tasks[id(i)]
		if !before.Spec.ReceivedTime.Before(after.Spec.ReceivedTime) {
			t.Errorf("task %d arrived %v and the next %v", i-1, before.Spec.ReceivedTime, after.Spec.ReceivedTime)
		}
	}
	// All of one person: created one by one in the order of arrival.
	if diff := cmp.Diff([]string{id(1), id(2), id(3), id(4), id(5), id(6)}, o.created); diff != "" {
		t.Error(diff)
	}
	want := map[string]int{"DeliveryVerified verified": 8, "DeliverySpooled spooled": 5, "TaskStored stored": 6}
	if diff := cmp.Diff(want, o.told()); diff != "" {
		t.Error(diff)
	}
}

func TestTheTimeOfArrivalOrdersWhateverIsStoredFirst(t *testing.T) {
	o := newOutage(t, 1<<20)
	o.cut(unreachable)
	if got := o.post(t, "cakewalk", secret, grant(id(1), "{}")); got.code != http.StatusAccepted {
		t.Fatal(got.code, got.body)
	}
	o.heal()
	// As another replica does, which knows nothing of what is spooled here.
	o.server.handler.spooler = nil
	if got := o.post(t, "cakewalk", secret, grant(id(2), "{}")); got.code != http.StatusOK {
		t.Fatal(got.code, got.body)
	}
	o.server.handler.spooler = newSpooler(o.server.handler.dependencies, o.server.handler.store)
	o.drain(t)
	tasks := o.tasks(t)
	first, second := tasks[id(1)], tasks[id(2)]
	if diff := cmp.Diff([]string{id(2), id(1)}, o.created); diff != "" || !first.Spec.ReceivedTime.Before(second.Spec.ReceivedTime) {
		t.Error(diff, first.Spec.ReceivedTime, second.Spec.ReceivedTime)
	}
}

func TestWhatCountsAsAway(t *testing.T) {
	tasks := schema.GroupResource{Group: "access.getcakewalk.io", Resource: "accesstasks"}
	for name, tc := range map[string]struct {
		err  error
		code int
	}{
		"no connection":         {unreachable, http.StatusAccepted},
		"a timeout":             {context.DeadlineExceeded, http.StatusAccepted},
		"too many requests":     {apierrors.NewTooManyRequests("busy", 1), http.StatusAccepted},
		"an internal error":     {apierrors.NewInternalError(errors.New("etcd")), http.StatusAccepted},
		"unavailable":           {apierrors.NewServiceUnavailable("starting"), http.StatusAccepted},
		"forbidden":             {apierrors.NewForbidden(tasks, "x", errors.New("quota")), http.StatusServiceUnavailable},
		"the namespace is gone": {apierrors.NewNotFound(tasks, "x"), http.StatusServiceUnavailable},
		"unauthorized":          {apierrors.NewUnauthorized("who?"), http.StatusServiceUnavailable},
		"no such kind":          {&meta.NoKindMatchError{}, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOutage(t, 1<<20)
			o.cut(tc.err)
			got := o.post(t, "cakewalk", secret, "["+grant(id(1), "{}")+","+grant(id(2), "{}")+"]")
			if got.code != tc.code || o.stats().Files != map[int]int{http.StatusAccepted: 1}[tc.code] {
				t.Errorf("%d %s, %+v", got.code, got.body, o.stats())
			}
		})
	}
}

func TestPartOfADeliveryIsStoredAgainWhole(t *testing.T) {
	o := newOutage(t, 1<<20)
	body := "[" + grant(id(1), "{}") + "," + grant(id(2), "{}") + "," + grant(id(3), "{}") + "]"
	if got := o.post(t, "cakewalk", secret, grant(id(1), "{}")); got.code != http.StatusOK {
		t.Fatal(got.code)
	}
	o.cut(unreachable)
	if got := o.post(t, "cakewalk", secret, body); got.code != http.StatusAccepted || got.answered.Spooled != 3 {
		t.Fatal(got.code, got.body)
	}
	o.heal()
	if p := o.drain(t); p != drained || len(o.tasks(t)) != 3 {
		t.Errorf("progress %d, %d tasks", p, len(o.tasks(t)))
	}
	if got := o.told(); got["TaskKnown duplicate"] != 1 || got["TaskStored stored"] != 3 {
		t.Error(got)
	}
}

func TestAFullSpoolRefuses(t *testing.T) {
	o := newOutage(t, 4*4096)
	o.cut(unreachable)
	var codes []int
	for i := range 3 {
		got := o.post(t, "cakewalk", secret, grant(id(i), "{}"))
		codes = append(codes, got.code)
		if (got.header.Get("Retry-After") != "") != (got.code == http.StatusServiceUnavailable) {
			t.Error(got.header)
		}
	}
	if diff := cmp.Diff([]int{202, 202, 503}, codes); diff != "" {
		t.Error("one receiver beyond its half:", diff)
	}
	eventually(t, "it is counted", func() bool { return o.refusals(t, "cakewalk")["spool_full"] == 1 })
	if err := os.RemoveAll(o.dir); err != nil {
		t.Fatal(err)
	}
	o.open(t, 1<<20)
	if err := os.RemoveAll(o.dir); err != nil {
		t.Fatal(err)
	}
	if got := o.post(t, "cakewalk", secret, grant(id(9), "{}")); got.code != http.StatusServiceUnavailable {
		t.Error("a disk that fails:", got.code)
	}
	eventually(t, "it is counted", func() bool { return o.refusals(t, "cakewalk")["spool_failed"] == 1 })
}

// asideFiles are the files that are set aside, by the ends of their names.
func (o *outage) asideFiles(t *testing.T) map[string]int {
	t.Helper()
	found, err := os.ReadDir(filepath.Join(o.dir, "set-aside"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int{}
	for _, f := range found {
		all[filepath.Ext(f.Name())]++
	}
	return all
}

func TestWhatCannotBeStoredIsSetAsideAndBlocksNothing(t *testing.T) {
	o := newOutage(t, 1<<20)
	other := &accessv1alpha1.WebhookReceiver{ObjectMeta: objectMeta(o.namespace, "other")}
	other.Spec.Verification.HMAC = &accessv1alpha1.HMACVerification{SecretRefs: []accessv1alpha1.SecretKeyReference{{Name: "cakewalk", Key: "secret"}}}
	if err := o.client.Create(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if got := o.post(t, "other", secret, "[]"); got.code != http.StatusOK {
		t.Fatal(got.code)
	}
	o.cut(unreachable)
	spooled := func(receiver, body string) {
		t.Helper()
		if got := o.post(t, receiver, secret, body); got.code != http.StatusAccepted {
			t.Fatal(got.code, got.body)
		}
	}
	spooled("cakewalk", grant(id(1), onePerson))
	o.now = o.now.Add(2 * time.Hour)
	spooled("cakewalk", grant(id(2), onePerson))
	spooled("other", grant(id(3), onePerson))
	// A policy of the cluster refuses one of them as invalid.
	o.invalid = id(4)
	spooled("cakewalk", "["+grant(id(4), onePerson)+","+grant(id(5), onePerson)+"]")
	spooled("cakewalk", grant(id(6), onePerson))
	if err := o.client.Delete(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	damaged := o.server.handler.spool.Entries()[1].Name
	if err := os.WriteFile(filepath.Join(o.dir, damaged), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.heal()
	if p := o.drain(t); p != drained || o.stats().Files != 0 || o.stats().AsideFiles != 4 {
		t.Errorf("progress %d, %+v", p, o.stats())
	}
	if diff := cmp.Diff([]string{id(5), id(6)}, o.created); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{".expired": 1, ".damaged": 1, ".receiver-gone": 1, ".invalid": 1}, o.asideFiles(t)); diff != "" {
		t.Error(diff)
	}
	counts := counted(t, o.registry, "access_operator_spool_set_aside_total")
	if diff := cmp.Diff(map[string]float64{"expired": 1, "damaged": 1, "receiver-gone": 1, "invalid": 1}, counts); diff != "" {
		t.Error(diff)
	}
	if got := o.told()["DeliverySetAside setAside"]; got != 4 {
		t.Errorf("%d lines in the audit log", got)
	}
}

func TestAReceiverThatIsRefusedHoldsUpNobodyElse(t *testing.T) {
	o := newOutage(t, 1<<20)
	second := o.client.(client.Client)
	other := &accessv1alpha1.WebhookReceiver{ObjectMeta: objectMeta(o.namespace, "other")}
	other.Spec.Verification.HMAC = &accessv1alpha1.HMACVerification{SecretRefs: []accessv1alpha1.SecretKeyReference{{Name: "cakewalk", Key: "secret"}}}
	if err := second.Create(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	o.post(t, "other", secret, "[]")
	o.cut(unreachable)
	o.post(t, "cakewalk", secret, grant(id(1), "{}"))
	o.post(t, "other", secret, grant(id(2), "{}"))
	o.heal()
	spooler := o.server.handler.spooler
	through := interceptor.NewClient(o.client, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
		if object.GetName() == id(1) {
			return apierrors.NewForbidden(schema.GroupResource{}, id(1), errors.New("quota"))
		}
		return c.Create(ctx, object, options...)
	}})
	refused := newStore(o.server.handler.dependencies)
	refused.creator = creatorOf{through}
	spooler.store = refused
	if p := o.drain(t); p != stuck || o.stats().Files != 1 {
		t.Errorf("progress %d, %+v", p, o.stats())
	}
	if _, stored := o.tasks(t)[id(2)]; !stored {
		t.Error("the other receiver waits")
	}
	spooler.store = o.server.handler.store
	if p := o.drain(t); p != drained || len(o.tasks(t)) != 2 {
		t.Errorf("progress %d, %d tasks", p, len(o.tasks(t)))
	}
}

func TestOnlyWhatIsVerifiedIsSpooledAndNoSecret(t *testing.T) {
	o := newOutage(t, 1<<20)
	o.cut(unreachable)
	if got := o.post(t, "cakewalk", "another", grant(id(1), "{}")); got.code != http.StatusUnauthorized || o.stats().Files != 0 {
		t.Error(got.code, o.stats())
	}
	body := grant(id(2), "{}")
	if got := o.send(t, http.MethodPost, o.path("cakewalk"), []byte(body), sign(secret, []byte(body))); got.code != http.StatusAccepted {
		t.Error(got.code, got.body)
	}
	err := filepath.WalkDir(o.dir, func(path string, f fs.DirEntry, err error) error {
		if err != nil || f.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for what, forbidden := range map[string]string{"secret": secret, "signature": sign(secret, []byte(body)), "header": "SIGNATURE"} {
			if bytes.Contains(text, []byte(forbidden)) {
				t.Errorf("%s holds the %s", path, what)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestANewProcessGoesOnWhereTheLastWasKilled(t *testing.T) {
	o := newOutage(t, 1<<20)
	o.cut(unreachable)
	o.now = o.now.Add(time.Hour)
	for i := range 3 {
		o.post(t, "cakewalk", secret, grant(id(i), onePerson))
	}
	o.server.handler.spooler.close()
	// The next process has a clock that is behind.
	o.now = o.now.Add(-time.Hour)
	o.server.handler.store = newStore(o.server.handler.dependencies)
	o.open(t, 1<<20)
	if got := o.post(t, "cakewalk", secret, grant(id(3), onePerson)); got.code != http.StatusAccepted {
		t.Error(got.code, got.body)
	}
	o.heal()
	o.drain(t)
	if diff := cmp.Diff([]string{id(0), id(1), id(2), id(3)}, o.created); diff != "" {
		t.Error(diff)
	}
}

func TestSpoolGauges(t *testing.T) {
	o := newOutage(t, 1<<20)
	registry := prometheus.NewRegistry()
	registry.MustRegister(newSpoolGauges(o.server.handler.spool, 1<<20, func() time.Time { return o.now }))
	o.cut(unreachable)
	o.post(t, "cakewalk", secret, grant(id(1), "{}"))
	o.now = o.now.Add(time.Minute)
	for name, want := range map[string]float64{"files": 1, "bytes": 4096, "limit_bytes": 1 << 20, "set_aside_files": 0} {
		if got := counted(t, registry, "access_operator_spool_"+name)[""]; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if got := counted(t, registry, "access_operator_spool_oldest_age_seconds")[""]; got < 59 || got > 61 {
		t.Errorf("the oldest is %v seconds old", got)
	}
	without := prometheus.NewRegistry()
	without.MustRegister(newSpoolGauges(nil, 1<<20, time.Now))
	if got := counted(t, without, "access_operator_spool_limit_bytes"); got[""] != 0 || len(got) != 1 {
		t.Error(got)
	}
}

func TestWithoutASpoolNothingIsWritten(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("TMPDIR", dir)
	s := faulty(t, interceptor.Funcs{Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error {
		return unreachable
	}})
	s.secret(t, "cakewalk", secret)
	s.plainReceiver(t)
	if got := s.post(t, "cakewalk", secret, grant(id(1), "{}")); got.code != http.StatusServiceUnavailable {
		t.Error(got.code, got.body)
	}
	found, err := os.ReadDir(dir)
	if err != nil || len(found) != 0 {
		t.Error(found, err)
	}
}

// The API server itself is killed, with a manager whose watches and caches must live through it.
func TestAKilledAPIServerLosesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s := start(t, func(_ *manager.Options, o *Options) { o.SpoolDir = dir })
	for _, name := range []string{"one", "two"} {
		s.receiver(t, name, secret, nil)
		if got := s.post(t, name, secret, "[]"); got.code != http.StatusOK {
			t.Fatal(got.code)
		}
	}
	restart := env.KillAPIServer(t)
	var want []string
	for i := range 20 {
		// One person in one application, so that the order counts.
		if got := s.post(t, []string{"one", "two"}[i%2], secret, grant(id(i), onePerson)); got.code != http.StatusAccepted {
			t.Errorf("%d %s", got.code, got.body)
		}
		want = append(want, id(i))
	}
	if got := counted(t, s.registry, "access_operator_spool_files")[""]; got != 20 {
		t.Errorf("%v files", got)
	}
	restart()
	eventually(t, "the spool is empty", func() bool { return counted(t, s.registry, "access_operator_spool_files")[""] == 0 })
	tasks := s.tasks(t)
	for i, name := range want {
		task, stored := tasks[name]
		if !stored || task.Spec.ReceiverRef.Name != []string{"one", "two"}[i%2] {
			t.Errorf("task %d: %t", i, stored)
		}
		if i > 0 {
			before := tasks[want[i-1]]
			if !before.Spec.ReceivedTime.Before(task.Spec.ReceivedTime) {
				t.Errorf("task %d arrived before the one before it", i)
			}
		}
	}
	if len(tasks) != len(want) {
		t.Errorf("%d tasks", len(tasks))
	}
	eventually(t, "deliveries are stored at once again", func() bool {
		return s.post(t, "one", secret, grant(id(99), onePerson)).code == http.StatusOK
	})
}
