// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"strconv"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/audit"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// findings are what an attempt intends and found, for the audit log. The zero value is nothing.
type findings struct {
	// intended are the changes that are about to be made.
	intended []provisioning.Change
	// seen tells what is seen now of what a change is about; nil where nothing is.
	seen func(provisioning.Change) string
	// results are what became of the attempt's changes.
	results []provisioning.Result
}

// look is what is seen now of what a change is about.
func (f findings) look(c provisioning.Change) string {
	if f.seen == nil {
		return ""
	}
	return f.seen(c)
}

// change is the identity of a change in a task.
type change struct{ action, entitlement string }

// auditor makes the lines about one write of a task's status.
type auditor struct {
	task   *accessv1alpha1.AccessTask
	before *accessv1alpha1.AccessTaskStatus
	after  *accessv1alpha1.AccessTaskStatus
	found  findings
}

// lines are the lines that the write will make true. They are made before it, so that a crash between the two repeats
// lines, by the same ids, and loses none.
func (a auditor) lines() []audit.Line {
	var all []audit.Line
	if who := a.after.LastHandledRetry; who != "" && who != a.before.LastHandledRetry {
		l := a.line(audit.TaskRetried, "", "")
		l.Outcome, l.By = audit.Waiting, shorten(who, maxNote)
		all = append(all, l)
	}
	if ref := a.after.ConnectorRef; ref != nil && (a.before.ConnectorRef == nil || *a.before.ConnectorRef != *ref) {
		l := a.line(audit.TaskRouted, ref.Name, "")
		l.Outcome = audit.Waiting
		all = append(all, l)
	}
	all = append(all, a.unconfirmed()...)
	all = append(all, a.made()...)
	all = append(all, a.notMade()...)
	for _, c := range a.found.intended {
		l := a.line(audit.ChangePlanned, string(c.Action), c.Entitlement)
		l.Action, l.Entitlement, l.Before, l.Outcome = string(c.Action), c.Entitlement, a.found.look(c), audit.Planned
		if c.Action == provisioning.RemoveAllMembers {
			l.Members = new(int32(min(c.Members, 1<<31-1))) //nolint:gosec // bounded
		}
		all = append(all, l)
	}
	all = append(all, a.decided()...)
	return append(all, a.reported()...)
}

// unconfirmed is the line about a task that is done although Cakewalk could not be asked.
func (a auditor) unconfirmed() []audit.Line {
	c := newly(a.before, a.after, accessv1alpha1.ConditionChecked)
	if c == nil || c.Status != metav1.ConditionUnknown {
		return nil
	}
	l := a.line(audit.TaskUnconfirmed, "", "")
	l.Outcome, l.Reason, l.Message = audit.Waiting, c.Reason, shorten(c.Message, maxNote)
	return []audit.Line{l}
}

// reported is the line about what became of the report to Cakewalk.
func (a auditor) reported() []audit.Line {
	c := newly(a.before, a.after, accessv1alpha1.ConditionReported)
	if c == nil || c.Reason == accessv1alpha1.ReasonReporting {
		return nil
	}
	l := a.line(audit.TaskReported, c.Reason, "")
	l.Reason, l.Message = c.Reason, shorten(c.Message, maxNote)
	l.Outcome = ended(c.Status)
	return []audit.Line{l}
}

// ended is what a condition's status says of a task's end or of its report, in the log's words.
func ended(status metav1.ConditionStatus) audit.Outcome {
	switch status {
	case metav1.ConditionTrue:
		return audit.Succeeded
	case metav1.ConditionFalse:
		return audit.Failed
	default:
		return audit.Waiting
	}
}

// newly returns a condition of a status whose status or reason is not that of before, nil where there is none.
func newly(before, after *accessv1alpha1.AccessTaskStatus, kind string) *metav1.Condition {
	c, was := meta.FindStatusCondition(after.Conditions, kind), meta.FindStatusCondition(before.Conditions, kind)
	if c == nil || (was != nil && was.Status == c.Status && was.Reason == c.Reason) {
		return nil
	}
	return c
}

// line is a line about the task. What it tells is another thing for every version of the task.
func (a auditor) line(event audit.Event, what, which string) audit.Line {
	l := audit.ForTask(event, a.task)
	l.ID = audit.ID(string(a.task.UID), a.task.ResourceVersion, string(event), what, which)
	if ref := a.after.ConnectorRef; ref != nil {
		l.Connector = ref.Name
	}
	l.Backend, l.Subject, l.Attempt = a.after.Backend, a.after.Subject, valueOr(a.after.Attempts, 0)
	return l
}

