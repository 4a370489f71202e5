// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/provisioningtest"
)

// cakewalkRig is a rig whose clock moves only when it is moved, with a Cakewalk that has the same clock.
type cakewalkRig struct {
	*rig
	target *provisioningtest.Fake
	fake   *cakewalktest.Fake
	time   *clocktesting.FakeClock

	mu       sync.Mutex
	failure  error
	failures int
}

// newCakewalkRig makes one whose WebhookReceiver "cakewalk" asks and tells the fake.
func newCakewalkRig(t *testing.T, change ...func(*accessv1alpha1.CakewalkAPI)) *cakewalkRig {
	t.Helper()
	now := clocktesting.NewFakeClock(time.Now().Truncate(time.Second))
	fake := cakewalktest.Start(t, cakewalktest.Options{Now: now.Now})
	c := &cakewalkRig{fake: fake, time: now}
	r, target := newRig(t, func(r *rig) { r.clock, r.fails = now, c.fails })
	c.rig, c.target = r, target
	c.credentials(fake.Key, fake.Secret)
	receiver := &accessv1alpha1.WebhookReceiver{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: "cakewalk"},
		Spec: accessv1alpha1.WebhookReceiverSpec{
			Verification: accessv1alpha1.WebhookVerification{HMAC: &accessv1alpha1.HMACVerification{
				SecretRefs: []accessv1alpha1.SecretKeyReference{{Name: "hook", Key: "secret"}},
			}},
			CakewalkAPI: &accessv1alpha1.CakewalkAPI{URL: fake.URL, CredentialsSecretRef: accessv1alpha1.SecretReference{Name: "cakewalk-api"}},
		},
	}
	for _, f := range change {
		f(receiver.Spec.CakewalkAPI)
	}
	if err := r.Create(t.Context(), receiver); err != nil {
		t.Fatal(err)
	}
	r.ready(r.connector("a"), metav1.ConditionTrue, accessv1alpha1.ReasonProbed)
	return c
}

// fail lets the target system fail a number of observations from now on.
func (r *cakewalkRig) fail(err error, times int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failure, r.failures = err, times
}

func (r *cakewalkRig) fails(operation string, _ provisioning.Subject) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if operation != "observe" || r.failures == 0 {
		return nil
	}
	r.failures--
	return r.failure
}

// credentials puts credentials into the receiver's Secret.
func (r *cakewalkRig) credentials(key, secret string) {
	r.t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: "cakewalk-api"}}
	data := map[string][]byte{"apiKey": []byte(key), "apiSecret": []byte(secret)}
	err := r.Get(r.t.Context(), client.ObjectKeyFromObject(s), s)
	s.Data = data
	if err == nil {
		err = r.Update(r.t.Context(), s)
	} else {
		err = r.Create(r.t.Context(), s)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// request adds a task to Cakewalk: a grant of Editor to ann.
func (r *cakewalkRig) request(change ...func(*cakewalktest.Task)) string {
	task := cakewalktest.Task{Request: &cakewalktest.Request{
		Type:       accessv1alpha1.RequestTypeGrantAccess,
		Purpose:    "To edit.",
		TargetUser: &cakewalk.User{ID: "1934ea57-962f-41de-bf2c-ba2c288e7f68", Email: "ann@example.com", FullName: "Ann"},
		WorkApp:    &cakewalk.NamedObject{ID: appID, Name: "Google Workspace"},
		Level:      &cakewalk.NamedObject{ID: levelID, Name: "Editor"},
	}}
	for _, c := range change {
		c(&task)
	}
	return r.fake.AddTask(task)
}

// announced creates the AccessTask of a task in Cakewalk, as the receiver does.
func (r *cakewalkRig) announced(id string, change ...func(*accessv1alpha1.AccessTask)) *accessv1alpha1.AccessTask {
	r.t.Helper()
	known, ok := r.fake.Task(id)
	if !ok {
		r.t.Fatal("no such task in Cakewalk")
	}
	user := accessv1alpha1.User(*known.Request.TargetUser)
	app := accessv1alpha1.NamedObject(*known.Request.WorkApp)
	task := newTask(append([]func(*accessv1alpha1.AccessTask){func(task *accessv1alpha1.AccessTask) {
		task.Namespace, task.Name, task.Generation, task.Spec.TaskID = r.namespace, id, 0, id
		task.Spec.ReceivedTime = new(metav1.NewMicroTime(r.time.Now()))
		task.Spec.Request.Type = known.Request.Type
		task.Spec.Request.TargetUser, task.Spec.Request.TargetWorkApp, task.Spec.Request.PermissionLevel = &user, &app, nil
		if level := known.Request.Level; level != nil {
			task.Spec.Request.PermissionLevel = new(accessv1alpha1.NamedObject(*level))
		}
	}}, change...)...)
	if err := r.Create(r.t.Context(), task); err != nil {
		r.t.Fatal(err)
	}
	return task
}

// reported waits until a task's Reported has a status and a reason, and returns the task then.
func (r *cakewalkRig) reported(task *accessv1alpha1.AccessTask, status metav1.ConditionStatus, reason string) *accessv1alpha1.AccessTask {
	r.t.Helper()
	now := &accessv1alpha1.AccessTask{}
	r.eventually(func() error {
		if err := r.Get(r.t.Context(), client.ObjectKeyFromObject(task), now); err != nil {
			return err
		}
		got := meta.FindStatusCondition(now.Status.Conditions, accessv1alpha1.ConditionReported)
		if got == nil || got.Status != status || got.Reason != reason {
			return fmt.Errorf("Reported is %+v, want %s %s; the task is %s: %s", got, status, reason, reasonOf(&now.Status), message(now))
		}
		return nil
	})
	return now
}

// asked lists the requests about a task, each as its method and the rest of its path.
func (r *cakewalkRig) asked(id string) []string {
	var all []string
	for _, q := range r.fake.Requests() {
		if _, rest, ok := strings.Cut(q.Path, "/Tasks/"+id); ok {
			all = append(all, q.Method+rest)
		}
	}
	return all
}

// pass lets time pass, in steps that leave the controllers time to act.
func (r *cakewalkRig) pass(d, step time.Duration) {
	for ; d > 0; d -= step {
		r.time.Step(step)
		time.Sleep(10 * time.Millisecond)
	}
}
