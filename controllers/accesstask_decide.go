// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// view is everything that a decision about a task rests on.
type view struct {
	task *accessv1alpha1.AccessTask
	// receiver is the WebhookReceiver that stored the task; nil for none, or one that does not exist any more.
	receiver *accessv1alpha1.WebhookReceiver
	// told is the outcome of a task that Cakewalk, asked while the task waited, knows to be closed; nil for none.
	told *outcome
	// connectors are all Connectors of the task's namespace.
	connectors []*accessv1alpha1.Connector
	// lineup knows the order of the tasks of a person in an application.
	lineup *Lineup
	now    time.Time
	// changedAt tells when a Connector was last changed or healed, as far as this process saw it.
	changedAt func(connector types.NamespacedName) time.Time
}

// verb is what to do next about a task.
type verb string

const (
	// verbWait does nothing now; the status stays as it is.
	verbWait verb = "wait"
	// verbDelete deletes the finished task.
	verbDelete verb = "delete"
	// verbSettle writes the outcome.
	verbSettle verb = "settle"
	// verbPlan observes the target system and shows what would be changed.
	verbPlan verb = "plan"
	// verbProvision brings the target system to the goal.
	verbProvision verb = "provision"
)

// decision is what to do next about a task.
type decision struct {
	verb verb
	// base is the status to go on from: the task's own, or a fresh start of it.
	base accessv1alpha1.AccessTaskStatus
	// receiver and connectors are those of the view.
	receiver   *accessv1alpha1.WebhookReceiver
	connectors []*accessv1alpha1.Connector
	// connector is the chosen one; nil where none was.
	connector *accessv1alpha1.Connector
	// goal is what to plan for or to provision.
	goal provisioning.Goal
	// outcome is what to write.
	outcome outcome
	// found is what an attempt found, for the audit log.
	found findings
	// after is when to look again; zero leaves it to events.
	after time.Duration
}

// decide chooses what to do next about a task. It is pure: the same view gives the same decision.
func decide(v view) decision {
	d := choose(v)
	if d.verb == verbProvision || (d.verb == verbSettle && d.outcome.reason != accessv1alpha1.ReasonDryRun) {
		d.base.Changes = withoutDryRun(&v.task.Status)
	}
	return d
}

func choose(v view) decision {
	d := decision{base: *v.task.Status.DeepCopy(), receiver: v.receiver, connectors: v.connectors}
	startOver := retryAsked(v.task)
	if startOver {
		d.base = startedOver(v.task, v.now)
	}
	if o := completed(v.task, outcome{stalled: stalledReason(&d.base)}); o.finished == metav1.ConditionTrue {
		d.verb, d.outcome = verbSettle, o
		return d
	}
	if v.told != nil && (!finished(&d.base) || stalledReason(&d.base) != "") {
		d.verb, d.outcome = verbSettle, *v.told
		return d
	}
	if finished(&d.base) {
		return decideFinished(v, d)
	}
	if v.receiver == nil && v.task.Annotations[accessv1alpha1.AnnotationPreflight] == string(accessv1alpha1.PreflightRequired) {
		return d.settle(v, withoutReceiver(v.task))
	}
	if isTrue(v.task.Spec.Suspend) {
		return d.settle(v, outcome{reason: accessv1alpha1.ReasonSuspended, message: "spec.suspend of the task is true"})
	}
	if o := unsupported(v); o != nil {
		return d.settle(v, *o)
	}
	connector, o := route(v.task, v.connectors)
	if o != nil {
		return d.settle(v, *o)
	}
	d.connector = connector
	if isTrue(connector.Spec.Suspend) {
		return d.settle(v, outcome{reason: accessv1alpha1.ReasonSuspended, message: fmt.Sprintf("spec.suspend of connector %q is true", connector.Name)})
	}
	return decideRouted(v, d, startOver)
}

// decideFinished deletes a finished task when its time to be kept is over, and Cakewalk knows how it ended. retention has
// it visited then.
func decideFinished(v view, d decision) decision {
	d.verb = verbWait
	if at := expiry(v.task); !unreported(&d.base) && !at.IsZero() && !v.now.Before(at) {
		d.verb = verbDelete
	}
	return d
}