// made are the changes that are newly known to be in effect, or accepted by a target system that does not show them.
func (a auditor) made() []audit.Line {
	known := map[accessv1alpha1.TaskChange]int{}
	for _, c := range a.before.Changes {
		if c.State != accessv1alpha1.ChangePlanned {
			known[withoutPointers(c)]++
		}
	}
	times := map[change]int{}
	var all []audit.Line
	for _, c := range a.after.Changes {
		if c.State == accessv1alpha1.ChangePlanned {
			continue
		}
		which := change{string(c.Action), c.Entitlement}
		times[which]++
		if key := withoutPointers(c); known[key] > 0 {
			known[key]--
			continue
		}
		l := a.line(audit.ChangeMade, "", "")
		// The same, whichever process tells it: a task's changes are counted in its status.
		l.ID = audit.ID(string(a.task.UID), string(audit.ChangeMade), which.action, which.entitlement, strconv.Itoa(times[which]))
		l.Action, l.Entitlement, l.Members, l.Outcome = which.action, which.entitlement, c.Members, audit.Applied
		if c.State == accessv1alpha1.ChangeUnverifiable {
			l.Outcome = audit.Unverifiable
		}
		a.explain(&l, c)
		all = append(all, l)
	}
	return all
}

// explain adds what was seen before and after a change, and the target's names for its requests. Of a change that an
// earlier attempt made, only what is seen now is known.
func (a auditor) explain(l *audit.Line, c accessv1alpha1.TaskChange) {
	for _, r := range a.found.results {
		if string(r.Change.Action) == l.Action && r.Change.Entitlement == l.Entitlement && string(r.State) == string(c.State) {
			l.Before, l.After, l.RequestIDs = r.Before, r.After, r.RequestIDs
			return
		}
	}
	l.Recovered = true
	l.After = a.found.look(provisioning.Change{Action: provisioning.Action(c.Action), Entitlement: c.Entitlement})
}

// notMade are the changes of an attempt that ended without them. A whole task that is waited for has not ended.
func (a auditor) notMade() []audit.Line {
	reason := reasonOf(a.after)
	if reason == accessv1alpha1.ReasonProvisioning {
		return nil
	}
	var all []audit.Line
	for _, r := range a.found.results {
		if r.State != provisioning.Planned {
			continue
		}
		l := a.line(audit.ChangeNotMade, string(r.Change.Action), r.Change.Entitlement)
		l.Action, l.Entitlement, l.Before, l.After = string(r.Change.Action), r.Change.Entitlement, r.Before, r.After
		l.RequestIDs, l.Outcome, l.Reason = r.RequestIDs, audit.NotSeen, reason
		all = append(all, l)
	}
	return all
}

// decided is the line about a new reason of the summary.
func (a auditor) decided() []audit.Line {
	s := meta.FindStatusCondition(a.after.Conditions, accessv1alpha1.ConditionSucceeded)
	if s == nil || s.Reason == reasonOf(a.before) {
		return nil
	}
	event := audit.TaskDecided
	if s.Reason == accessv1alpha1.ReasonCompletedByPerson {
		event = audit.TaskCompletedByPerson
	}
	l := a.line(event, s.Reason, "")
	l.Reason, l.Message = s.Reason, shorten(s.Message, maxNote)
	l.Outcome = ended(s.Status)
	if event == audit.TaskCompletedByPerson {
		// In the person's own words, or in Cakewalk's.
		l.By = shorten(cmp.Or(annotation(a.task, accessv1alpha1.AnnotationComplete), s.Message), maxNote)
	}
	return []audit.Line{l}
}

// deletion is the line about a task whose time to be kept is over.
func deletion(task *accessv1alpha1.AccessTask) audit.Line {
	l := auditor{task: task, before: &task.Status, after: &task.Status}.line(audit.TaskDeleted, "", "")
	l.Outcome, l.Reason = audit.Deleted, reasonOf(&task.Status)
	l.Message = "spec.ttlSecondsAfterFinished is over"
	return l
}

// withoutPointers is a change that can be compared.
func withoutPointers(c accessv1alpha1.TaskChange) accessv1alpha1.TaskChange {
	return accessv1alpha1.TaskChange{Action: c.Action, Entitlement: c.Entitlement, State: c.State}
}
