// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

// A grant and its revocation in one delivery must not be stored the other way round.
func TestTheTasksOfAPersonAreStoredInTheDeliverysOrder(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := accessv1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	stored := map[string][]string{}
	writer := interceptor.NewClient(fake.NewClientBuilder().WithScheme(scheme).Build(), interceptor.Funcs{
		Create: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.CreateOption) error {
			mu.Lock()
			defer mu.Unlock()
			who := o.(*accessv1alpha1.AccessTask).Spec.Request.TargetUser.Email
			stored[who] = append(stored[who], o.GetName())
			return nil
		},
	})
	want := map[string][]string{}
	var events []cakewalk.Event
	for i := range 200 {
		who := fmt.Sprintf("user%d@example.com", i%7)
		id := uuid.NewString()
		want[who] = append(want[who], id)
		events = append(events, cakewalk.Event{Index: i, Task: &cakewalk.ActionTask{TaskID: id, Request: &cakewalk.RequestMetadata{
			Type: "GrantAccessRequest", TargetUser: &cakewalk.User{Email: who}, TargetWorkApp: &cakewalk.NamedObject{Name: "Slack"},
		}}})
	}
	s := newStore(dependencies{creator: creatorOf{writer}, live: writer, now: time.Now, log: logr.Discard()})
	results := s.storeAll(t.Context(), &accessv1alpha1.WebhookReceiver{}, arrivedFrom(events, time.Now(), ""))
	if slices.ContainsFunc(results, func(r eventResult) bool { return r.outcome != outcomeStored }) {
		t.Error(results)
	}
	if diff := cmp.Diff(want, stored); diff != "" {
		t.Error(diff)
	}
}

// A process that starts knows nothing of the clocks of others but what they stored.
func TestWhatArrivesAfterARestartIsNewerThanWhatIsFinished(t *testing.T) {
	first := start(t, nil)
	first.receiver(t, "cakewalk", secret, nil)
	if got := first.post(t, "cakewalk", secret, grant(id(60), "{}")); got.answered.Stored != 1 {
		t.Fatal(got.code, got.body)
	}
	task := &accessv1alpha1.AccessTask{}
	first.get(t, id(60), task)
	// As a replica whose clock is ahead stored it.
	ahead := time.Now().Add(time.Minute)
	task.Annotations[accessv1alpha1.AnnotationReceivedTime] = ahead.UTC().Format(metav1.RFC3339Micro)
	if err := first.client.Update(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	task.Status.CompletionTime = new(metav1.Now())
	if err := first.client.Status().Update(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	first.stop()
	<-first.done

	again := start(t, func(_ *manager.Options, o *Options) { o.Namespaces = []string{first.namespace} })
	again.namespace = first.namespace
	again.waitServed(t, "cakewalk")
	if got := again.post(t, "cakewalk", secret, grant(id(61), "{}")); got.answered.Stored != 1 {
		t.Fatal(got.code, got.body)
	}
	again.get(t, id(61), task)
	if !task.Spec.ReceivedTime.After(ahead) {
		t.Errorf("it arrived at %v, and the one before at %v", task.Spec.ReceivedTime, ahead)
	}
}

// start waits until it listens.
func TestAReplicaThatDoesNotLeadReceives(t *testing.T) {
	namespace := env.Namespace(t)
	lease := &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{
		HolderIdentity: new("another"), LeaseDurationSeconds: new(int32(3600)), RenewTime: new(metav1.NowMicro()),
	}}
	lease.Namespace, lease.Name = namespace, "lease"
	if err := env.Client(t).Create(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	s := start(t, func(m *manager.Options, o *Options) {
		o.Namespaces = []string{namespace}
		m.LeaderElection, m.LeaderElectionNamespace, m.LeaderElectionID = true, namespace, lease.Name
	})
	s.namespace = namespace
	s.receiver(t, "cakewalk", secret, nil)
	if got := s.post(t, "cakewalk", secret, grant(id(62), "{}")); got.answered.Stored != 1 {
		t.Error(got.code, got.body)
	}
}

// neverTold never answers who asks for tasks by a field selector.
type neverTold struct {
	http.RoundTripper

	selector string
	asked    *atomic.Bool
}

func (n neverTold) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Query().Get("fieldSelector") == n.selector {
		n.asked.Store(true)
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return n.RoundTripper.RoundTrip(r)
}

// start waits until it listens.
func TestTheStartWaitsNoMoreThanAMomentForTheTasks(t *testing.T) {
	for name, selector := range map[string]string{"finished": "status.completionTime!=", "unfinished": "status.completionTime="} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Bool
			config := rest.CopyConfig(env.Config)
			config.Wrap(func(next http.RoundTripper) http.RoundTripper { return neverTold{next, selector, &asked} })
			s := startWith(t, config, nil)
			s.receiver(t, "cakewalk", secret, nil)
			if got := s.post(t, "cakewalk", secret, grant(uuid.NewString(), "{}")); got.answered.Stored != 1 {
				t.Error(got.code, got.body)
			}
			if !asked.Load() {
				t.Errorf("nobody asked by %q", selector)
			}
		})
	}
}