// decideRouted decides about a task whose Connector is known.
func decideRouted(v view, d decision, startOver bool) decision {
	c := d.connector
	var t turn
	if !underWay(&d.base) {
		t = v.lineup.turn(v.task, v.now, v.held)
	}
	if t.unknown {
		d.verb = verbWait
		return d
	}
	if t.supersededBy != "" {
		return d.settle(v, superseded(t))
	}
	goal, err := goalOf(v.task, c)
	switch {
	case c.Spec.Manual != nil && (err == nil || len(c.Spec.PermissionLevels) == 0):
		return d.settle(v, waitForPerson(v.task, c, goal))
	case err != nil && isTrue(c.Spec.DryRun):
		return d.settle(v, outcome{reason: accessv1alpha1.ReasonDryRun, message: "dry run: the task would end as PermanentError: " + err.Error()})
	case err != nil:
		return d.settle(v, failed(err, goal.Kind, c, 0, v.now, v.now))
	}
	if why := notReady(c); why != "" {
		return d.settle(v, connectorNotReady(c, why))
	}
	if wait := backoffLeft(v, d, startOver); wait > 0 {
		d.verb, d.after = verbWait, wait
		return d
	}
	d.goal, d.verb = goal, verbProvision
	if isTrue(c.Spec.DryRun) {
		d.verb = verbPlan
	} else if t.first != "" {
		return d.waitForEarlier(v, t)
	}
	return d
}

// held tells whether a task is left to a person or held back by one, as things are now: its status may be older.
func (v view) held(task *accessv1alpha1.AccessTask) bool {
	if isTrue(task.Spec.Suspend) || unsupported(view{task: task, connectors: v.connectors}) != nil {
		return true
	}
	c, o := route(task, v.connectors)
	return o != nil || isTrue(c.Spec.Suspend) || isTrue(c.Spec.DryRun) || c.Spec.Manual != nil
}

// waitForEarlier waits for another task, which wakes this one when it ends. The status says so once the wait is longer
// than a moment.
func (d decision) waitForEarlier(v view, t turn) decision {
	o := earlierTask(v.task, t)
	if v.now.Sub(receivedTime(v.task)) < waitingStatusAfter {
		return d.waitFor(o.after)
	}
	if reasonOf(&d.base) == o.reason {
		// Who is first may change a thousand times: the status need not follow each.
		return d.waitFor(o.after)
	}
	return d.settle(v, o)
}

// earlierTask is the outcome of a task that waits for another.
func earlierTask(task *accessv1alpha1.AccessTask, t turn) outcome {
	o := outcome{
		reason:  accessv1alpha1.ReasonWaitingForEarlierTask,
		message: fmt.Sprintf("the older task %s of the same person and application goes first", t.first),
		after:   time.Minute,
	}
	if t.newer {
		o.message = fmt.Sprintf("the newer removal %s of the same person and application goes first", t.first)
	}
	if kinds[task.Spec.Request.Type] == provisioning.Remove {
		// It overtakes when it has waited long enough.
		o.after = 5 * time.Second
	}
	return o
}

// superseded is the outcome of a task that must not run after a newer one.
func superseded(t turn) outcome {
	o := outcome{
		finished: metav1.ConditionFalse,
		reason:   accessv1alpha1.ReasonSuperseded,
		message:  fmt.Sprintf("the newer task %s of the same person and application goes before it, and nothing older is done after something newer", t.supersededBy),
	}
	if t.look {
		o.stalled = accessv1alpha1.ReasonSuperseded
		o.message += "; it would have taken access away that the newer one says nothing about: look whether that is to go"
	}
	return o
}

// settle decides to write an outcome, or, where it would leave the task to a person who has said that it is done, to
// complete it.
func (d decision) settle(v view, o outcome) decision {
	d.verb, d.outcome = verbSettle, completed(v.task, o)
	return d
}

// unsupported returns the outcome of a request that is left to a person, nil where it is not.
func unsupported(v view) *outcome {
	o := &outcome{
		finished: metav1.ConditionFalse,
		reason:   accessv1alpha1.ReasonUnsupported,
		stalled:  accessv1alpha1.ReasonUnsupported,
	}
	if v.task.Spec.Request == nil {
		o.message = "the event carried no request, so that what to do is not known; it is left to a person"
		return o
	}
	kind, ok := kinds[v.task.Spec.Request.Type]
	if !ok {
		o.message = fmt.Sprintf("requests of the type %q are left to a person", v.task.Spec.Request.Type)
		return o
	}
	if onlyWhereListed(kind) && !servesOnRequest(v.task, v.connectors) {
		o.message = fmt.Sprintf("requests of the type %s are left to a person unless a connector of the application lists the type in spec.match.requestTypes", v.task.Spec.Request.Type)
		return o
	}
	return nil
}

// waitForPerson is the outcome of a manual Connector.
func waitForPerson(task *accessv1alpha1.AccessTask, c *accessv1alpha1.Connector, g provisioning.Goal) outcome {
	message := strings.TrimSpace(c.Spec.Manual.Instructions)
	if len(g.Levels) > 0 {
		concerned := slices.Concat(g.Levels...)
		if g.Level != provisioning.NoLevel {
			concerned = g.Levels[g.Level]
		}
		slices.Sort(concerned)
		message += fmt.Sprintf(" (%s: %s)", shortType(task), list(slices.Compact(concerned)))
	}
	return outcome{
		reason:  accessv1alpha1.ReasonWaitingForPerson,
		stalled: accessv1alpha1.ReasonWaitingForPerson,
		message: message,
	}
}

