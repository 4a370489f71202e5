// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

func TestALookoutAsksAboutATaskEveryTenMinutes(t *testing.T) {
	l := NewLookout()
	checked := inLine("checked", 0)
	checked.Status.LastCheckTime = new(metav1.NewTime(t0.Add(5 * time.Minute)))
	waiting := []*accessv1alpha1.AccessTask{inLine("new", 60), inLine("old", 0), checked}
	due := func(after time.Duration) []string {
		var names []string
		for _, task := range l.due(waiting, t0.Add(after)) {
			names = append(names, task.Name)
		}
		return names
	}
	key := func(name string) types.NamespacedName { return types.NamespacedName{Namespace: "ns", Name: name} }
	steps := []struct {
		after time.Duration
		asks  []string
		want  []string
	}{
		{after: 9 * time.Minute},
		{after: 10 * time.Minute, want: []string{"old"}, asks: []string{"old"}},
		{after: 12 * time.Minute, want: []string{"new"}},
		// The one that was not asked about for the longest is first.
		{after: 20 * time.Minute, want: []string{"new", "checked", "old"}, asks: []string{"new", "checked", "old"}},
		{after: 29 * time.Minute},
		{after: 30 * time.Minute, want: []string{"new", "old", "checked"}},
	}
	for _, s := range steps {
		if diff := cmp.Diff(s.want, due(s.after)); diff != "" {
			t.Fatalf("after %s: %s", s.after, diff)
		}
		for _, name := range s.asks {
			l.noteAsked(key(name), t0.Add(s.after))
		}
	}
	waiting = nil
	due(31 * time.Minute)
	if len(l.asked) > 0 {
		t.Errorf("still knows of %v", l.asked)
	}
}

func TestWhichTasksWait(t *testing.T) {
	reported := func(s *accessv1alpha1.AccessTaskStatus) {
		conditionSetter(s, 1, t0)(accessv1alpha1.ConditionReported, metav1.ConditionTrue, accessv1alpha1.ReasonDeclined, "")
	}
	tests := map[string]struct {
		task *accessv1alpha1.AccessTask
		want bool
	}{
		"one that waits for a person":      {newTask(withStatus(outcome{reason: accessv1alpha1.ReasonWaitingForPerson, stalled: accessv1alpha1.ReasonWaitingForPerson})), true},
		"one without a connector":          {newTask(withStatus(outcome{reason: accessv1alpha1.ReasonNoConnector, stalled: accessv1alpha1.ReasonNoConnector})), true},
		"one that waits for a connector":   {newTask(withStatus(outcome{reason: accessv1alpha1.ReasonConnectorNotReady})), true},
		"one that waits for a retry":       {newTask(withStatus(retryingAt(t0))), true},
		"one that failed, for a person":    {newTask(withStatus(failedPermanently)), true},
		"one that failed and was declined": {newTask(withStatus(failedPermanently, reported)), false},
		"one that asks by itself":          {newTask(withStatus(outcome{reason: accessv1alpha1.ReasonWaitingForCakewalk})), false},
		"one that is worked on":            {newTask(withStatus(outcome{reason: accessv1alpha1.ReasonProvisioning})), false},
		"one that succeeded":               {newTask(withStatus(done(nil, true))), false},
		"one that was cancelled":           {newTask(withStatus(*cancelled(""))), false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := waits(tc.task); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestWhatCakewalkSaysOfATaskThatWaits(t *testing.T) {
	closed := &outcome{finished: metav1.ConditionTrue, reason: accessv1alpha1.ReasonCompletedByPerson, approvedThere: true}
	tests := map[string]struct {
		task   *accessv1alpha1.AccessTask
		reason string
	}{
		"ends one that is retried":              {newTask(withStatus(retryingAt(t0.Add(time.Hour)))), accessv1alpha1.ReasonCompletedByPerson},
		"ends one that is left to a person":     {newTask(withStatus(failedPermanently)), accessv1alpha1.ReasonCompletedByPerson},
		"changes nothing of one that is over":   {newTask(withStatus(done(nil, true))), ""},
		"changes nothing of a cancelled one":    {newTask(withStatus(*cancelled(""))), ""},
		"gives way to a person's word, in RBAC": {newTask(withStatus(failedPermanently), withAnnotation(accessv1alpha1.AnnotationComplete, "ann: done")), accessv1alpha1.ReasonCompletedByPerson},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			d := decide(view{task: tc.task, told: closed, receiver: newReceiver(), lineup: NewLineup(), now: t0})
			if (d.verb == verbSettle) != (tc.reason != "") || d.outcome.reason != tc.reason {
				t.Errorf("decided to %s as %s", d.verb, d.outcome.reason)
			}
		})
	}
}

func TestATaskThatWasToBeConfirmedWaitsWithoutItsReceiver(t *testing.T) {
	required := withAnnotation(accessv1alpha1.AnnotationPreflight, string(accessv1alpha1.PreflightRequired))
	v := view{task: newTask(required), connectors: []*accessv1alpha1.Connector{newConnector("a")}, lineup: NewLineup(), now: t0}
	if d := decide(v); d.verb != verbSettle || d.outcome.reason != accessv1alpha1.ReasonWaitingForCakewalk || d.outcome.stalled == "" {
		t.Errorf("decided to %s as %+v", d.verb, d.outcome)
	}
	v.receiver = newReceiver()
	if d := decide(v); d.verb != verbProvision {
		t.Errorf("with its receiver: decided to %s", d.verb)
	}
	v.receiver, v.task = nil, newTask()
	if d := decide(v); d.verb != verbProvision {
		t.Errorf("one that was not to be confirmed: decided to %s", d.verb)
	}
}
