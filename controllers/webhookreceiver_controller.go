// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	accessac "getcakewalk.io/access-operator/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/webhookkeys"
)

// +kubebuilder:rbac:groups=access.getcakewalk.io,resources=webhookreceivers,verbs=get;list;watch
// +kubebuilder:rbac:groups=access.getcakewalk.io,resources=webhookreceivers/status,verbs=patch

const (
	// keysReady and keysUnready are how often the keys of a WebhookReceiver are looked at for changes.
	keysReady   = 30 * time.Second
	keysUnready = 5 * time.Second
)

// WebhookReceiverReconciler tells in status whether a WebhookReceiver can verify deliveries. It serves none: the package
// webhookreceiver does, on every replica, and reads the keys for itself. All fields but Now are required.
type WebhookReceiverReconciler struct {
	// Client reads from the cache and writes to the API server.
	client.Client
	// Live reads Secrets and ConfigMaps from the API server, by name.
	Live client.Reader
	// Recorder records events.
	Recorder events.EventRecorder
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

var _ reconcile.Reconciler = (*WebhookReceiverReconciler)(nil)

// SetupWithManager adds the reconciler to a manager.
func (r *WebhookReceiverReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("webhookreceiver").
		For(&accessv1alpha1.WebhookReceiver{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Complete(r)
}

// Reconcile visits one WebhookReceiver.
func (r *WebhookReceiverReconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	receiver := &accessv1alpha1.WebhookReceiver{}
	if err := r.Get(ctx, req.NamespacedName, receiver); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !receiver.DeletionTimestamp.IsZero() {
		return reconcile.Result{}, nil
	}
	keys, problems, err := webhookkeys.Load(ctx, r.Live, receiver)
	if err != nil {
		return reconcile.Result{}, err
	}
	ready := receiverReady(receiver, keys.Len(), problems)
	ready.LastTransitionTime = metav1.NewTime(r.now())
	if err := r.write(ctx, receiver, ready); err != nil {
		return again(err)
	}
	// Again to see whether the keys were changed.
	if ready.Status == metav1.ConditionTrue {
		return reconcile.Result{RequeueAfter: keysReady}, nil
	}
	return reconcile.Result{RequeueAfter: keysUnready}, nil
}

// receiverReady returns the condition Ready.
func receiverReady(receiver *accessv1alpha1.WebhookReceiver, keys int, problems []webhookkeys.Problem) metav1.Condition {
	c := metav1.Condition{Type: accessv1alpha1.ConditionReady, Status: metav1.ConditionFalse, ObservedGeneration: receiver.Generation}
	messages := make([]string, 0, len(problems))
	for _, p := range problems {
		messages = append(messages, p.Message)
		if c.Reason == "" && !p.Warning {
			c.Reason = p.Reason
		}
	}
	switch {
	case isTrue(receiver.Spec.Suspend):
		c.Reason = accessv1alpha1.ReasonSuspended
		messages = append([]string{"spec.suspend is true: deliveries are answered 503"}, messages...)
	case keys > 0:
		c.Status, c.Reason = metav1.ConditionTrue, accessv1alpha1.ReasonServing
		messages = append([]string{fmt.Sprintf("deliveries are verified with %d key(s)", keys)}, messages...)
	case c.Reason == "":
		c.Reason = accessv1alpha1.ReasonKeyNotFound
		messages = append(messages, "there is no key to verify deliveries with")
	}
	c.Message = shorten(strings.Join(messages, "; "), maxMessage)
	return c
}

// write applies what the controllers own of the status: Ready, path and observedGeneration. The rest is the receiver's.
func (r *WebhookReceiverReconciler) write(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver, ready metav1.Condition) error {
	before := meta.FindStatusCondition(receiver.Status.Conditions, accessv1alpha1.ConditionReady)
	conditions := []metav1.Condition{}
	if before != nil {
		conditions = append(conditions, *before)
	}
	meta.SetStatusCondition(&conditions, ready)
	status := accessv1alpha1.WebhookReceiverStatus{
		Conditions:         conditions,
		ObservedGeneration: new(receiver.Generation),
		Path:               "/webhooks/" + receiver.Namespace + "/" + receiver.Name,
	}
	if before != nil && equality.Semantic.DeepEqual(*before, conditions[0]) &&
		valueOr(receiver.Status.ObservedGeneration, -1) == receiver.Generation && receiver.Status.Path == status.Path {
		return nil
	}
	config := accessac.WebhookReceiver(receiver.Name, receiver.Namespace)
	var err error
	if config.Status, err = convert[accessac.WebhookReceiverStatusApplyConfiguration](status); err != nil {
		return err
	}
	if err := r.Status().Apply(ctx, config, client.ForceOwnership, client.FieldOwner(fieldOwner)); err != nil {
		return fmt.Errorf("writing status: %w", err)
	}
	if before == nil || before.Status != ready.Status || before.Reason != ready.Reason {
		kind := corev1.EventTypeNormal
		if ready.Status != metav1.ConditionTrue {
			kind = corev1.EventTypeWarning
		}
		r.Recorder.Eventf(receiver, nil, kind, ready.Reason, "LoadKeys", "%s", shorten(ready.Message, maxNote))
	}
	return nil
}

func (r *WebhookReceiverReconciler) now() time.Time {
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}
