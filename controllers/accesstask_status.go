// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

const (
	// maxMessage is the longest message of a condition, in bytes.
	maxMessage = 4096
	// maxChanges is how many changes a task's status holds; the oldest go first.
	maxChanges = 512
)

// settle is the task's status after an outcome: every condition is computed here, on every visit.
func settle(task *accessv1alpha1.AccessTask, base accessv1alpha1.AccessTaskStatus, c *accessv1alpha1.Connector, backend string, o outcome, now time.Time) accessv1alpha1.AccessTaskStatus {
	s := *base.DeepCopy()
	s.ObservedGeneration = new(task.Generation)
	s.Request = shortType(task)
	set := conditionSetter(&s, task.Generation, now)

	status := metav1.ConditionUnknown
	s.CompletionTime, s.NextAttemptTime = base.CompletionTime, nil
	if o.finished != "" {
		status = o.finished
		if s.CompletionTime == nil || !finished(&base) {
			s.CompletionTime = new(metav1.NewTime(now))
		}
	} else {
		s.CompletionTime = nil
		if !o.next.IsZero() {
			s.NextAttemptTime = new(metav1.NewTime(o.next))
		}
	}
	set(accessv1alpha1.ConditionSucceeded, status, o.reason, o.message)
	settleProgress(set, status, o)
	settleRoute(&s, set, c, backend, o)
	settleProvisioned(set, status, base.Changes, o)
	return s
}

// conditionSetter sets a condition; the empty status removes it. The condition that the API server put there as a
// default has no transition time of its own.
func conditionSetter(s *accessv1alpha1.AccessTaskStatus, generation int64, now time.Time) func(string, metav1.ConditionStatus, string, string) {
	return func(kind string, status metav1.ConditionStatus, reason, message string) {
		if status == "" {
			meta.RemoveStatusCondition(&s.Conditions, kind)
			return
		}
		if old := meta.FindStatusCondition(s.Conditions, kind); old != nil && old.LastTransitionTime.Unix() <= 0 {
			meta.RemoveStatusCondition(&s.Conditions, kind)
		}
		meta.SetStatusCondition(&s.Conditions, metav1.Condition{
			Type:               kind,
			Status:             status,
			Reason:             reason,
			Message:            shorten(message, maxMessage),
			ObservedGeneration: generation,
			LastTransitionTime: metav1.NewTime(now),
		})
	}
}

// settleProgress sets Reconciling and Stalled: at most one of them, none on a task that finished well (kstatus). Each is set
// once, so that its transition time stays while it does.
func settleProgress(set func(string, metav1.ConditionStatus, string, string), status metav1.ConditionStatus, o outcome) {
	var stalled, reconciling metav1.ConditionStatus
	progress := accessv1alpha1.ReasonProgressing
	switch {
	case o.stalled != "":
		stalled = metav1.ConditionTrue
	case status == metav1.ConditionUnknown:
		reconciling = metav1.ConditionTrue
		if o.reason == accessv1alpha1.ReasonRetrying {
			progress = accessv1alpha1.ReasonProgressingWithRetry
		}
	}
	set(accessv1alpha1.ConditionReconciling, reconciling, progress, o.message)
	set(accessv1alpha1.ConditionStalled, stalled, o.stalled, o.message)
}

// settleRoute sets Routed and names the Connector. A task that a person completed keeps where it was routed.
func settleRoute(s *accessv1alpha1.AccessTaskStatus, set func(string, metav1.ConditionStatus, string, string), c *accessv1alpha1.Connector, backend string, o outcome) {
	switch {
	case c != nil:
		s.ConnectorRef = &accessv1alpha1.ConnectorReference{Name: c.Name}
		s.Backend = backend
		set(accessv1alpha1.ConditionRouted, metav1.ConditionTrue, accessv1alpha1.ReasonConnectorChosen, "connector "+c.Name+" serves the task")
	case o.reason == accessv1alpha1.ReasonNoConnector || o.reason == accessv1alpha1.ReasonAmbiguousConnector:
		s.ConnectorRef, s.Backend = nil, ""
		set(accessv1alpha1.ConditionRouted, metav1.ConditionFalse, o.reason, o.message)
	case o.reason == accessv1alpha1.ReasonUnsupported:
		s.ConnectorRef, s.Backend = nil, ""
		set(accessv1alpha1.ConditionRouted, "", "", "")
	}
}

