// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/webhookkeys"
)

// Fetched keys are stored in one Secret with a fixed name. An apply that creates is authorised by that name.
// +kubebuilder:rbac:groups="",resources=secrets,verbs=create;patch,resourceNames=access-operator-cakewalk-keys

const (
	// fetchInterval is how often keys are fetched, and fetchMinInterval how often at most, over all causes.
	fetchInterval    = time.Hour
	fetchMinInterval = time.Minute
	fetchTimeout     = 15 * time.Second
)

// keys fetches a receiver's keys where that is due, and loads all of them. again is when they are due to be fetched
// again; 0 where they are not fetched.
func (r *WebhookReceiverReconciler) keys(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver) (keys webhookkeys.Keys, problems []webhookkeys.Problem, again time.Duration, err error) {
	keys, problems, err = webhookkeys.Load(ctx, r.Live, receiver)
	if err != nil || fetchFrom(receiver) == "" {
		return keys, problems, 0, err
	}
	key := client.ObjectKeyFromObject(receiver)
	turn := r.fetches.of(key, receiver, keys.Fetched())
	wait, first := turn.due(receiver, keys.Fetched(), r.now())
	if wait <= 0 {
		refused, fault := r.fetch(ctx, receiver)
		turn = turn.after(receiver, refused, fault, first, r.now())
		r.fetches.set(key, turn)
		if fault == nil {
			if keys, problems, err = webhookkeys.Load(ctx, r.Live, receiver); err != nil {
				return keys, problems, 0, err
			}
		}
		wait, _ = turn.due(receiver, keys.Fetched(), r.now())
	}
	if turn.refused != "" {
		problems = append(problems, webhookkeys.Problem{
			Reason: accessv1alpha1.ReasonInvalidKey, Warning: true,
			Message: "some of the keys at spec.verification.rsa.fetchFrom are refused: " + turn.refused,
		})
	}
	if turn.trouble != "" {
		problems = append(problems, webhookkeys.Problem{
			Reason: accessv1alpha1.ReasonKeysNotFetched, Warning: keys.Len() > 0,
			Message: "keys could not be fetched from spec.verification.rsa.fetchFrom: " + turn.trouble,
		})
	}
	return keys, problems, max(wait, time.Second), nil
}

// fetch fetches a receiver's keys and stores them. refused says what is wrong with those that were left out.
func (r *WebhookReceiverReconciler) fetch(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver) (refused, err error) {
	if receiver.Spec.CakewalkAPI == nil {
		return nil, errNoCakewalkAPI
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	api, err := r.Cakewalk.Client(ctx, receiver)
	if err != nil {
		return nil, err
	}
	keys, refused, err := api.Keys(ctx, fetchFrom(receiver))
	if err != nil {
		return nil, err
	}
	return refused, webhookkeys.StoreFetched(ctx, r.Client, receiver, keys, r.now())
}

// fetchFrom is the URL that a receiver's keys are fetched from, or empty.
func fetchFrom(receiver *accessv1alpha1.WebhookReceiver) string {
	if rsa := receiver.Spec.Verification.RSA; rsa != nil {
		return rsa.FetchFrom
	}
	return ""
}

// fetchedKeys is what the status says of fetched keys; nil where none were.
func fetchedKeys(fetched webhookkeys.Fetched) (*accessv1alpha1.FetchedKeys, error) {
	if fetched.Time.IsZero() {
		return nil, nil
	}
	shown := &accessv1alpha1.FetchedKeys{FetchTime: new(metav1.NewTime(fetched.Time).Rfc3339Copy())}
	for _, key := range fetched.Keys {
		fingerprint, err := webhookkeys.Fingerprint(key)
		if err != nil {
			return nil, err
		}
		shown.Fingerprints = append(shown.Fingerprints, fingerprint)
	}
	slices.Sort(shown.Fingerprints)
	return shown, nil
}

// tellKeys records an event where other keys were fetched than before: whoever holds them signs deliveries.
func (r *WebhookReceiverReconciler) tellKeys(receiver *accessv1alpha1.WebhookReceiver, before, after *accessv1alpha1.FetchedKeys) {
	if before == nil || after == nil || slices.Equal(before.Fingerprints, after.Fingerprints) {
		return
	}
	r.Recorder.Eventf(receiver, nil, corev1.EventTypeNormal, "KeysChanged", "FetchKeys", "%s",
		shorten("Cakewalk has other keys than before: "+strings.Join(after.Fingerprints, ", "), maxNote))
}

// tellRefused records an event about keys that are newly refused. before is the condition Ready as it was.
func (r *WebhookReceiverReconciler) tellRefused(receiver *accessv1alpha1.WebhookReceiver, before *metav1.Condition, ready metav1.Condition, problems []webhookkeys.Problem) {
	var refused []string
	for _, p := range problems {
		if p.Reason == accessv1alpha1.ReasonInvalidKey && (before == nil || !strings.Contains(before.Message, p.Message)) {
			refused = append(refused, p.Message)
		}
	}
	told := ready.Reason == accessv1alpha1.ReasonInvalidKey && (before == nil || before.Reason != ready.Reason)
	if len(refused) == 0 || told {
		return
	}
	r.Recorder.Eventf(receiver, nil, corev1.EventTypeWarning, accessv1alpha1.ReasonInvalidKey, "LoadKeys", "%s", shorten(strings.Join(refused, "; "), maxNote))
}

// mismatchNoted lets updates through by which the receiver's half asks for newer keys.
func mismatchNoted() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(*accessv1alpha1.WebhookReceiver)
			after, is := e.ObjectNew.(*accessv1alpha1.WebhookReceiver)
			return ok && is && fetchFrom(after) != "" && !before.Status.LastMismatchTime.Equal(after.Status.LastMismatchTime)
		},
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}

