// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// maxNote is the longest note of an event, in bytes; the API server takes 1 KiB.
const maxNote = 1000

// tell makes known what a written status changed: an event where the summary's reason or what Cakewalk has to do with it
// changed, and the metrics of a task that finished.
func (r *AccessTaskReconciler) tell(ctx context.Context, task *accessv1alpha1.AccessTask, before accessv1alpha1.AccessTaskStatus) {
	r.tellOfCakewalk(task, &before)
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

// tellOfCakewalk tells that a task is done unconfirmed, and what became of its report.
func (r *AccessTaskReconciler) tellOfCakewalk(task *accessv1alpha1.AccessTask, before *accessv1alpha1.AccessTaskStatus) {
	receiver := ""
	if ref := task.Spec.ReceiverRef; ref != nil {
		receiver = ref.Name
	}
	if c := newly(before, &task.Status, accessv1alpha1.ConditionChecked); c != nil {
		r.Metrics.preflights.WithLabelValues(task.Namespace, receiver, c.Reason).Inc()
		if c.Status == metav1.ConditionUnknown {
			r.Recorder.Eventf(task, nil, corev1.EventTypeWarning, "Unconfirmed", "Preflight", "%s", shorten(c.Message, maxNote))
		}
	}
	c := newly(before, &task.Status, accessv1alpha1.ConditionReported)
	if c == nil || c.Reason == accessv1alpha1.ReasonReporting {
		return
	}
	if c.Reason == accessv1alpha1.ReasonAlreadyApproved && newly(before, &task.Status, accessv1alpha1.ConditionSucceeded) != nil {
		// It was not reported from here.
		return
	}
	r.Metrics.reports.WithLabelValues(task.Namespace, receiver, c.Reason).Inc()
	if c.Status != metav1.ConditionTrue {
		// That Cakewalk knows is what everybody expects: the status says so.
		r.Recorder.Eventf(task, nil, corev1.EventTypeWarning, c.Reason, "Report", "%s", shorten(c.Message, maxNote))
	}
}
