// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// maxNote is the longest note of an event, in bytes; the API server takes 1 KiB.
const maxNote = 1000

// tell makes known what a written status changed: an event where the summary's reason changed, audit lines for changes
// that took effect, and the metrics of a task that finished.
func (r *AccessTaskReconciler) tell(ctx context.Context, task *accessv1alpha1.AccessTask, before accessv1alpha1.AccessTaskStatus) {
	r.audit(task, before)
	s := meta.FindStatusCondition(task.Status.Conditions, accessv1alpha1.ConditionSucceeded)
	if s == nil || s.Reason == reasonOf(&before) {
		return
	}
	kind := corev1.EventTypeNormal
	if stalledReason(&task.Status) != "" || s.Reason == accessv1alpha1.ReasonRetrying || s.Reason == accessv1alpha1.ReasonConnectorNotReady {
		kind = corev1.EventTypeWarning
	}
	var related runtime.Object
	if ref := task.Status.ConnectorRef; ref != nil {
		c := &accessv1alpha1.Connector{}
		if err := r.Get(ctx, types.NamespacedName{Namespace: task.Namespace, Name: ref.Name}, c); err == nil {
			related = c
		}
	}
	r.Recorder.Eventf(task, related, kind, s.Reason, "Reconcile", "%s", shorten(s.Message, maxNote))
	log.FromContext(ctx).Info("Task moved on", "succeeded", s.Status, "reason", s.Reason, "request", task.Status.Request,
		"connector", connectorName(task), "subject", task.Status.Subject)
	if finished(&task.Status) && !finished(&before) {
		r.Metrics.taskFinished(task, r.now())
	}
}

// audit writes one line for every change that was newly seen to be in effect, or accepted by a target system that cannot
// show it. Of persons it names the subject; who asked and who approved are named by their ids.
func (r *AccessTaskReconciler) audit(task *accessv1alpha1.AccessTask, before accessv1alpha1.AccessTaskStatus) {
	known := map[accessv1alpha1.TaskChange]bool{}
	for _, c := range before.Changes {
		known[comparable(c)] = true
	}
	for _, c := range task.Status.Changes {
		if c.State == accessv1alpha1.ChangePlanned || known[comparable(c)] {
			continue
		}
		r.Audit.Info("Access changed",
			"namespace", task.Namespace,
			"task", task.Name,
			"requestType", requestType(task),
			"connector", connectorName(task),
			"backend", task.Status.Backend,
			"subject", task.Status.Subject,
			"action", c.Action,
			"entitlement", c.Entitlement,
			"state", c.State,
			"receiver", receiverName(task),
			"requestedBy", requesterID(task),
			"reviewedBy", reviewerIDs(task),
		)
	}
}

// comparable is a change without its pointers.
func comparable(c accessv1alpha1.TaskChange) accessv1alpha1.TaskChange {
	return accessv1alpha1.TaskChange{Action: c.Action, Entitlement: c.Entitlement, State: c.State}
}

func requestType(task *accessv1alpha1.AccessTask) string {
	if task.Spec.Request == nil {
		return ""
	}
	return task.Spec.Request.Type
}

func connectorName(task *accessv1alpha1.AccessTask) string {
	if task.Status.ConnectorRef == nil {
		return ""
	}
	return task.Status.ConnectorRef.Name
}

func receiverName(task *accessv1alpha1.AccessTask) string {
	if task.Spec.ReceiverRef == nil {
		return ""
	}
	return task.Spec.ReceiverRef.Name
}

func requesterID(task *accessv1alpha1.AccessTask) string {
	if task.Spec.Request == nil || task.Spec.Request.RequestedBy == nil {
		return ""
	}
	return task.Spec.Request.RequestedBy.ID
}

func reviewerIDs(task *accessv1alpha1.AccessTask) []string {
	if task.Spec.Request == nil {
		return nil
	}
	ids := make([]string, 0, len(task.Spec.Request.ReviewedBy))
	for _, u := range task.Spec.Request.ReviewedBy {
		ids = append(ids, u.ID)
	}
	return ids
}
