// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

const (
	// lookAgainAfter is how often Cakewalk is asked about a task that waits, at most.
	lookAgainAfter = 10 * time.Minute
	// lookoutInterval is how often the tasks that wait are looked through.
	lookoutInterval = 30 * time.Second
	// maxLooks is how many tasks of a receiver are asked about in one round. The client's limit for what is not urgent
	// lets through a few more.
	maxLooks = 100
)

// Lookout asks Cakewalk again about tasks that wait for a person, a connector or a retry, so that one that was closed there
// meanwhile ends here too. It never changes a task: it keeps what it was told until the task's own reconciler has
// written it.
type Lookout struct {
	mu sync.Mutex
	// asked is when Cakewalk was last asked about a task.
	asked map[types.NamespacedName]time.Time
	found map[types.NamespacedName]outcome
}

// NewLookout returns a lookout that was told nothing yet.
func NewLookout() *Lookout {
	return &Lookout{asked: map[types.NamespacedName]time.Time{}, found: map[types.NamespacedName]outcome{}}
}

// told is what was found about a task, nil for nothing.
func (l *Lookout) told(task types.NamespacedName) *outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o, ok := l.found[task]; ok {
		return &o
	}
	return nil
}

// forget drops what was found about a task, which was written, or is gone.
func (l *Lookout) forget(task types.NamespacedName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.found, task)
}

func (l *Lookout) note(task types.NamespacedName, o outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.found[task] = o
}

// due returns those of the tasks that Cakewalk is to be asked about now, the one that was not asked about for the longest
// first, and forgets the tasks that do not wait any more.
func (l *Lookout) due(waiting []*accessv1alpha1.AccessTask, now time.Time) []*accessv1alpha1.AccessTask {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := make(map[types.NamespacedName]time.Time, len(waiting))
	last := func(task *accessv1alpha1.AccessTask) time.Time {
		if at, ok := l.asked[client.ObjectKeyFromObject(task)]; ok {
			return at
		}
		if at := task.Status.LastCheckTime; at != nil {
			return at.Time
		}
		return receivedTime(task)
	}
	var due []*accessv1alpha1.AccessTask
	for _, task := range waiting {
		if at, ok := l.asked[client.ObjectKeyFromObject(task)]; ok {
			known[client.ObjectKeyFromObject(task)] = at
		}
		if now.Sub(last(task)) >= lookAgainAfter {
			due = append(due, task)
		}
	}
	slices.SortStableFunc(due, func(a, b *accessv1alpha1.AccessTask) int { return last(a).Compare(last(b)) })
	l.asked = known
	return due
}

func (l *Lookout) noteAsked(task types.NamespacedName, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[task] = now
}

// waits tells whether a task waits for something that can last: for a person, a connector, an older task or a retry.
func waits(task *accessv1alpha1.AccessTask) bool {
	if stalledReason(&task.Status) != "" {
		// One that is declined is closed by the operator itself.
		return !finished(&task.Status) || !reportedThere(&task.Status)
	}
	switch reasonOf(&task.Status) {
	case accessv1alpha1.ReasonSuspended, accessv1alpha1.ReasonDryRun, accessv1alpha1.ReasonConnectorNotReady,
		accessv1alpha1.ReasonWaitingForEarlierTask, accessv1alpha1.ReasonRetrying, accessv1alpha1.ReasonPending:
		return true
	default:
		return false
	}
}

// lookout is the loop of a Lookout, on the leader.
type lookout struct {
	*Lookout
	tasks *AccessTaskReconciler
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*lookout) NeedLeaderElection() bool { return true }

// Start looks through the tasks that wait until ctx ends.
func (l *lookout) Start(ctx context.Context) error {
	ticker := l.tasks.ticker(lookoutInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
		if err := l.round(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "Looking through the tasks that wait")
		}
	}
}

// round asks Cakewalk about the tasks that are due.
func (l *lookout) round(ctx context.Context) error {
	var all accessv1alpha1.AccessTaskList
	if err := l.tasks.List(ctx, &all, client.MatchingFields{indexWaiting: "true"}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing tasks: %w", err)
	}
	waiting := make([]*accessv1alpha1.AccessTask, len(all.Items))
	for i := range all.Items {
		waiting[i] = &all.Items[i]
	}
	looks := map[types.NamespacedName]int{}
	for _, task := range l.due(waiting, l.tasks.now()) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		receiver, err := l.tasks.receiver(ctx, task)
		if err != nil {
			return err
		}
		if preflightOf(receiver) == accessv1alpha1.PreflightDisabled {
			continue
		}
		name := client.ObjectKeyFromObject(receiver)
		if looks[name]++; looks[name] > maxLooks {
			continue
		}
		if !l.look(ctx, task, receiver) {
			// Cakewalk cannot be asked; there is no use in asking on.
			looks[name] = maxLooks
		}
	}
	return nil
}

// look asks Cakewalk about one task. It tells whether Cakewalk answered.
func (l *lookout) look(ctx context.Context, task *accessv1alpha1.AccessTask, receiver *accessv1alpha1.WebhookReceiver) bool {
	api, err := l.tasks.Cakewalk.Client(ctx, receiver)
	if err != nil {
		return false
	}
	known, err := api.Background().Task(ctx, task.Spec.TaskID)
	name := client.ObjectKeyFromObject(task)
	var o *outcome
	switch {
	case err == nil:
		o = judge(task, known, receiver.Spec.CakewalkAPI.OpenStatuses)
	case cakewalk.FaultOf(err) == cakewalk.FaultNotFound:
		o = rejected("Cakewalk does not know the task any more")
	default:
		return false
	}
	l.noteAsked(name, l.tasks.now())
	if o == nil || (finished(&task.Status) && o.reason == accessv1alpha1.ReasonRejected) {
		// One that ended and is left to a person already.
		return true
	}
	l.note(name, *o)
	l.tasks.Gates.wakeTask(name)
	return true
}
