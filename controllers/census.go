// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// taskState is a task's state as metrics and Connector.status.tasks name it.
type taskState string

const (
	stateWaiting   taskState = "waiting"
	stateFailed    taskState = "failed"
	stateSucceeded taskState = "succeeded"
)

// Census counts tasks by connector and state. It follows the cache's events, so that nobody lists all tasks to count
// them.
type Census struct {
	mu     sync.Mutex
	tasks  map[types.NamespacedName]counted
	counts map[types.NamespacedName]map[taskState]int
	// unfinished holds when each unfinished task was received, by connector.
	unfinished map[types.NamespacedName]map[types.NamespacedName]time.Time
	// moved is told of a connector whose counts changed.
	moved func(connector types.NamespacedName)
}

// counted is how a task was counted. The connector's name is empty for a task that is not routed.
type counted struct {
	connector types.NamespacedName
	state     taskState
}

// NewCensus returns an empty census.
func NewCensus() *Census {
	return &Census{
		tasks:      map[types.NamespacedName]counted{},
		counts:     map[types.NamespacedName]map[taskState]int{},
		unfinished: map[types.NamespacedName]map[types.NamespacedName]time.Time{},
		moved:      func(types.NamespacedName) {},
	}
}

// Follow counts the tasks of a cache from now on.
func (c *Census) Follow(ctx context.Context, from cache.Cache) error {
	_, err := followTasks(ctx, from, c.see, c.unsee)
	return err
}

func (c *Census) see(task *accessv1alpha1.AccessTask) {
	now := counted{connector: types.NamespacedName{Namespace: task.Namespace, Name: connectorName(task)}, state: stateWaiting}
	if finished(&task.Status) {
		now.state = stateFailed
		if succeeded(&task.Status) {
			now.state = stateSucceeded
		}
	}
	c.count(types.NamespacedName{Namespace: task.Namespace, Name: task.Name}, &now, receivedTime(task))
}

func (c *Census) unsee(task *accessv1alpha1.AccessTask) {
	c.count(types.NamespacedName{Namespace: task.Namespace, Name: task.Name}, nil, time.Time{})
}

// count moves a task from how it was counted to how it is counted now; nil: not any more.
func (c *Census) count(task types.NamespacedName, now *counted, received time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, known := c.tasks[task]
	if known && now != nil && was == *now {
		return
	}
	if known {
		c.counts[was.connector][was.state]--
		delete(c.unfinished[was.connector], task)
		delete(c.tasks, task)
		c.moved(was.connector)
	}
	if now == nil {
		return
	}
	if c.counts[now.connector] == nil {
		c.counts[now.connector] = map[taskState]int{}
		c.unfinished[now.connector] = map[types.NamespacedName]time.Time{}
	}
	c.counts[now.connector][now.state]++
	c.tasks[task] = *now
	if now.state == stateWaiting {
		c.unfinished[now.connector][task] = received
	}
	c.moved(now.connector)
}

// setMoved says who is told of a connector whose counts changed.
func (c *Census) setMoved(moved func(connector types.NamespacedName)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moved = moved
}

// of returns a connector's counts.
func (c *Census) of(connector types.NamespacedName) accessv1alpha1.ConnectorTaskCounts {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := func(s taskState) *int32 { return new(int32(min(c.counts[connector][s], 1<<31-1))) } //nolint:gosec // bounded
	return accessv1alpha1.ConnectorTaskCounts{Waiting: n(stateWaiting), Failed: n(stateFailed), Succeeded: n(stateSucceeded)}
}

// each calls f with every connector's counts and when its oldest unfinished task was received, the zero time for none.
func (c *Census) each(f func(connector types.NamespacedName, counts map[taskState]int, oldest time.Time)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for connector, counts := range c.counts {
		var oldest time.Time
		for _, t := range c.unfinished[connector] {
			if oldest.IsZero() || t.Before(oldest) {
				oldest = t
			}
		}
		f(connector, counts, oldest)
	}
}