// notReady tells why a Connector cannot be used now; empty if it can.
func notReady(c *accessv1alpha1.Connector) string {
	ready := meta.FindStatusCondition(c.Status.Conditions, accessv1alpha1.ConditionReady)
	switch {
	case ready == nil || ready.ObservedGeneration != c.Generation:
		return "it was not probed yet since it was made or changed"
	case ready.Status != metav1.ConditionTrue:
		return ready.Reason + ": " + ready.Message
	default:
		return ""
	}
}

// backoffLeft tells how long a failed attempt still waits. It waits no longer once its Connector was changed or healed,
// or a person asked for a retry.
func backoffLeft(v view, d decision, startOver bool) time.Duration {
	next, last := d.base.NextAttemptTime, d.base.LastAttemptTime
	if next == nil || startOver || reasonOf(&d.base) != accessv1alpha1.ReasonRetrying {
		return 0
	}
	name := types.NamespacedName{Namespace: d.connector.Namespace, Name: d.connector.Name}
	if d.base.ConnectorRef == nil || d.base.ConnectorRef.Name != d.connector.Name {
		return 0
	}
	// The attempt's time is known to the second: a change within the same second may be older.
	if last != nil && v.changedAt(name).Truncate(time.Second).After(last.Time) {
		return 0
	}
	return next.Sub(v.now)
}

// retryAsked tells whether a person asks to start over, by a value of the annotation that was not handled before, a task
// that is stalled, or that waits for its next attempt.
func retryAsked(task *accessv1alpha1.AccessTask) bool {
	value := annotation(task, accessv1alpha1.AnnotationRetry)
	if value == "" || value == task.Status.LastHandledRetry || succeeded(&task.Status) {
		return false
	}
	return true
}

// startedOver is the status of a task that starts over: what was changed stays on record, the attempts count anew.
func startedOver(task *accessv1alpha1.AccessTask, now time.Time) accessv1alpha1.AccessTaskStatus {
	s := *task.Status.DeepCopy()
	s.LastHandledRetry = annotation(task, accessv1alpha1.AnnotationRetry)
	s.Attempts, s.StartTime, s.LastAttemptTime, s.NextAttemptTime, s.CompletionTime, s.LastCheckTime = nil, nil, nil, nil, nil, nil
	meta.RemoveStatusCondition(&s.Conditions, accessv1alpha1.ConditionStalled)
	meta.SetStatusCondition(&s.Conditions, metav1.Condition{
		Type:               accessv1alpha1.ConditionSucceeded,
		Status:             metav1.ConditionUnknown,
		Reason:             accessv1alpha1.ReasonPending,
		Message:            "started over",
		LastTransitionTime: metav1.NewTime(now),
	})
	return s
}

// completed turns an outcome that leaves the task to a person into success, where a person has said that it is done.
func completed(task *accessv1alpha1.AccessTask, o outcome) outcome {
	who := annotation(task, accessv1alpha1.AnnotationComplete)
	if who == "" || o.stalled == "" {
		return o
	}
	return outcome{
		finished: metav1.ConditionTrue,
		reason:   accessv1alpha1.ReasonCompletedByPerson,
		message:  "completed by hand: " + who,
	}
}

// annotation returns an annotation's value without white space around it, cut to what status can hold.
func annotation(task *accessv1alpha1.AccessTask, key string) string {
	return shorten(strings.TrimSpace(task.Annotations[key]), 1024)
}

func finished(s *accessv1alpha1.AccessTaskStatus) bool {
	c := meta.FindStatusCondition(s.Conditions, accessv1alpha1.ConditionSucceeded)
	return c != nil && c.Status != metav1.ConditionUnknown
}

func succeeded(s *accessv1alpha1.AccessTaskStatus) bool {
	return meta.IsStatusConditionTrue(s.Conditions, accessv1alpha1.ConditionSucceeded)
}

func reasonOf(s *accessv1alpha1.AccessTaskStatus) string {
	if c := meta.FindStatusCondition(s.Conditions, accessv1alpha1.ConditionSucceeded); c != nil {
		return c.Reason
	}
	return ""
}

func stalledReason(s *accessv1alpha1.AccessTaskStatus) string {
	if c := meta.FindStatusCondition(s.Conditions, accessv1alpha1.ConditionStalled); c != nil && c.Status == metav1.ConditionTrue {
		return c.Reason
	}
	return ""
}
