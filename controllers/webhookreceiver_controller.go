// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	accessac "getcakewalk.io/access-operator/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/webhookkeys"
)

// +kubebuilder:rbac:groups=access.getcakewalk.io,resources=webhookreceivers,verbs=list;watch
// +kubebuilder:rbac:groups=access.getcakewalk.io,resources=webhookreceivers/status,verbs=patch

const (
	// keysReady and keysUnready are how often the keys of a WebhookReceiver are looked at for changes.
	keysReady   = 30 * time.Second
	keysUnready = 5 * time.Second
	// maxReceiverVisits is how many WebhookReceivers are visited at the same time, so that one whose Cakewalk is slow does
	// not hold up the keys of another.
	maxReceiverVisits = 8
)

// WebhookReceiverReconciler tells in status whether a WebhookReceiver can verify deliveries and whether Cakewalk answers,
// and fetches keys from there. It serves no receiver: the package webhookreceiver does, on every replica, and reads the
// keys for itself. All fields but Now are required.
type WebhookReceiverReconciler struct {
	// Client reads from the cache and writes to the API server.
	client.Client
	// Live reads Secrets and ConfigMaps from the API server, by name.
	Live client.Reader
	// Recorder records events.
	Recorder events.EventRecorder
	// Cakewalk gives clients of Cakewalk's API.
	Cakewalk Cakewalk
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	fetches fetchTurns
}

var _ reconcile.Reconciler = (*WebhookReceiverReconciler)(nil)

// SetupWithManager adds the reconciler to a manager.
func (r *WebhookReceiverReconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("webhookreceiver").
		For(&accessv1alpha1.WebhookReceiver{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, mismatchNoted()))).
		WithOptions(controller.Options{MaxConcurrentReconciles: maxReceiverVisits}).
		Complete(r)
}

// Reconcile visits one WebhookReceiver.
func (r *WebhookReceiverReconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	receiver := &accessv1alpha1.WebhookReceiver{}
	err := r.Get(ctx, req.NamespacedName, receiver)
	if apierrors.IsNotFound(err) {
		r.fetches.forget(req.NamespacedName)
		r.Cakewalk.Forget(req.NamespacedName)
		return reconcile.Result{}, webhookkeys.DropFetched(ctx, r.Live, r.Client, req.NamespacedName)
	}
	if err != nil || !receiver.DeletionTimestamp.IsZero() {
		return reconcile.Result{}, err
	}
	keys, problems, fetchAgain, err := r.keys(ctx, receiver)
	if err != nil {
		return reconcile.Result{}, err
	}
	ready := receiverReady(receiver, keys.Len(), problems)
	before := meta.FindStatusCondition(receiver.Status.Conditions, accessv1alpha1.ConditionReady)
	fetched, err := fetchedKeys(keys.Fetched())
	if err != nil {
		return reconcile.Result{}, err
	}
	if err := r.write(ctx, receiver, []metav1.Condition{ready, r.connected(ctx, receiver)}, fetched); err != nil {
		return again(err)
	}
	r.tellRefused(receiver, before, ready, problems)
	// Again to see whether the keys were changed.
	next := keysReady
	if ready.Status != metav1.ConditionTrue {
		next = keysUnready
	}
	if fetchAgain > 0 {
		next = min(next, fetchAgain)
	}
	return reconcile.Result{RequeueAfter: next}, nil
}

// write applies what the controllers own of the status: Ready, Connected, path, observedGeneration and fetchedKeys. The
// rest is the receiver's, and the backfill's.
func (r *WebhookReceiverReconciler) write(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver, wanted []metav1.Condition, fetched *accessv1alpha1.FetchedKeys) error {
	conditions := []metav1.Condition{}
	for _, c := range wanted {
		if before := meta.FindStatusCondition(receiver.Status.Conditions, c.Type); before != nil {
			conditions = append(conditions, *before)
		}
	}
	before := accessv1alpha1.WebhookReceiverStatus{
		Conditions: conditions, ObservedGeneration: receiver.Status.ObservedGeneration,
		Path: receiver.Status.Path, FetchedKeys: receiver.Status.FetchedKeys,
	}
	after := *before.DeepCopy()
	for _, c := range wanted {
		c.ObservedGeneration, c.LastTransitionTime = receiver.Generation, metav1.NewTime(r.now())
		meta.SetStatusCondition(&after.Conditions, c)
	}
	after.ObservedGeneration, after.FetchedKeys = new(receiver.Generation), fetched
	after.Path = "/webhooks/" + receiver.Namespace + "/" + receiver.Name
	if equality.Semantic.DeepEqual(before, after) {
		return nil
	}
	config := accessac.WebhookReceiver(receiver.Name, receiver.Namespace)
	var err error
	if config.Status, err = convert[accessac.WebhookReceiverStatusApplyConfiguration](after); err != nil {
		return err
	}
	if err := r.Status().Apply(ctx, config, client.ForceOwnership, client.FieldOwner(fieldOwner)); err != nil {
		return fmt.Errorf("writing status: %w", err)
	}
	for _, c := range wanted {
		r.tell(receiver, meta.FindStatusCondition(before.Conditions, c.Type), c)
	}
	r.tellKeys(receiver, before.FetchedKeys, fetched)
	return nil
}

// tell records the event of a condition that is another than before.
func (r *WebhookReceiverReconciler) tell(receiver *accessv1alpha1.WebhookReceiver, before *metav1.Condition, c metav1.Condition) {
	action := "LoadKeys"
	if c.Type == accessv1alpha1.ConditionConnected {
		action = "AskCakewalk"
	}
	if c.Reason == accessv1alpha1.ReasonNotConfigured || before != nil && before.Status == c.Status && before.Reason == c.Reason {
		return
	}
	kind := corev1.EventTypeNormal
	if c.Status != metav1.ConditionTrue {
		kind = corev1.EventTypeWarning
	}
	r.Recorder.Eventf(receiver, nil, kind, c.Reason, action, "%s", shorten(c.Message, maxNote))
}

func (r *WebhookReceiverReconciler) now() time.Time {
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}

var errNoCakewalkAPI = errors.New("spec.cakewalkAPI is absent")