// fetchTurns remember when the keys of receivers were fetched.
type fetchTurns struct {
	mu    sync.Mutex
	turns map[types.NamespacedName]fetchTurn
}

// fetchTurn is what is remembered of one receiver and the URL that its keys are fetched from.
type fetchTurn struct {
	uid types.UID
	url string
	// last is when keys were last tried to be fetched. It is zero before that, and after a first fetch that went well,
	// since that answers no signature that does not match.
	last time.Time
	// mismatch is the newest note of such a signature that was answered.
	mismatch *metav1.Time
	// trouble is why the newest try failed, and refused what is wrong with keys that the newest good one left out.
	trouble, refused string
}

// of is what is remembered of a receiver. Where that is nothing, the stored keys tell when another process fetched them.
func (f *fetchTurns) of(key types.NamespacedName, receiver *accessv1alpha1.WebhookReceiver, fetched webhookkeys.Fetched) fetchTurn {
	f.mu.Lock()
	defer f.mu.Unlock()
	turn, known := f.turns[key]
	if known && turn.uid == receiver.UID && turn.url == fetchFrom(receiver) {
		return turn
	}
	turn = fetchTurn{uid: receiver.UID, url: fetchFrom(receiver), last: fetched.Time}
	// Notes are kept to the second.
	if m := receiver.Status.LastMismatchTime; m != nil && m.Time.Before(fetched.Time.Truncate(time.Second)) {
		turn.mismatch = m
	}
	return turn
}

func (f *fetchTurns) set(key types.NamespacedName, turn fetchTurn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.turns == nil {
		f.turns = map[types.NamespacedName]fetchTurn{}
	}
	f.turns[key] = turn
}

func (f *fetchTurns) forget(key types.NamespacedName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.turns, key)
}

// due is how long to wait before keys are fetched; 0 or less: not at all. first tells that none are there.
func (t fetchTurn) due(receiver *accessv1alpha1.WebhookReceiver, fetched webhookkeys.Fetched, now time.Time) (wait time.Duration, first bool) {
	first = len(fetched.Keys) == 0
	if !first && receiver.Status.LastMismatchTime.Equal(t.mismatch) {
		wait = fetched.Time.Add(fetchInterval).Sub(now)
	}
	return max(wait, t.last.Add(fetchMinInterval).Sub(now)), first
}

// after is what is remembered after a try to fetch keys.
func (t fetchTurn) after(receiver *accessv1alpha1.WebhookReceiver, refused, fault error, first bool, now time.Time) fetchTurn {
	t.mismatch, t.last = receiver.Status.LastMismatchTime, now
	if fault != nil {
		t.trouble = fault.Error()
		return t
	}
	t.trouble, t.refused = "", ""
	if refused != nil {
		t.refused = refused.Error()
	}
	if first {
		t.last = time.Time{}
	}
	return t
}
