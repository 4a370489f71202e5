// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

func TestFailed(t *testing.T) {
	boom := errors.New("boom")
	tests := map[string]struct {
		err      error
		kind     provisioning.Kind
		attempts int32
		started  time.Time

		wantFinished metav1.ConditionStatus
		wantReason   string
		wantStalled  string
		wantCosts    bool
		wantNext     bool
		wantAfter    time.Duration // at least
	}{
		"permanent": {
			err: provisioning.Permanent("X", boom), wantFinished: metav1.ConditionFalse, wantCosts: true,
			wantReason: accessv1alpha1.ReasonPermanentError, wantStalled: accessv1alpha1.ReasonPermanentError,
		},
		"unavailable costs no attempt": {
			err: provisioning.Unavailable("Unauthorized", boom), wantReason: accessv1alpha1.ReasonConnectorNotReady,
		},
		"pending costs no attempt": {
			err:        &provisioning.PendingError{After: time.Minute, Err: boom},
			wantReason: accessv1alpha1.ReasonProvisioning, wantNext: true, wantAfter: time.Minute,
		},
		"retryable": {
			err: provisioning.Retryable(boom), wantReason: accessv1alpha1.ReasonRetrying, wantCosts: true, wantNext: true, wantAfter: 5 * time.Second,
		},
		"any other error may pass": {
			err: boom, wantReason: accessv1alpha1.ReasonRetrying, wantCosts: true, wantNext: true, wantAfter: 5 * time.Second,
		},
		"the target system's own delay is honoured": {
			err:        &provisioning.RetryableError{After: 10 * time.Minute, RateLimited: true, Err: boom},
			wantReason: accessv1alpha1.ReasonRetrying, wantCosts: true, wantNext: true, wantAfter: 10 * time.Minute,
		},
		"attempts are used up": {
			err: boom, attempts: 3, wantFinished: metav1.ConditionFalse, wantCosts: true,
			wantReason: accessv1alpha1.ReasonRetriesExhausted, wantStalled: accessv1alpha1.ReasonRetriesExhausted,
		},
		"the deadline is past": {
			err: boom, started: t0.Add(-600 * time.Second), wantFinished: metav1.ConditionFalse, wantCosts: true,
			wantReason: accessv1alpha1.ReasonDeadlineExceeded, wantStalled: accessv1alpha1.ReasonDeadlineExceeded,
		},
		"a removal past its deadline turns stalled and goes on at the longest delay": {
			err: boom, kind: provisioning.Remove, started: t0.Add(-600 * time.Second),
			wantReason: accessv1alpha1.ReasonRetrying, wantStalled: accessv1alpha1.ReasonDeadlineExceeded, wantCosts: true, wantNext: true, wantAfter: time.Minute,
		},
		"a removal without attempts left goes on": {
			err: boom, kind: provisioning.Remove, attempts: 30,
			wantReason: accessv1alpha1.ReasonRetrying, wantStalled: accessv1alpha1.ReasonRetriesExhausted, wantCosts: true, wantNext: true, wantAfter: time.Minute,
		},
		"an archive goes on": {
			err: boom, kind: provisioning.Archive, attempts: 30,
			wantReason: accessv1alpha1.ReasonRetrying, wantStalled: accessv1alpha1.ReasonRetriesExhausted, wantCosts: true, wantNext: true, wantAfter: time.Minute,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.kind == "" {
				tc.kind = provisioning.Grant
			}
			if tc.started.IsZero() {
				tc.started = t0
			}
			o := failed(tc.err, tc.kind, newConnector("a"), max(tc.attempts, 1), tc.started, t0)
			got := []any{o.finished, o.reason, o.stalled, o.costs, !o.next.IsZero(), o.after >= tc.wantAfter, strings.Contains(o.message, "boom")}
			want := []any{tc.wantFinished, tc.wantReason, tc.wantStalled, tc.wantCosts, tc.wantNext, true, true}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff, o)
			}
		})
	}
}

func TestBackoffDoublesBetweenTheDelays(t *testing.T) {
	r := accessv1alpha1.ConnectorRetry{MinDelaySeconds: 5, MaxDelaySeconds: 900}
	var least, most []int
	for attempts := range int32(12) {
		least = append(least, int(backoff(r, attempts, 0)/time.Second))
		most = append(most, int(backoff(r, attempts, 1)/time.Second))
	}
	if diff := cmp.Diff([]int{5, 5, 5, 10, 20, 40, 80, 160, 320, 450, 450, 450}, least); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{7, 7, 15, 30, 60, 120, 240, 480, 900, 900, 900, 900}, most); diff != "" {
		t.Error(diff)
	}
	if d := backoff(accessv1alpha1.ConnectorRetry{MinDelaySeconds: 5, MaxDelaySeconds: 5}, 1000, 0.5); d != 5*time.Second {
		t.Error(d)
	}
}

