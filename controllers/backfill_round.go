// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/accesstask"
	"getcakewalk.io/access-operator/internal/audit"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

// maxBackfillFailures is how many tasks in a row may fail before a round is given up: Cakewalk, or the API server, is away
// then, and one task that fails by itself does not hold up the others.
const maxBackfillFailures = 3

// round looks through the tasks of all users of a receiver once, and stores those whose webhook never came. The error says
// that not all could be looked through.
func (b *Backfill) round(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver, rounds *backfillRounds) error {
	api, err := b.Cakewalk.Client(ctx, receiver)
	if err != nil {
		return err
	}
	api = api.Background()
	stored, unfinished, err := b.known.stored(ctx, receiver)
	if err != nil {
		return err
	}
	var tasks []cakewalk.Task
	var unknown []string
	for _, user := range receiver.Spec.Backfill.UserIDs {
		theirs, err := api.TasksOf(ctx, user)
		switch {
		case err == nil:
			tasks = append(tasks, theirs...)
		case refused(err):
			// The others' tasks are looked through all the same.
			unknown = append(unknown, fmt.Sprintf("%s (%v)", user, err))
		default:
			return fmt.Errorf("listing tasks: %w", err)
		}
	}
	if all := strings.Join(unknown, ", "); all != "" {
		b.tellOnce(receiver, rounds, all, nil, "the tasks of users in spec.backfill.userIDs cannot be read: %s", all)
	}
	r := &backfillRound{
		Backfill: b, receiver: receiver, rounds: rounds, api: api, facts: newCakewalkFacts(),
		room: min(int(receiver.Spec.Limits.MaxUnfinishedTasks)-unfinished, maxBackfillCreates),
	}
	return r.store(ctx, missed(tasks, receiver.Spec.CakewalkAPI.OpenStatuses, func(id string) bool { return stored[id] }, b.now()))
}

// storedTasks knows which tasks are stored.
type storedTasks interface {
	// stored returns the names of the tasks of a receiver's namespace, and how many of the receiver's are unfinished.
	stored(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver) (names map[string]bool, unfinished int, err error)
}

// cachedTasks are the tasks in the manager's cache.
type cachedTasks struct {
	reader client.Reader
	census *Census
}

func (t cachedTasks) stored(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver) (names map[string]bool, unfinished int, err error) {
	var all accessv1alpha1.AccessTaskList
	if err := t.reader.List(ctx, &all, client.InNamespace(receiver.Namespace), client.MatchingFields{indexUnfinished: "true"}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, 0, fmt.Errorf("listing AccessTasks: %w", err)
	}
	for i := range all.Items {
		if ref := all.Items[i].Spec.ReceiverRef; ref != nil && ref.Name == receiver.Name {
			unfinished++
		}
	}
	return t.census.names(receiver.Namespace), unfinished, nil
}

// backfillRound stores the tasks that one round missed.
type backfillRound struct {
	*Backfill

	receiver *accessv1alpha1.WebhookReceiver
	rounds   *backfillRounds
	api      *cakewalk.Client
	facts    *cakewalkFacts
	// room is how many tasks may still be stored.
	room int
	// last is when the newest task that was stored counts as received: they are ordered by it.
	last time.Time
}

// store stores tasks in their order. The error says that it was given up.
func (r *backfillRound) store(ctx context.Context, tasks []cakewalk.Task) error {
	log := log.FromContext(ctx).WithValues("namespace", r.receiver.Namespace, "receiver", r.receiver.Name)
	failures := 0
	for i := range tasks {
		outcome, err := backfillDeferred, error(nil)
		if r.room > 0 {
			outcome, err = r.one(ctx, &tasks[i])
		}
		if outcome == "" {
			continue
		}
		r.found.WithLabelValues(r.receiver.Namespace, r.receiver.Name, string(outcome)).Inc()
		switch outcome {
		case backfillFound:
			log.Info("Found a task whose webhook never came", "task", tasks[i].ID)
		case backfillUnreadable, backfillTooOld:
			// By its name, events about several tasks are told apart.
			about := &accessv1alpha1.AccessTask{ObjectMeta: metav1.ObjectMeta{Namespace: r.receiver.Namespace, Name: tasks[i].ID}}
			r.tellOnce(r.receiver, r.rounds, tasks[i].ID, about, "task %s is open in Cakewalk, its webhook never came, and it is left to a person: %v", tasks[i].ID, err)
		case backfillDeferred:
		case backfillFailed:
			log.Error(err, "A task whose webhook never came could not be stored", "task", tasks[i].ID)
			if failures++; failures == maxBackfillFailures || ctx.Err() != nil {
				return fmt.Errorf("storing tasks: %w", err)
			}
			continue
		}
		failures = 0
	}
	if r.room <= 0 {
		log.Info("Tasks whose webhook never came are left to the next round", "limit", r.receiver.Spec.Limits.MaxUnfinishedTasks)
	}
	return nil
}

