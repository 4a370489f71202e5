// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	accessac "getcakewalk.io/access-operator/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/audit"
)

// The backfill stores tasks whose webhook never came.
// +kubebuilder:rbac:groups=access.getcakewalk.io,resources=accesstasks,verbs=create

const (
	// backfillOwner owns status.lastBackfillTime, in server-side apply.
	backfillOwner = "access-operator-backfill"
	// backfillTick is how often receivers are looked at for one whose round is due.
	backfillTick = 5 * time.Second
	// backfillRetry is when a round that could not be finished is tried again, at most its interval.
	backfillRetry = time.Minute
	// backfillTimeout bounds a round. 64 users with 100 pages each, at 4 requests a second, take 27 minutes.
	backfillTimeout = 45 * time.Minute
	// maxBackfillRounds is how many receivers are looked through at the same time.
	maxBackfillRounds = 4
	// maxBackfillCreates is how many tasks one round stores.
	maxBackfillCreates = 1000
)

// Backfill finds actionable tasks whose webhook never came, for every WebhookReceiver with spec.backfill. It asks Cakewalk
// with what is left of the receiver's limit of requests. It runs on the leader.
type Backfill struct {
	// Client reads from the cache and writes to the API server.
	client.Client
	// Recorder records events.
	Recorder events.EventRecorder
	// Cakewalk gives clients of Cakewalk's API.
	Cakewalk Cakewalk
	// Audit is the audit log.
	Audit *audit.Log
	// ShardLabels are the labels of a WebhookReceiver that its tasks get besides LabelShard.
	ShardLabels []string
	// Synced tells that all tasks that are stored are known; nothing is looked for before. Default: they are.
	Synced func() bool
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	known storedTasks
	found *prometheus.CounterVec

	mu     sync.Mutex
	rounds map[types.NamespacedName]*backfillRounds
}

// backfillRounds is what is remembered of a receiver's rounds.
type backfillRounds struct {
	uid types.UID
	// running tells that one is under way.
	running bool
	// next is when the next one is due at the earliest.
	next time.Time
	// told is what a person was told of.
	told map[string]bool
}

// backfillOutcome is what became of an open task that was not known.
type backfillOutcome string

const (
	// backfillFound: an AccessTask was stored.
	backfillFound backfillOutcome = "found"
	// backfillDeferred: it is left to another round, since too many tasks are unfinished or were stored in this one.
	backfillDeferred backfillOutcome = "deferred"
	// backfillUnreadable: what it is about cannot be read in Cakewalk.
	backfillUnreadable backfillOutcome = "unreadable"
	// backfillTooOld: it is so old that it may have been done, and its AccessTask deleted since.
	backfillTooOld backfillOutcome = "too_old"
	// backfillFailed: it could not be read, or its AccessTask not be stored, at the moment.
	backfillFailed backfillOutcome = "failed"
)

var backfillOutcomes = []backfillOutcome{backfillFound, backfillDeferred, backfillUnreadable, backfillTooOld, backfillFailed}

// NewBackfill returns a Backfill whose metric is registered with registry.
func NewBackfill(c client.Client, known storedTasks, recorder events.EventRecorder, cakewalk Cakewalk, log *audit.Log, registry prometheus.Registerer) (*Backfill, error) {
	b := &Backfill{
		Client: c, known: known, Recorder: recorder, Cakewalk: cakewalk, Audit: log,
		Synced: func() bool { return true },
		rounds: map[types.NamespacedName]*backfillRounds{},
		found: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "access_operator_backfill_tasks_total",
			Help: "Open tasks in Cakewalk whose webhook never came, by receiver and outcome (found, deferred, unreadable, too_old, failed). All but found are counted in every round.",
		}, []string{"namespace", "receiver", "outcome"}),
	}
	if err := registry.Register(b.found); err != nil {
		return nil, err
	}
	return b, nil
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*Backfill) NeedLeaderElection() bool { return true }

