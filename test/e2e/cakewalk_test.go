// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
)

// tenant is a namespace whose receiver "cakewalk" has an API to ask, that of a Cakewalk of its own.
type tenant struct {
	*rig
	cakewalk *cakewalktest.Fake
}

// newTenant makes a tenant whose webhooks are signed with hookSecret, and a Connector for Slack.
func newTenant(t *testing.T, change ...func(*accessv1alpha1.WebhookReceiverSpec)) *tenant {
	t.Helper()
	r := &tenant{rig: newRig(t), cakewalk: cakewalktest.Start(t, cakewalktest.Options{HMACSecret: hookSecret})}
	r.connector("Slack", r.scim, "scim")
	r.asks("cakewalk", change...)
	return r
}

// asks gives a receiver the API of the tenant's Cakewalk.
func (r *tenant) asks(receiver string, change ...func(*accessv1alpha1.WebhookReceiverSpec)) {
	r.t.Helper()
	r.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "api"}, StringData: map[string]string{"apiKey": r.cakewalk.Key, "apiSecret": r.cakewalk.Secret}})
	w := &accessv1alpha1.WebhookReceiver{}
	if err := r.Get(r.t.Context(), client.ObjectKey{Namespace: r.namespace, Name: receiver}, w); err != nil {
		r.t.Fatal(err)
	}
	w.Spec.CakewalkAPI = &accessv1alpha1.CakewalkAPI{URL: r.cakewalk.URL, CredentialsSecretRef: accessv1alpha1.SecretReference{Name: "api"}}
	for _, f := range change {
		f(&w.Spec)
	}
	if err := r.Update(r.t.Context(), w); err != nil {
		r.t.Fatal(err)
	}
}

// request adds a task to Cakewalk: a grant for somebody in Slack.
func (r *tenant) request(email string) string {
	return r.cakewalk.AddTask(cakewalktest.Task{Request: &cakewalktest.Request{
		Purpose:    "To chat.",
		TargetUser: &cakewalk.User{ID: uuid.NewString(), Email: email, FullName: email},
		WorkApp:    &cakewalk.NamedObject{Name: "Slack"},
	}})
}

// delivers sends a body to a receiver, which must take it, and returns the answer.
func (r *tenant) delivers(receiver string, body []byte) string {
	r.t.Helper()
	got, err := r.cakewalk.Send(r.t.Context(), r.url+"/webhooks/"+receiver, body)
	if err != nil || got.Status != http.StatusOK {
		r.t.Fatal(got, err)
	}
	return got.Body
}

// condition waits until a condition of a task has a reason.
func (r *rig) condition(id, kind, reason string) *accessv1alpha1.AccessTask {
	r.t.Helper()
	task := &accessv1alpha1.AccessTask{}
	r.eventually("the task is "+reason, func() error {
		if err := r.Get(r.t.Context(), client.ObjectKey{Namespace: r.namespace, Name: id}, task); err != nil {
			return err
		}
		if c := meta.FindStatusCondition(task.Status.Conditions, kind); c == nil || c.Reason != reason {
			return fmt.Errorf("%s is %+v", kind, c)
		}
		return nil
	})
	return task
}

func TestAWebhookBecomesAccessAndIsApprovedInCakewalk(t *testing.T) {
	r := newTenant(t)
	r.start()
	id := r.request("ann@example.com")
	r.delivers(r.namespace+"/cakewalk", r.cakewalk.Body(id))
	task := r.condition(id, accessv1alpha1.ConditionReported, accessv1alpha1.ReasonApproved)
	if diff := cmp.Diff([]string{"ann@example.com", "bob@example.com"}, r.members("one")); diff != "" {
		t.Error(diff)
	}
	if known, _ := r.cakewalk.Task(id); known.Status != cakewalktest.StatusApproved || !known.ClosedByAPI || task.Status.Purpose != "To chat." {
		t.Errorf("Cakewalk has %+v, the task the purpose %q", known, task.Status.Purpose)
	}
	r.condition(id, accessv1alpha1.ConditionChecked, accessv1alpha1.ReasonConfirmed)
}

