// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

// report is what Cakewalk is to be told of how a task ended.
type report string

const (
	// reportNothing: there is nothing to tell.
	reportNothing report = ""
	// reportApprove: the change was made.
	reportApprove report = "approve"
	// reportDecline: the change will not be made.
	reportDecline report = "decline"
)

// failuresForGood are the ends of a task that is declined where the WebhookReceiver says so.
var failuresForGood = []string{
	accessv1alpha1.ReasonPermanentError,
	accessv1alpha1.ReasonRetriesExhausted,
	accessv1alpha1.ReasonDeadlineExceeded,
}

// reportOf says what Cakewalk is to be told of a task that ended. A removal is never declined: it would be lost.
func reportOf(task *accessv1alpha1.AccessTask, s *accessv1alpha1.AccessTaskStatus, receiver *accessv1alpha1.WebhookReceiver) report {
	if receiver == nil || receiver.Spec.CakewalkAPI == nil || !finished(s) {
		return reportNothing
	}
	api := receiver.Spec.CakewalkAPI
	switch {
	case succeeded(s) && api.OnSuccess == accessv1alpha1.OnSuccessApprove:
		return reportApprove
	case !succeeded(s) && api.OnFailure == accessv1alpha1.OnFailureDecline &&
		slices.Contains(failuresForGood, reasonOf(s)) && !takesAway(kinds[requestType(task)]):
		return reportDecline
	default:
		return reportNothing
	}
}

// settleReport sets Reported on the status of a task that just ended: Unknown where Cakewalk is to be told. It takes it
// off one that is to be done again.
func settleReport(s *accessv1alpha1.AccessTaskStatus, task *accessv1alpha1.AccessTask, receiver *accessv1alpha1.WebhookReceiver, o outcome, now time.Time) {
	set := conditionSetter(s, task.Generation, now)
	known := meta.FindStatusCondition(s.Conditions, accessv1alpha1.ConditionReported)
	switch what := reportOf(task, s, receiver); {
	case !finished(s):
		set(accessv1alpha1.ConditionReported, "", "", "")
	case o.approvedThere:
		set(accessv1alpha1.ConditionReported, metav1.ConditionTrue, accessv1alpha1.ReasonAlreadyApproved, "the task is closed in Cakewalk")
	case what != reportNothing && (known == nil || known.Status == metav1.ConditionUnknown):
		set(accessv1alpha1.ConditionReported, metav1.ConditionUnknown, accessv1alpha1.ReasonReporting, "Cakewalk is to be told: "+string(what))
	}
}

// unreported tells whether Cakewalk is still to be told how a task ended.
func unreported(s *accessv1alpha1.AccessTaskStatus) bool {
	c := meta.FindStatusCondition(s.Conditions, accessv1alpha1.ConditionReported)
	return finished(s) && c != nil && c.Status == metav1.ConditionUnknown
}

// reportedThere tells whether Cakewalk knows how a task ended.
func reportedThere(s *accessv1alpha1.AccessTaskStatus) bool {
	return meta.IsStatusConditionTrue(s.Conditions, accessv1alpha1.ConditionReported)
}

const (
	// reportDelayMin and reportDelayMax bound the time between two tries to report a task; it grows with how long the
	// task is over.
	reportDelayMin = 15 * time.Second
	reportDelayMax = time.Hour
	// reportFor is how long a report is tried.
	reportFor = 7 * 24 * time.Hour
	// reportTroubleAfter is how long a task is over before its status says why it is not reported: most trouble passes
	// sooner, and a write for each try would slow down all.
	reportTroubleAfter = time.Minute
)

// reportDelay is when to try again to report a task that has been over for a time.
func reportDelay(over time.Duration) time.Duration {
	return min(max(over/2, reportDelayMin), reportDelayMax)
}

// reported is what became of a report: the condition Reported, and when to try again where it is Unknown.
type reported struct {
	status          metav1.ConditionStatus
	reason, message string
	after           time.Duration
}

// toldAlready is what became of a report of a task that is closed in Cakewalk, or false where it is open.
func toldAlready(what report, known *cakewalk.Task, open []string) (reported, bool) {
	o := judgeStatus(known, open)
	switch {
	case o == nil:
		return reported{}, false
	case o.approvedThere && what == reportApprove:
		return reported{status: metav1.ConditionTrue, reason: accessv1alpha1.ReasonAlreadyApproved, message: o.message}, true
	case o.approvedThere:
		return reported{status: metav1.ConditionFalse, reason: accessv1alpha1.ReasonAlreadyApproved, message: o.message + ", although the change was not made here"}, true
	case what == reportApprove:
		return reported{status: metav1.ConditionFalse, reason: accessv1alpha1.ReasonDeclined, message: o.message + ", after the change was made: look whether it is to be undone"}, true
	default:
		return reported{status: metav1.ConditionTrue, reason: accessv1alpha1.ReasonDeclined, message: o.message}, true
	}
}

// notTold is what became of a report that Cakewalk did not take, a time after the task ended.
func notTold(err error, over time.Duration) reported {
	r := reported{status: metav1.ConditionUnknown, message: err.Error(), after: reportDelay(over)}
	switch cakewalk.FaultOf(err) {
	case cakewalk.FaultNotFound:
		r.status, r.reason = metav1.ConditionFalse, accessv1alpha1.ReasonTaskNotFound
		return r
	case cakewalk.FaultForbidden:
		r.reason = accessv1alpha1.ReasonReadOnlyKey
	case cakewalk.FaultUnauthorized:
		r.reason = accessv1alpha1.ReasonUnauthorized
	case cakewalk.FaultRateLimited:
		r.reason = accessv1alpha1.ReasonRateLimited
	case cakewalk.FaultRefused, cakewalk.FaultConflict:
		r.reason = accessv1alpha1.ReasonReportRefused
	case cakewalk.FaultAway:
		r.reason = accessv1alpha1.ReasonUnreachable
	}
	if over >= reportFor {
		r.status, r.reason = metav1.ConditionFalse, accessv1alpha1.ReasonReportAbandoned
		r.message = "not reported within " + reportFor.String() + "; the last try: " + r.message
	}
	return r
}

// endOf is when a task ended.
func endOf(task *accessv1alpha1.AccessTask) time.Time {
	if t := task.Status.CompletionTime; t != nil {
		return t.Time
	}
	return receivedTime(task)
}
