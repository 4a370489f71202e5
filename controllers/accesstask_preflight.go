// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/provisioning"
)

const (
	// recheckAfter is how long a confirmation of Cakewalk's holds: a retry that comes later asks again.
	recheckAfter = time.Minute
	// askAgainAfter is when a task that waits for Cakewalk asks again, where nothing says when.
	askAgainAfter = 10 * time.Second
	// maxPurpose is how much of a request's purpose is kept, in bytes.
	maxPurpose = 4096
)

// preflightOf says whether Cakewalk is asked about the tasks of a receiver; nil is no receiver.
func preflightOf(receiver *accessv1alpha1.WebhookReceiver) accessv1alpha1.CakewalkPreflight {
	if receiver == nil || receiver.Spec.CakewalkAPI == nil {
		return accessv1alpha1.PreflightDisabled
	}
	return receiver.Spec.CakewalkAPI.Preflight
}

// preflight asks Cakewalk whether a task is still to be done as it was announced. It returns the decision with what
// Cakewalk said, and whether to go on with it; otherwise the decision is settled or waits.
func (r *AccessTaskReconciler) preflight(ctx context.Context, task *accessv1alpha1.AccessTask, engine *provisioning.Engine, d decision) (decision, bool) {
	asks := preflightOf(d.receiver)
	now := r.now()
	if asks == accessv1alpha1.PreflightDisabled || confirmedLately(&d.base, now) {
		return d, true
	}
	if engine.Executor != nil && underWay(&d.base) {
		// It was handed over after it was confirmed; now its end is waited for.
		return d, true
	}
	known, refusal, err := r.confirm(ctx, task, d.receiver)
	set := conditionSetter(&d.base, task.Generation, now)
	if err != nil && cakewalk.FaultOf(err) != cakewalk.FaultNotFound {
		if asks == accessv1alpha1.PreflightBestEffort && cakewalk.FaultOf(err) != cakewalk.FaultRateLimited {
			set(accessv1alpha1.ConditionChecked, metav1.ConditionUnknown, accessv1alpha1.ReasonUnreachable,
				"done without Cakewalk's confirmation (preflight BestEffort): "+err.Error())
			return d, true
		}
		d.verb, d.outcome = verbSettle, waitForCakewalk(err)
		return d, false
	}
	if err != nil {
		refusal = rejected("Cakewalk does not know the task")
	} else {
		learn(&d.base, known)
	}
	if refusal != nil {
		if sent(&d.base) && refusal.finished == metav1.ConditionFalse {
			// Whether what was changed is to stay is for a person to say.
			refusal.stalled = refusal.reason
			refusal.message += "; changes were made before: see status.changes"
		}
		set(accessv1alpha1.ConditionChecked, metav1.ConditionFalse, refusal.reason, refusal.message)
		d.verb, d.outcome = verbSettle, *refusal
		return d, false
	}
	set(accessv1alpha1.ConditionChecked, metav1.ConditionTrue, accessv1alpha1.ReasonConfirmed, "Cakewalk says that the task is open and as announced")
	d.base.LastCheckTime = new(metav1.NewTime(now))
	return d, true
}

// confirm asks Cakewalk whether a task is still to be done as it was announced. It returns the outcome of one that is not.
func (r *AccessTaskReconciler) confirm(ctx context.Context, task *accessv1alpha1.AccessTask, receiver *accessv1alpha1.WebhookReceiver) (*cakewalk.Task, *outcome, error) {
	known, err := r.ask(ctx, task, receiver)
	if err != nil {
		return nil, nil, err
	}
	refusal := judge(task, known, receiver.Spec.CakewalkAPI.OpenStatuses)
	if refusal == nil {
		refusal, err = r.checkNames(ctx, task, receiver, known)
	}
	return known, refusal, err
}

// ask asks Cakewalk about a task.
func (r *AccessTaskReconciler) ask(ctx context.Context, task *accessv1alpha1.AccessTask, receiver *accessv1alpha1.WebhookReceiver) (*cakewalk.Task, error) {
	api, err := r.Cakewalk.Client(ctx, receiver)
	if err != nil {
		return nil, err
	}
	known, err := api.Task(ctx, task.Spec.TaskID)
	if err == nil && known.Status == "" {
		err = &cakewalk.APIError{Fault: cakewalk.FaultAway, Detail: "Cakewalk's answer does not tell the task's status"}
	}
	return known, err
}

// confirmedLately tells whether Cakewalk confirmed a task within the last minute.
func confirmedLately(s *accessv1alpha1.AccessTaskStatus, now time.Time) bool {
	return s.LastCheckTime != nil && now.Sub(s.LastCheckTime.Time) < recheckAfter
}

// learn keeps what Cakewalk tells of a task that no webhook does.
func learn(s *accessv1alpha1.AccessTaskStatus, known *cakewalk.Task) {
	if known.Request != nil {
		if purpose := strings.TrimSpace(known.Request.Purpose); purpose != "" {
			s.Purpose = shorten(purpose, maxPurpose)
		}
	}
	// One that began keeps its place: others were held back or let go by it.
	if !known.CreatedAt.IsZero() && s.StartTime == nil {
		s.TaskCreationTime = new(metav1.NewMicroTime(known.CreatedAt))
	}
}

// waitForCakewalk is the outcome of a task that Cakewalk has to confirm, while it cannot be asked. Tasks come back at
// different moments, so that a thousand do not ask at once.
func waitForCakewalk(err error) outcome {
	after := askAgainAfter
	if of, ok := errors.AsType[*cakewalk.APIError](err); ok {
		after = max(after, of.After)
	}
	after += time.Duration(rand.Float64() * float64(after) / 2) //nolint:gosec // a delay is no secret
	return outcome{
		reason:  accessv1alpha1.ReasonWaitingForCakewalk,
		message: "Cakewalk has to confirm the task before anything is changed: " + err.Error(),
		after:   after,
	}
}

// withoutReceiver is the outcome of a task whose WebhookReceiver wanted it confirmed and is gone.
func withoutReceiver(task *accessv1alpha1.AccessTask) outcome {
	return outcome{
		reason:  accessv1alpha1.ReasonWaitingForCakewalk,
		stalled: accessv1alpha1.ReasonWaitingForCakewalk,
		message: "Cakewalk has to confirm the task, and WebhookReceiver " + task.Spec.ReceiverRef.Name + ", which says how to ask, does not exist; create it again or complete the task by hand",
	}
}
