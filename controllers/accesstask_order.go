// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// overtakeAfter is how long after its receipt a removal lets older tasks of the same person and application go first,
// where they can. Then it overtakes them.
const overtakeAfter = 30 * time.Second

// subjectKey names the person and the application that a task is about; empty for a task that names not both.
func subjectKey(task *accessv1alpha1.AccessTask) string {
	r := task.Spec.Request
	if r == nil || r.TargetUser == nil || r.TargetWorkApp == nil {
		return ""
	}
	user, app := cmp.Or(r.TargetUser.ID, r.TargetUser.Email), cmp.Or(r.TargetWorkApp.ID, r.TargetWorkApp.Name)
	if user == "" || app == "" {
		return ""
	}
	return fmt.Sprintf("%q %q", user, app)
}

// older orders tasks by when they were received.
func older(a, b *accessv1alpha1.AccessTask) bool {
	return cmp.Or(receivedTime(a).Compare(receivedTime(b)), cmp.Compare(a.Name, b.Name)) < 0
}

// superseded returns the outcome of a task that gives access and is older than a removal that has begun: it must never be
// carried out any more. Nil where there is none.
func superseded(v view) *outcome {
	if kind := kinds[v.task.Spec.Request.Type]; kind != provisioning.Grant && kind != provisioning.ChangeLevel {
		return nil
	}
	for _, s := range v.siblings {
		if kinds[requestType(s)] != provisioning.Remove || !older(v.task, s) {
			continue
		}
		if s.Status.StartTime != nil || succeeded(&s.Status) {
			return &outcome{
				finished: metav1.ConditionFalse,
				reason:   accessv1alpha1.ReasonSuperseded,
				message:  fmt.Sprintf("the newer removal %s of the same person and application was carried out first", s.Name),
			}
		}
	}
	return nil
}

// earlier returns the older task of the same person and application that a task waits for, nil for none. A removal waits
// a short while, for what can be done at once; whatever else waits for all that is older and not left to a person.
func earlier(v view) *accessv1alpha1.AccessTask {
	removal := kinds[v.task.Spec.Request.Type] == provisioning.Remove
	for _, s := range v.siblings {
		if finished(&s.Status) || stalledReason(&s.Status) != "" || !older(s, v.task) {
			continue
		}
		switch reasonOf(&s.Status) {
		case accessv1alpha1.ReasonSuspended, accessv1alpha1.ReasonDryRun:
			continue
		case accessv1alpha1.ReasonRetrying:
			if removal {
				continue
			}
		}
		if removal && v.now.Sub(receivedTime(v.task)) > overtakeAfter {
			continue
		}
		return s
	}
	return nil
}
