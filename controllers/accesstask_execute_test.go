// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// fakeExecutor answers in turn; the last answer goes on.
type fakeExecutor struct {
	mu      sync.Mutex
	answers []error
	tasks   []provisioning.Task
}

func (*fakeExecutor) Check(context.Context) error { return nil }

func (f *fakeExecutor) Execute(_ context.Context, task provisioning.Task) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tasks = append(f.tasks, task)
	answer := f.answers[0]
	if len(f.answers) > 1 {
		f.answers = f.answers[1:]
	}
	if answer == nil {
		return "the badge was printed", nil
	}
	return "", answer
}

func (f *fakeExecutor) got() []provisioning.Task {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]provisioning.Task{}, f.tasks...)
}

// executing makes a rig whose Connector "w" hands whole tasks to an executor.
func executing(t *testing.T, answers ...error) (*rig, *fakeExecutor) {
	t.Helper()
	r, f := newExecutor(t, answers...)
	r.executor()
	return r, f
}

// newExecutor is executing without a Connector.
func newExecutor(t *testing.T, answers ...error) (*rig, *fakeExecutor) {
	t.Helper()
	r, _ := newRig(t)
	f := &fakeExecutor{answers: answers}
	r.targets.mu.Lock()
	r.targets.executors = map[string]provisioning.Executor{"w": f}
	r.targets.mu.Unlock()
	return r, f
}

// executor creates the Connector that hands tasks over.
func (r *rig) executor(change ...func(*accessv1alpha1.Connector)) {
	r.t.Helper()
	handsOver := func(c *accessv1alpha1.Connector) {
		c.Spec.SCIM, c.Spec.PermissionLevels = nil, nil
		c.Spec.Webhook = &accessv1alpha1.WebhookBackend{URL: "https://example.com/hook", SecretRefs: []accessv1alpha1.SecretKeyReference{{Name: "s", Key: "k"}}}
	}
	r.connector("w", slices.Insert(change, 0, handsOver)...)
}

func TestAWholeTaskIsHandedOverAndLookedAfter(t *testing.T) {
	pending := &provisioning.PendingError{After: time.Second, Err: errors.New("the printer warms up")}
	r, f := executing(t, pending, pending, nil)
	task := r.until(r.task(), accessv1alpha1.ReasonProvisioned)
	if len(task.Status.Changes) != 1 || task.Status.Changes[0].Action != "ExecuteTask" || task.Status.Changes[0].State != accessv1alpha1.ChangeUnverifiable {
		t.Errorf("changes %+v", task.Status.Changes)
	}
	provisioned := meta.FindStatusCondition(task.Status.Conditions, accessv1alpha1.ConditionProvisioned)
	if provisioned == nil || provisioned.Reason != accessv1alpha1.ReasonUnverifiable || message(task) != "the badge was printed" {
		t.Errorf("provisioned %+v, message %q", provisioned, message(task))
	}
	got := f.got()
	if len(got) != 3 || *task.Status.Attempts != 1 {
		t.Errorf("%d calls, %d attempts", len(got), *task.Status.Attempts)
	}
	for _, g := range got {
		if diff := cmp.Diff(got[0], g); diff != "" {
			t.Error("the task is another while it is waited for ", diff)
		}
	}
	first := got[0]
	if first.ID != task.Spec.TaskID || first.Subject.ID != "ann@example.com" || first.Level != "Editor" || first.Attempt != 1 || first.Kind != provisioning.Grant {
		t.Errorf("%+v", first)
	}
	events, err := cakewalk.Decode(first.Event, 1)
	if err != nil || events[0].Task == nil || events[0].Task.Request.TargetUser.Email != "ann@example.com" {
		t.Errorf("event %s: %v", first.Event, err)
	}
}

func TestAWholeTaskThatFails(t *testing.T) {
	r, f := executing(t, provisioning.Retryable(errors.New("no paper")), provisioning.Permanent(provisioning.ReasonTaskFailed, errors.New("no such door")), nil)
	task := r.until(r.task(), accessv1alpha1.ReasonPermanentError)
	if !strings.Contains(message(task), "no such door") {
		t.Error(message(task))
	}
	r.annotate(task, accessv1alpha1.AnnotationRetry, "once more")
	r.until(task, accessv1alpha1.ReasonProvisioned)
	var got []int
	var runs []string
	for _, g := range f.got() {
		got, runs = append(got, g.Attempt), append(runs, g.Run)
	}
	if diff := cmp.Diff([]int{1, 2, 1}, got); diff != "" {
		t.Error("attempts ", diff)
	}
	if diff := cmp.Diff([]string{"", "", "once more"}, runs); diff != "" {
		t.Error("runs ", diff)
	}
}

func TestADryRunHandsNothingOver(t *testing.T) {
	r, f := newExecutor(t, nil)
	r.executor(func(c *accessv1alpha1.Connector) { c.Spec.DryRun = new(true) })
	task := r.until(r.task(), accessv1alpha1.ReasonDryRun)
	if len(f.got()) != 0 || !strings.Contains(message(task), "ExecuteTask") {
		t.Errorf("%d calls, %s", len(f.got()), message(task))
	}
}
