// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

const (
	// probeIdle is how long nothing may have been asked of Cakewalk before it is probed; probeTrouble is the same while the
	// newest answer was no good one, so that an end of trouble shows soon.
	probeIdle            = 5 * time.Minute
	probeTrouble         = 30 * time.Second
	cakewalkProbeTimeout = 15 * time.Second
	// noTask is the id of no task (RFC 9562, the nil UUID): that it is not found shows that Cakewalk knows the credentials.
	noTask = "00000000-0000-0000-0000-000000000000"
)

// notConfigured says what a receiver without spec.cakewalkAPI cannot do.
const notConfigured = "spec.cakewalkAPI is absent. So tasks are not checked before the change: one that was cancelled or changed in Cakewalk is done as announced. " +
	"Nothing is reported: tasks stay open there until a person closes them. A captured delivery that is sent again after its AccessTask was deleted is done again. " +
	"A task whose webhook is lost is never noticed"

// connected returns the condition Connected, after asking Cakewalk where nobody did lately. Without spec.cakewalkAPI it is
// False and not Unknown: it is known that nobody asks. It takes no part in Ready, which kstatus looks at.
func (r *WebhookReceiverReconciler) connected(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver) metav1.Condition {
	c := metav1.Condition{
		Type: accessv1alpha1.ConditionConnected, Status: metav1.ConditionFalse,
		Reason: accessv1alpha1.ReasonNotConfigured, Message: notConfigured,
	}
	if receiver.Spec.CakewalkAPI == nil {
		return c
	}
	key := client.ObjectKeyFromObject(receiver)
	status, reason, message, at, ok := r.Cakewalk.Condition(key)
	if idle := r.now().Sub(at); !ok || idle >= probeIdle || status != string(metav1.ConditionTrue) && idle >= probeTrouble {
		fault := r.probe(ctx, receiver)
		if status, reason, message, _, ok = r.Cakewalk.Condition(key); !ok {
			// Nothing could be asked.
			status, reason, message = string(metav1.ConditionFalse), accessv1alpha1.ReasonUnreachable, "Cakewalk was not asked yet"
			if fault != nil {
				message = fault.Error()
			}
		}
	}
	c.Status, c.Reason, c.Message = metav1.ConditionStatus(status), reason, shorten(message, maxMessage)
	return c
}

// probe asks Cakewalk for a task that does not exist. What it finds is in the condition; the error is why it was not asked.
func (r *WebhookReceiverReconciler) probe(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver) error {
	ctx, cancel := context.WithTimeout(ctx, cakewalkProbeTimeout)
	defer cancel()
	api, err := r.Cakewalk.Client(ctx, receiver)
	if err != nil {
		return err
	}
	_, err = api.Task(ctx, noTask)
	return err
}
