// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

// newReceiver is a WebhookReceiver with Cakewalk's API.
func newReceiver(change ...func(*accessv1alpha1.CakewalkAPI)) *accessv1alpha1.WebhookReceiver {
	api := &accessv1alpha1.CakewalkAPI{
		Preflight: accessv1alpha1.PreflightRequired, OnSuccess: accessv1alpha1.OnSuccessApprove, OnFailure: accessv1alpha1.OnFailureLeaveOpen,
	}
	for _, c := range change {
		c(api)
	}
	return &accessv1alpha1.WebhookReceiver{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "cakewalk"},
		Spec:       accessv1alpha1.WebhookReceiverSpec{CakewalkAPI: api},
	}
}

func declines(api *accessv1alpha1.CakewalkAPI) { api.OnFailure = accessv1alpha1.OnFailureDecline }

func TestWhatIsReported(t *testing.T) {
	succeeded := withStatus(outcome{finished: metav1.ConditionTrue, reason: accessv1alpha1.ReasonProvisioned})
	ended := func(reason string) func(*accessv1alpha1.AccessTask) {
		return withStatus(outcome{finished: metav1.ConditionFalse, reason: reason})
	}
	tests := map[string]struct {
		task     *accessv1alpha1.AccessTask
		receiver *accessv1alpha1.WebhookReceiver
		want     report
	}{
		"a success is approved":              {newTask(succeeded), newReceiver(), reportApprove},
		"a success, where nothing is wanted": {newTask(succeeded), newReceiver(func(a *accessv1alpha1.CakewalkAPI) { a.OnSuccess = accessv1alpha1.OnSuccessNone }), reportNothing},
		"a success without an API":           {newTask(succeeded), &accessv1alpha1.WebhookReceiver{}, reportNothing},
		"a success without a receiver":       {newTask(succeeded), nil, reportNothing},
		"one that is not over":               {newTask(), newReceiver(), reportNothing},
		"a failure is left open":             {newTask(ended(accessv1alpha1.ReasonPermanentError)), newReceiver(), reportNothing},
		"a failure is declined":              {newTask(ended(accessv1alpha1.ReasonPermanentError)), newReceiver(declines), reportDecline},
		"retries are exhausted":              {newTask(ended(accessv1alpha1.ReasonRetriesExhausted)), newReceiver(declines), reportDecline},
		"the deadline is exceeded":           {newTask(ended(accessv1alpha1.ReasonDeadlineExceeded)), newReceiver(declines), reportDecline},
		"a removal is never declined":        {newTask(withType(accessv1alpha1.RequestTypeRemoveAccess), ended(accessv1alpha1.ReasonPermanentError)), newReceiver(declines), reportNothing},
		"archiving is never declined":        {newTask(withType(accessv1alpha1.RequestTypeArchiveWorkApp), ended(accessv1alpha1.ReasonPermanentError)), newReceiver(declines), reportNothing},
		"what is unsupported is left open":   {newTask(ended(accessv1alpha1.ReasonUnsupported)), newReceiver(declines), reportNothing},
		"what is rejected is left open":      {newTask(ended(accessv1alpha1.ReasonRejected)), newReceiver(declines), reportNothing},
		"what is superseded is left open":    {newTask(ended(accessv1alpha1.ReasonSuperseded)), newReceiver(declines), reportNothing},
		"what Cakewalk does is left open":    {newTask(ended(accessv1alpha1.ReasonHandledByCakewalk)), newReceiver(declines), reportNothing},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := reportOf(tc.task, &tc.task.Status, tc.receiver); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestWhatCakewalkKnowsAlready(t *testing.T) {
	tests := map[string]struct {
		what   report
		known  *cakewalk.Task
		open   bool
		status metav1.ConditionStatus
		reason string
	}{
		"open":                            {what: reportApprove, known: asAnnounced(), open: true},
		"approved already":                {what: reportApprove, known: asAnnounced(closedAs("Approved")), status: metav1.ConditionTrue, reason: accessv1alpha1.ReasonAlreadyApproved},
		"declined meanwhile":              {what: reportApprove, known: asAnnounced(closedAs("Declined")), status: metav1.ConditionFalse, reason: accessv1alpha1.ReasonDeclined},
		"cancelled meanwhile":             {what: reportApprove, known: asAnnounced(func(k *cakewalk.Task) { k.Request.CancelledBy = "u" }), status: metav1.ConditionFalse, reason: accessv1alpha1.ReasonDeclined},
		"to be declined, approved":        {what: reportDecline, known: asAnnounced(closedAs("Approved")), status: metav1.ConditionFalse, reason: accessv1alpha1.ReasonAlreadyApproved},
		"to be declined, declined":        {what: reportDecline, known: asAnnounced(closedAs("Declined")), status: metav1.ConditionTrue, reason: accessv1alpha1.ReasonDeclined},
		"another request is not compared": {what: reportApprove, known: asAnnounced(func(k *cakewalk.Task) { k.Request.WorkAppID = "x" }), open: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := toldAlready(tc.what, tc.known, nil)
			if ok == tc.open || got.status != tc.status || got.reason != tc.reason {
				t.Errorf("got %v %+v", ok, got)
			}
		})
	}
}

func TestAReportThatIsNotTakenIsTriedForAWeek(t *testing.T) {
	fault := func(f cakewalk.Fault) error { return &cakewalk.APIError{Fault: f, Detail: "x"} }
	tests := map[string]struct {
		err    error
		over   time.Duration
		status metav1.ConditionStatus
		reason string
		after  time.Duration
	}{
		"away, soon after the end":  {fault(cakewalk.FaultAway), time.Second, metav1.ConditionUnknown, accessv1alpha1.ReasonUnreachable, reportDelayMin},
		"away for an hour":          {fault(cakewalk.FaultAway), time.Hour, metav1.ConditionUnknown, accessv1alpha1.ReasonUnreachable, 30 * time.Minute},
		"away for days":             {fault(cakewalk.FaultAway), 50 * time.Hour, metav1.ConditionUnknown, accessv1alpha1.ReasonUnreachable, time.Hour},
		"away for a week":           {fault(cakewalk.FaultAway), reportFor, metav1.ConditionFalse, accessv1alpha1.ReasonReportAbandoned, time.Hour},
		"a missing Secret":          {errors.New("x"), time.Second, metav1.ConditionUnknown, accessv1alpha1.ReasonUnreachable, reportDelayMin},
		"a key that is read-only":   {fault(cakewalk.FaultForbidden), time.Hour, metav1.ConditionUnknown, accessv1alpha1.ReasonReadOnlyKey, 30 * time.Minute},
		"refused credentials":       {fault(cakewalk.FaultUnauthorized), time.Hour, metav1.ConditionUnknown, accessv1alpha1.ReasonUnauthorized, 30 * time.Minute},
		"a limit":                   {fault(cakewalk.FaultRateLimited), time.Second, metav1.ConditionUnknown, accessv1alpha1.ReasonRateLimited, reportDelayMin},
		"a body that is not wanted": {fault(cakewalk.FaultRefused), time.Hour, metav1.ConditionUnknown, accessv1alpha1.ReasonReportRefused, 30 * time.Minute},
		"a task that is gone":       {fault(cakewalk.FaultNotFound), time.Second, metav1.ConditionFalse, accessv1alpha1.ReasonTaskNotFound, reportDelayMin},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := notTold(tc.err, tc.over); got.status != tc.status || got.reason != tc.reason || got.after != tc.after {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestADecisionHoldsADeletionBackUntilCakewalkKnows(t *testing.T) {
	over := newTask(withStatus(outcome{finished: metav1.ConditionTrue, reason: accessv1alpha1.ReasonProvisioned}), func(task *accessv1alpha1.AccessTask) {
		task.Spec.TTLSecondsAfterFinished = new(int32(1))
	})
	later := view{task: over, receiver: newReceiver(), lineup: NewLineup(), now: t0.Add(24 * time.Hour)}
	settleReport(&over.Status, over, later.receiver, outcome{}, t0)
	if !unreported(&over.Status) {
		t.Fatalf("conditions %+v", over.Status.Conditions)
	}
	if d := decide(later); d.verb != verbWait || d.after != 0 {
		t.Errorf("decided to %s after %s", d.verb, d.after)
	}
	conditionSetter(&over.Status, 1, t0)(accessv1alpha1.ConditionReported, metav1.ConditionTrue, accessv1alpha1.ReasonApproved, "")
	if d := decide(later); d.verb != verbDelete {
		t.Errorf("decided to %s", d.verb)
	}
}