// one stores a task. The outcome is empty where there is nothing to do after all.
func (r *backfillRound) one(ctx context.Context, listed *cakewalk.Task) (backfillOutcome, error) {
	if keep := r.receiver.Spec.TaskTTLSecondsAfterFinished; forgotten(listed, keep, r.now()) {
		return backfillTooOld, errors.New("it is older than spec.taskTTLSecondsAfterFinished, so that it may have been done and its AccessTask deleted since")
	}
	known, err := r.api.Task(ctx, listed.ID)
	if err != nil {
		if cakewalk.FaultOf(err) == cakewalk.FaultNotFound {
			return "", nil
		}
		return failedOr(err, "task", listed.ID)
	}
	if !actionable(known, r.receiver.Spec.CakewalkAPI.OpenStatuses) {
		return "", nil
	}
	announced, err := r.facts.announcement(ctx, r.api, known)
	if err != nil {
		return failedOr(err, "task", listed.ID)
	}
	received := r.now().UTC().Truncate(time.Microsecond)
	if !received.After(r.last) {
		received = r.last.Add(time.Microsecond)
	}
	task := accesstask.New(announced, r.receiver, received, r.ShardLabels)
	task.Labels[accessv1alpha1.LabelFoundBy] = accessv1alpha1.FoundByBackfill
	line := audit.ForTask(audit.TaskFound, task)
	line.ID = audit.ID(string(r.receiver.UID), string(audit.TaskFound), task.Name)
	line.Outcome, line.Message = audit.Stored, "open in Cakewalk, and no webhook announced it"
	if err := r.Audit.Write(ctx, line); err != nil {
		return backfillFailed, err
	}
	err = r.Create(ctx, task)
	switch {
	case apierrors.IsAlreadyExists(err):
		// Its webhook came after all.
		return "", nil
	case apierrors.IsInvalid(err):
		return backfillUnreadable, fmt.Errorf("the API server refuses it: %w", err)
	case err != nil:
		return backfillFailed, fmt.Errorf("creating AccessTask %s/%s: %w", task.Namespace, task.Name, err)
	}
	r.last, r.room = received, r.room-1
	r.tellFound(r.receiver, task)
	return backfillFound, nil
}

// failedOr is the outcome of a task that could not be read.
func failedOr(err error, what, id string) (backfillOutcome, error) {
	err = unreadable(err, what, id)
	if _, ok := errors.AsType[*unreadableError](err); ok {
		return backfillUnreadable, err
	}
	return backfillFailed, err
}

// tellFound records the events of a task that was found.
func (b *Backfill) tellFound(receiver *accessv1alpha1.WebhookReceiver, task *accessv1alpha1.AccessTask) {
	const reason, action = "FoundByBackfill", "Backfill"
	b.Recorder.Eventf(receiver, task, corev1.EventTypeWarning, reason, action,
		"Task %s is open in Cakewalk, and its webhook never came. It was stored.", task.Name)
	b.Recorder.Eventf(task, receiver, corev1.EventTypeWarning, reason, action,
		"WebhookReceiver %s was not told of this task by a webhook. It was found open in Cakewalk.", receiver.Name)
}

// tellOnce records an event about something that a person must look at: once for each what while this process leads.
func (b *Backfill) tellOnce(receiver *accessv1alpha1.WebhookReceiver, rounds *backfillRounds, what string, about runtime.Object, format string, args ...any) {
	if rounds.told[what] {
		return
	}
	if rounds.told == nil || len(rounds.told) >= maxBackfillTold {
		rounds.told = map[string]bool{}
	}
	rounds.told[what] = true
	b.Recorder.Eventf(receiver, about, corev1.EventTypeWarning, "NotFoundByBackfill", "Backfill", "%s", shorten(fmt.Sprintf(format, args...), maxNote))
}

// maxBackfillTold bounds what is remembered of what was told.
const maxBackfillTold = 10_000
