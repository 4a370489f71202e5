// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

// judge compares a task with what Cakewalk says of it. It returns the outcome of a task that must not be carried out, nil
// where it is open and as announced. open are the statuses that count as open; empty: all that are not known to be closed.
func judge(task *accessv1alpha1.AccessTask, known *cakewalk.Task, open []string) *outcome {
	if o := judgeStatus(known, open); o != nil {
		return o
	}
	if isTrue(known.Autoprovisioning) {
		return &outcome{
			finished: metav1.ConditionFalse,
			reason:   accessv1alpha1.ReasonHandledByCakewalk,
			message:  "Cakewalk's own agent makes the change (isAutoprovisioning)",
		}
	}
	if known.ActionStep != nil && !*known.ActionStep {
		return rejected("Cakewalk says that the task is no action step: there is nothing to change yet")
	}
	if wrong := differences(task.Spec.Request, known.Request); len(wrong) > 0 {
		return rejected("Cakewalk knows the task otherwise than it was announced: " + strings.Join(wrong, "; "))
	}
	return nil
}

// judgeStatus returns the outcome of a task that is closed in Cakewalk, nil where it is open.
func judgeStatus(known *cakewalk.Task, open []string) *outcome {
	closed, done := cakewalk.IsClosed(known.Status)
	switch {
	case known.Request != nil && known.Request.CancelledBy != "":
		return cancelled("the request was cancelled in Cakewalk by the user " + known.Request.CancelledBy)
	case cakewalk.IsOpen(known.Status, open):
		return nil
	case done:
		return &outcome{
			finished:      metav1.ConditionTrue,
			reason:        accessv1alpha1.ReasonCompletedByPerson,
			message:       fmt.Sprintf("the task is %s in Cakewalk%s", known.Status, by(known.ExecutedBy)),
			approvedThere: true,
		}
	case closed:
		return cancelled(fmt.Sprintf("the task is %s in Cakewalk%s", known.Status, by(known.ExecutedBy)))
	default:
		return rejected(fmt.Sprintf("the task's status in Cakewalk is %q, which is not in spec.cakewalkAPI.openStatuses of the WebhookReceiver", shorten(known.Status, 100)))
	}
}

// by names who closed a task, for a message.
func by(u *cakewalk.User) string {
	if u == nil || cmp.Or(u.Email, u.ID) == "" {
		return ""
	}
	return ", by " + cmp.Or(u.Email, u.ID)
}

func cancelled(message string) *outcome {
	return &outcome{finished: metav1.ConditionFalse, reason: accessv1alpha1.ReasonCancelled, message: message}
}

func rejected(message string) *outcome {
	return &outcome{
		finished: metav1.ConditionFalse,
		reason:   accessv1alpha1.ReasonRejected,
		stalled:  accessv1alpha1.ReasonRejected,
		message:  message,
	}
}

// differences tells where a request is not what was announced: in type, application, level or user. Names are not
// compared: Cakewalk's answer holds ids.
func differences(announced *accessv1alpha1.AccessRequest, known *cakewalk.TaskRequest) []string {
	if announced == nil || known == nil {
		if announced == nil && known == nil {
			return nil
		}
		return []string{"only one of the two has a request"}
	}
	var all []string
	differ := func(what, a, b string) {
		if !strings.EqualFold(a, b) {
			all = append(all, fmt.Sprintf("its %s was announced as %s and is %s", what, orNone(a), orNone(b)))
		}
	}
	id := func(o *accessv1alpha1.NamedObject) string {
		if o == nil {
			return ""
		}
		return cmp.Or(o.ID, "one without an id")
	}
	user := ""
	if announced.TargetUser != nil {
		user = cmp.Or(announced.TargetUser.ID, "one without an id")
	}
	differ("request type", announced.Type, known.Type)
	differ("work app", id(announced.TargetWorkApp), known.WorkAppID)
	differ("permission level", id(announced.PermissionLevel), known.PermissionLevelID)
	differ("target user", user, known.TargetUserID)
	return all
}

func orNone(s string) string { return cmp.Or(shorten(s, 128), "none") }

// sent tells whether changes of a task were made, or may have been.
func sent(s *accessv1alpha1.AccessTaskStatus) bool {
	return slices.ContainsFunc(withoutDryRun(s), func(c accessv1alpha1.TaskChange) bool { return c.Action != "" })
}