// Start looks through the tasks of receivers whenever that is due, until ctx ends.
func (b *Backfill) Start(ctx context.Context) error {
	if err := told(b.Synced).WaitForSync(ctx); err != nil {
		// The process ends.
		return nil
	}
	tick := time.NewTicker(backfillTick)
	defer tick.Stop()
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, maxBackfillRounds)
	for {
		for _, receiver := range b.due(ctx) {
			running.Go(func() {
				select {
				case slots <- struct{}{}:
				case <-ctx.Done():
					return
				}
				defer func() { <-slots }()
				b.visit(ctx, receiver)
			})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// due returns the receivers whose next round is to begin now, and marks them. It forgets those that have no backfill.
func (b *Backfill) due(ctx context.Context) []*accessv1alpha1.WebhookReceiver {
	var all accessv1alpha1.WebhookReceiverList
	if err := b.List(ctx, &all); err != nil {
		log.FromContext(ctx).Error(err, "WebhookReceivers cannot be listed for the backfill")
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var due []*accessv1alpha1.WebhookReceiver
	there := map[types.NamespacedName]bool{}
	for i := range all.Items {
		receiver := &all.Items[i]
		if receiver.Spec.Backfill == nil || receiver.Spec.CakewalkAPI == nil || !receiver.DeletionTimestamp.IsZero() {
			continue
		}
		key := client.ObjectKeyFromObject(receiver)
		there[key] = true
		rounds := b.rounds[key]
		if rounds == nil || rounds.uid != receiver.UID {
			rounds = &backfillRounds{uid: receiver.UID}
			b.rounds[key] = rounds
			for _, o := range backfillOutcomes {
				b.found.WithLabelValues(key.Namespace, key.Name, string(o))
			}
		}
		next := rounds.next
		if last := receiver.Status.LastBackfillTime; last != nil && last.Add(backfillInterval(receiver)).After(next) {
			next = last.Add(backfillInterval(receiver))
		}
		if !rounds.running && !isTrue(receiver.Spec.Suspend) && !b.now().Before(next) {
			rounds.running = true
			due = append(due, receiver)
		}
	}
	for key, rounds := range b.rounds {
		if !there[key] && !rounds.running {
			delete(b.rounds, key)
			b.found.DeletePartialMatch(prometheus.Labels{"namespace": key.Namespace, "receiver": key.Name})
		}
	}
	return due
}

func backfillInterval(receiver *accessv1alpha1.WebhookReceiver) time.Duration {
	return time.Duration(receiver.Spec.Backfill.IntervalSeconds) * time.Second
}

// visit makes a round, and notes when the next one is due.
func (b *Backfill) visit(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver) {
	ctx, cancel := context.WithTimeout(ctx, backfillTimeout)
	defer cancel()
	key := client.ObjectKeyFromObject(receiver)
	b.mu.Lock()
	rounds := b.rounds[key]
	b.mu.Unlock()
	begun := b.now()
	err := b.round(ctx, receiver, rounds)
	if err == nil {
		err = b.noteRound(ctx, receiver, begun)
	}
	next := begun.Add(backfillInterval(receiver))
	if err != nil {
		if ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "The tasks of a receiver could not be looked through", "namespace", key.Namespace, "receiver", key.Name)
		}
		next = b.now().Add(min(backfillRetry, backfillInterval(receiver)))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	rounds.running, rounds.next = false, next
}

// noteRound writes when the tasks of all users were looked through.
func (b *Backfill) noteRound(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver, at time.Time) error {
	config := accessac.WebhookReceiver(receiver.Name, receiver.Namespace).
		WithStatus(accessac.WebhookReceiverStatus().WithLastBackfillTime(metav1.NewTime(at)))
	if err := b.Status().Apply(ctx, config, client.ForceOwnership, client.FieldOwner(backfillOwner)); err != nil {
		return fmt.Errorf("writing status: %w", err)
	}
	return nil
}

func (b *Backfill) now() time.Time {
	if b.Now == nil {
		return time.Now()
	}
	return b.Now()
}
