// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

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