// Every state that a task can wait or end in, as tools that know kstatus read it.
func TestKstatus(t *testing.T) {
	boom := errors.New("boom")
	decided := func(task *accessv1alpha1.AccessTask, connectors ...*accessv1alpha1.Connector) outcome {
		return decide(view{task: task, connectors: connectors, lineup: NewLineup(), now: t0, changedAt: nil}).outcome
	}
	tests := map[string]struct {
		outcome outcome
		want    status.Status
	}{
		"Suspended":          {decided(newTask(func(t *accessv1alpha1.AccessTask) { t.Spec.Suspend = new(true) })), status.InProgressStatus},
		"NoConnector":        {decided(newTask()), status.FailedStatus},
		"AmbiguousConnector": {decided(newTask(), newConnector("a"), newConnector("b")), status.FailedStatus},
		"ConnectorNotReady":  {connectorNotReady(newConnector("a"), "401"), status.InProgressStatus},
		"Provisioning":       {failed(&provisioning.PendingError{Err: boom}, provisioning.Grant, newConnector("a"), 1, t0, t0), status.InProgressStatus},
		"Retrying":           {failed(boom, provisioning.Grant, newConnector("a"), 1, t0, t0), status.InProgressStatus},
		"Retrying a removal": {failed(boom, provisioning.Remove, newConnector("a"), 100, t0, t0), status.FailedStatus},
		"WaitingForPerson":   {waitForPerson(newTask(), newConnector("a", func(c *accessv1alpha1.Connector) { c.Spec.Manual = &accessv1alpha1.ManualBackend{} }), provisioning.Goal{}), status.FailedStatus},
		"DryRun":             {outcome{reason: accessv1alpha1.ReasonDryRun}, status.InProgressStatus},
		"Provisioned":        {done([]accessv1alpha1.TaskChange{{}}, true), status.CurrentStatus},
		"AlreadyProvisioned": {done(nil, true), status.CurrentStatus},
		"CompletedByPerson":  {decided(newTask(withAnnotation(accessv1alpha1.AnnotationComplete, "jane"))), status.CurrentStatus},
		"PermanentError":     {failed(provisioning.Permanent("X", boom), provisioning.Grant, newConnector("a"), 1, t0, t0), status.FailedStatus},
		"RetriesExhausted":   {failed(boom, provisioning.Grant, newConnector("a"), 100, t0, t0), status.FailedStatus},
		"DeadlineExceeded":   {failed(boom, provisioning.Grant, newConnector("a"), 1, t0.Add(-time.Hour), t0), status.FailedStatus},
		"Unsupported":        {decided(newTask(withType("Other"))), status.FailedStatus},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			task := newTask()
			task.Status = settle(task, task.Status, newConnector("a"), "scim", tc.outcome, t0)
			if want, _, _ := strings.Cut(name, " "); reasonOf(&task.Status) != want {
				t.Fatalf("the reason is %s", reasonOf(&task.Status))
			}
			if diff := cmp.Diff(task.Status, settle(task, task.Status, newConnector("a"), "scim", tc.outcome, t0.Add(2*time.Second))); diff != "" {
				t.Errorf("the same outcome later is another status, which would be written for ever: %s", diff)
			}
			object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(task)
			if err != nil {
				t.Fatal(err)
			}
			got, err := status.Compute(&unstructured.Unstructured{Object: object})
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != tc.want {
				t.Errorf("kstatus is %s (%s), want %s", got.Status, got.Message, tc.want)
			}
			if tc.outcome.finished == metav1.ConditionTrue && len(task.Status.Conditions) != len(conditionsOf(&task.Status, accessv1alpha1.ConditionSucceeded, accessv1alpha1.ConditionRouted, accessv1alpha1.ConditionProvisioned)) {
				t.Errorf("a task that succeeded has Reconciling or Stalled: %+v", task.Status.Conditions)
			}
			for _, c := range task.Status.Conditions {
				if c.ObservedGeneration != task.Generation || c.LastTransitionTime.IsZero() || c.Reason == "" {
					t.Errorf("incomplete condition %+v", c)
				}
			}
		})
	}
}

func conditionsOf(s *accessv1alpha1.AccessTaskStatus, kinds ...string) []metav1.Condition {
	var all []metav1.Condition
	for _, k := range kinds {
		if c := meta.FindStatusCondition(s.Conditions, k); c != nil {
			all = append(all, *c)
		}
	}
	return all
}

func TestRecordedChangesAreJudgedByWhatIsSeen(t *testing.T) {
	base := &accessv1alpha1.AccessTaskStatus{Changes: []accessv1alpha1.TaskChange{
		{Action: "CreateAccount", State: accessv1alpha1.ChangeApplied},
		{Action: "AddEntitlement", Entitlement: "seen", State: accessv1alpha1.ChangePlanned},
		{Action: "AddEntitlement", Entitlement: "unseen", State: accessv1alpha1.ChangePlanned},
	}}
	inEffect := func(c provisioning.Change) bool { return c.Entitlement == "seen" }
	got := recorded(base, inEffect, t0)
	if len(got) != 2 || got[1].Entitlement != "seen" || got[1].State != accessv1alpha1.ChangeApplied {
		t.Errorf("%+v", got)
	}
}

func TestWhatADryRunPlannedIsForgottenWhenItEnds(t *testing.T) {
	planned := []accessv1alpha1.TaskChange{
		{Action: "CreateAccount", State: accessv1alpha1.ChangeApplied},
		{Action: "AddEntitlement", Entitlement: "editors", State: accessv1alpha1.ChangePlanned},
	}
	changes := func(s *accessv1alpha1.AccessTaskStatus) { s.Changes = planned }
	tests := map[string]struct {
		status outcome
		dryRun bool
		want   int
	}{
		"the real run begins":              {status: outcome{reason: accessv1alpha1.ReasonDryRun}, want: 1},
		"the dry run goes on":              {status: outcome{reason: accessv1alpha1.ReasonDryRun}, dryRun: true, want: 2},
		"a real plan that was interrupted": {status: outcome{reason: accessv1alpha1.ReasonProvisioning}, want: 2},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := newConnector("a", func(c *accessv1alpha1.Connector) { c.Spec.DryRun = new(tc.dryRun) })
			d := decide(view{task: newTask(withStatus(tc.status, changes)), connectors: []*accessv1alpha1.Connector{c}, lineup: NewLineup(), now: t0})
			if len(d.base.Changes) != tc.want {
				t.Errorf("%s goes on from %+v", d.verb, d.base.Changes)
			}
		})
	}
}
