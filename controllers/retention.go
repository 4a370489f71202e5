// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

const (
	// retentionTick is how often it is looked which tasks have been kept long enough.
	retentionTick = 5 * time.Second
	// maxDue is how many are visited each time.
	maxDue = 500
	// retentionRetry is when one that is still there is visited again.
	retentionRetry = time.Minute
)

// retention has finished tasks visited when they have been kept long enough, so that they are deleted. It follows the
// cache's events. A visit to come in the queue of the controller would cost more for each task than everything else that
// is kept of it.
type retention struct {
	tasks *AccessTaskReconciler

	mu sync.Mutex
	// expires is when tasks are to be visited, in seconds since 1970.
	expires map[types.NamespacedName]int64
}

func newRetention(tasks *AccessTaskReconciler) *retention {
	return &retention{tasks: tasks, expires: map[types.NamespacedName]int64{}}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*retention) NeedLeaderElection() bool { return true }

// Start visits tasks until ctx ends.
func (r *retention) Start(ctx context.Context) error {
	tick := r.tasks.ticker(retentionTick)
	defer tick.Stop()
	for {
		for _, task := range r.due() {
			r.tasks.Gates.wakeTask(task)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
		}
	}
}

// due returns tasks that have been kept long enough.
func (r *retention) due() []types.NamespacedName {
	now := r.tasks.now().Unix()
	r.mu.Lock()
	defer r.mu.Unlock()
	var due []types.NamespacedName
	for task, at := range r.expires {
		if len(due) == maxDue {
			break
		}
		if at <= now {
			due = append(due, task)
			r.expires[task] = now + int64(retentionRetry/time.Second)
		}
	}
	return due
}

func (r *retention) see(task *accessv1alpha1.AccessTask) {
	at := int64(0)
	if t := expiry(task); finished(&task.Status) && !unreported(&task.Status) && !t.IsZero() {
		at = t.Unix()
	}
	r.keep(types.NamespacedName{Namespace: task.Namespace, Name: task.Name}, at)
}

func (r *retention) seeClosed(task *closedTask) { r.keep(task.name, task.expires) }

func (r *retention) unsee(task types.NamespacedName) { r.keep(task, 0) }

func (r *retention) keep(task types.NamespacedName, until int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if until == 0 {
		delete(r.expires, task)
	} else {
		r.expires[task] = until
	}
}