func TestNothingIsChangedThatCakewalkDoesNotConfirm(t *testing.T) {
	boss := cakewalk.User{ID: uuid.NewString(), Email: "boss@example.com"}
	r := newTenant(t)
	r.start()
	tests := map[string]struct {
		change func(id string)
		reason string
	}{
		"approved by a person": {func(id string) { r.cakewalk.Approve(id, boss) }, accessv1alpha1.ReasonCompletedByPerson},
		"declined":             {func(id string) { r.cakewalk.Decline(id, boss) }, accessv1alpha1.ReasonCancelled},
		"cancelled":            {func(id string) { r.cakewalk.Cancel(id, boss) }, accessv1alpha1.ReasonCancelled},
		"unknown":              {func(id string) { r.cakewalk.Remove(id) }, accessv1alpha1.ReasonRejected},
		"autoprovisioned":      {func(id string) { r.cakewalk.Change(id, func(task *cakewalktest.Task) { task.Autoprovisioning = true }) }, accessv1alpha1.ReasonHandledByCakewalk},
		"for another user": {func(id string) {
			r.cakewalk.Change(id, func(task *cakewalktest.Task) { task.Request.TargetUser = &boss })
		}, accessv1alpha1.ReasonRejected},
		"in another app": {func(id string) {
			r.cakewalk.Change(id, func(task *cakewalktest.Task) { task.Request.WorkApp = &cakewalk.NamedObject{ID: boss.ID} })
		}, accessv1alpha1.ReasonRejected},
		"for another level": {func(id string) {
			r.cakewalk.Change(id, func(task *cakewalktest.Task) { task.Request.Level = &cakewalk.NamedObject{ID: boss.ID} })
		}, accessv1alpha1.ReasonRejected},
		"of another type": {func(id string) {
			r.cakewalk.Change(id, func(task *cakewalktest.Task) { task.Request.Type = accessv1alpha1.RequestTypeRemoveAccess })
		}, accessv1alpha1.ReasonRejected},
	}
	for name, tc := range tests {
		id := r.request(strings.ReplaceAll(name, " ", ".") + "@example.com")
		captured := r.cakewalk.Body(id)
		tc.change(id)
		r.delivers(r.namespace+"/cakewalk", captured)
		task := r.until(id, tc.reason)
		if len(task.Status.Changes) > 0 {
			t.Errorf("%s: changes %v", name, task.Status.Changes)
		}
	}
	if diff := cmp.Diff([]string{"bob@example.com"}, r.members("one")); diff != "" {
		t.Error(diff)
	}
}

func TestACapturedDeliveryChangesNothing(t *testing.T) {
	r := newTenant(t, func(s *accessv1alpha1.WebhookReceiverSpec) { s.TaskTTLSecondsAfterFinished = new(int32(20)) })
	// Another tenant, whose webhooks verify with the same key, as those of all tenants do where Cakewalk signs with RSA.
	other := newTenant(t)
	r.start()
	id := r.request("ann@example.com")
	captured := r.cakewalk.Body(id)
	r.delivers(r.namespace+"/cakewalk", captured)
	task := r.condition(id, accessv1alpha1.ConditionReported, accessv1alpha1.ReasonApproved)

	// Ann's access was taken away since, by whatever way.
	r.removeFromGroups("ann@example.com")
	if got := r.delivers(r.namespace+"/cakewalk", captured); !strings.Contains(got, `"duplicates":1`) {
		t.Error("after it was finished: ", got)
	}
	r.create(&accessv1alpha1.WebhookReceiver{
		ObjectMeta: metav1.ObjectMeta{Name: "second"},
		Spec: accessv1alpha1.WebhookReceiverSpec{Verification: accessv1alpha1.WebhookVerification{HMAC: &accessv1alpha1.HMACVerification{
			SecretRefs: []accessv1alpha1.SecretKeyReference{{Name: "hook", Key: "secret"}},
		}}},
	})
	r.eventually("the second receiver is served", func() error {
		if got, err := r.cakewalk.Send(t.Context(), r.url+"/webhooks/"+r.namespace+"/second", cakewalktest.TestBody()); err != nil || got.Status != http.StatusOK {
			return fmt.Errorf("%+v %w", got, err)
		}
		return nil
	})
	if got := r.delivers(r.namespace+"/second", captured); !strings.Contains(got, `"conflict"`) {
		t.Error("to another receiver of the namespace: ", got)
	}
	r.delivers(other.namespace+"/cakewalk", captured)
	other.until(id, accessv1alpha1.ReasonRejected)

	r.eventually("the task's time to be kept is over", func() error {
		err := r.Get(t.Context(), client.ObjectKeyFromObject(task), &accessv1alpha1.AccessTask{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is still there: %w", err)
	})
	if got := r.delivers(r.namespace+"/cakewalk", captured); !strings.Contains(got, `"stored":1`) {
		t.Error("after it was deleted: ", got)
	}
	r.until(id, accessv1alpha1.ReasonCompletedByPerson)
	for _, tenant := range []*tenant{r, other} {
		if diff := cmp.Diff([]string{"bob@example.com"}, tenant.members("one")); diff != "" {
			t.Error(diff)
		}
	}
}

func TestWithoutCakewalksAPIEverythingIsAsBefore(t *testing.T) {
	r := newRig(t)
	r.connector("Slack", r.scim, "scim")
	r.start()
	e, id := event(grant, "Slack", "ann@example.com")
	r.deliver(e)
	task := r.until(id, accessv1alpha1.ReasonProvisioned)
	for _, kind := range []string{accessv1alpha1.ConditionChecked, accessv1alpha1.ConditionReported} {
		if c := meta.FindStatusCondition(task.Status.Conditions, kind); c != nil {
			t.Errorf("%s is %+v", kind, c)
		}
	}
	r.eventually("the receiver says what it cannot protect against", func() error {
		w := &accessv1alpha1.WebhookReceiver{}
		if err := r.Get(context.Background(), client.ObjectKey{Namespace: r.namespace, Name: "cakewalk"}, w); err != nil {
			return err
		}
		if c := meta.FindStatusCondition(w.Status.Conditions, accessv1alpha1.ConditionConnected); c == nil || c.Reason != accessv1alpha1.ReasonNotConfigured || !strings.Contains(c.Message, "captured") {
			return fmt.Errorf("Connected is %+v", c)
		}
		return nil
	})
}