// settleProvisioned sets Provisioned, where something is known about it.
func settleProvisioned(set func(string, metav1.ConditionStatus, string, string), status metav1.ConditionStatus, changes []accessv1alpha1.TaskChange, o outcome) {
	unverifiable := slices.ContainsFunc(changes, func(c accessv1alpha1.TaskChange) bool { return c.State == accessv1alpha1.ChangeUnverifiable })
	switch {
	case o.unprovisioned != "":
		set(accessv1alpha1.ConditionProvisioned, metav1.ConditionFalse, o.unprovisioned, o.message)
	case status != metav1.ConditionTrue || o.reason == accessv1alpha1.ReasonCompletedByPerson:
	case unverifiable:
		set(accessv1alpha1.ConditionProvisioned, metav1.ConditionTrue, accessv1alpha1.ReasonUnverifiable, o.message)
	default:
		set(accessv1alpha1.ConditionProvisioned, metav1.ConditionTrue, o.reason, o.message)
	}
}

// recorded returns the changes of earlier attempts, judged by what is seen now: one that was only planned and is in
// effect was applied, since nothing is sent that is not recorded first; one that is not in effect is planned again, or no
// longer wanted.
func recorded(base *accessv1alpha1.AccessTaskStatus, inEffect func(provisioning.Change) bool, now time.Time) []accessv1alpha1.TaskChange {
	var kept []accessv1alpha1.TaskChange
	for _, c := range base.Changes {
		if c.State != accessv1alpha1.ChangePlanned {
			kept = append(kept, c)
			continue
		}
		if inEffect(provisioning.Change{Action: provisioning.Action(c.Action), Entitlement: c.Entitlement}) {
			c.State, c.Time = accessv1alpha1.ChangeApplied, new(metav1.NewTime(now))
			kept = append(kept, c)
		}
	}
	return kept
}

// withoutDryRun returns the changes of a status without those that a dry run planned: they were never sent, and whoever
// made them so, it was not the operator.
func withoutDryRun(s *accessv1alpha1.AccessTaskStatus) []accessv1alpha1.TaskChange {
	if reasonOf(s) != accessv1alpha1.ReasonDryRun {
		return s.Changes
	}
	return slices.DeleteFunc(slices.Clone(s.Changes), func(c accessv1alpha1.TaskChange) bool { return c.State == accessv1alpha1.ChangePlanned })
}

// withResults appends what became of this attempt's changes to those of earlier attempts.
func withResults(earlier []accessv1alpha1.TaskChange, results []provisioning.Result, now time.Time) []accessv1alpha1.TaskChange {
	all := slices.Clone(earlier)
	for _, r := range results {
		c := accessv1alpha1.TaskChange{
			Action:      accessv1alpha1.ChangeAction(r.Change.Action),
			Entitlement: r.Change.Entitlement,
			State:       accessv1alpha1.ChangeState(r.State),
			Time:        new(metav1.NewTime(now)),
		}
		if r.Change.Action == provisioning.RemoveAllMembers {
			c.Members = new(int32(min(r.Change.Members, 1<<31-1))) //nolint:gosec // bounded
		}
		all = append(all, c)
	}
	return all[max(0, len(all)-maxChanges):]
}

// planned are changes as results that nothing became of yet.
func planned(changes []provisioning.Change) []provisioning.Result {
	results := make([]provisioning.Result, len(changes))
	for i, c := range changes {
		results[i] = provisioning.Result{Change: c, State: provisioning.Planned}
	}
	return results
}
