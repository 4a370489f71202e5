// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"sync"
	"time"
	"unique"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
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
	tasks  map[types.NamespacedName]unique.Handle[counted]
	counts map[types.NamespacedName]*tally
	// unsent holds when each task ended that Cakewalk is still to be told of, by WebhookReceiver.
	unsent map[types.NamespacedName]map[types.NamespacedName]time.Time
	// moved is told of a connector whose counts changed.
	moved  func(connector types.NamespacedName)
	synced toolscache.InformerSynced
}

// counted is how a task was counted. The connector's name is empty for a task that is not routed.
type counted struct {
	connector types.NamespacedName
	state     taskState
	why       why
	// removes tells that the task takes access away.
	removes bool
	// spent tells that the task is unfinished and its attempts or its time are used up.
	spent bool
	// reportTo is the WebhookReceiver of a task that Cakewalk is still to be told of, and ended is when it ended.
	reportTo types.NamespacedName
	ended    time.Time
}

// why is why a task is not done: what it waits for, or why it is left to a person. It is empty for a task that is done.
type why struct {
	// stalled tells that a person must look.
	stalled bool
	// request is the request's type; empty unless the task is stalled.
	request string
	// reason is that of Stalled, or else of Succeeded.
	reason string
}

// tally is what the census knows of one connector's tasks.
type tally struct {
	states map[taskState]int
	whys   map[why]int
	// unfinished holds when each unfinished task was received.
	unfinished map[types.NamespacedName]time.Time
	// removals holds the same of the unfinished tasks that take access away.
	removals map[types.NamespacedName]removal
}

// removal is an unfinished task that takes access away.
type removal struct {
	received time.Time
	spent    bool
}

// NewCensus returns an empty census.
func NewCensus() *Census {
	return &Census{
		tasks:  map[types.NamespacedName]unique.Handle[counted]{},
		counts: map[types.NamespacedName]*tally{},
		unsent: map[types.NamespacedName]map[types.NamespacedName]time.Time{},
		moved:  func(types.NamespacedName) {},
		synced: func() bool { return true },
	}
}

// Follow counts the tasks of a cache from now on.
func (c *Census) Follow(ctx context.Context, from cache.Cache) error {
	synced, err := followTasks(ctx, from, c)
	if err == nil {
		c.synced = synced
	}
	return err
}

func (c *Census) see(task *accessv1alpha1.AccessTask) {
	now := unique.Make(countedOf(task))
	c.count(types.NamespacedName{Namespace: task.Namespace, Name: task.Name}, &now, receivedTime(task))
}

func (c *Census) seeClosed(task *closedTask) { c.count(task.name, &task.counted, time.Time{}) }

func (c *Census) unsee(task types.NamespacedName) { c.count(task, nil, time.Time{}) }

// countedOf is how a task is counted.
func countedOf(task *accessv1alpha1.AccessTask) counted {
	now := counted{connector: types.NamespacedName{Namespace: task.Namespace, Name: connectorName(task)}, state: stateWaiting}
	if finished(&task.Status) {
		now.state = stateFailed
		if succeeded(&task.Status) {
			now.state = stateSucceeded
		}
	}
	now.why = whyOf(task, now.state)
	if now.state == stateWaiting {
		now.removes = takesAway(kinds[requestType(task)])
		switch stalledReason(&task.Status) {
		case accessv1alpha1.ReasonRetriesExhausted, accessv1alpha1.ReasonDeadlineExceeded:
			now.spent = true
		}
	}
	if ref := task.Spec.ReceiverRef; ref != nil && unreported(&task.Status) {
		now.reportTo, now.ended = types.NamespacedName{Namespace: task.Namespace, Name: ref.Name}, endOf(task)
	}
	return now
}

// whyOf tells why a task is not done.
func whyOf(task *accessv1alpha1.AccessTask, s taskState) why {
	if reason := stalledReason(&task.Status); reason != "" {
		return why{stalled: true, request: knownType(task), reason: bounded(reason, stalledReasons)}
	}
	if s != stateWaiting {
		return why{}
	}
	reason := reasonOf(&task.Status)
	if reason == "" {
		reason = accessv1alpha1.ReasonPending
	}
	return why{reason: bounded(reason, waitingReasons)}
}

// count moves a task from how it was counted to how it is counted now; nil: not any more.
func (c *Census) count(task types.NamespacedName, handle *unique.Handle[counted], received time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	held, known := c.tasks[task]
	if known && handle != nil && held == *handle {
		return
	}
	var was counted
	if known {
		was = held.Value()
	}
	var now *counted
	if handle != nil {
		now = new(handle.Value())
	}
	// Only what Connector.status.tasks shows moves a connector.
	moves := !known || now == nil || was.connector != now.connector || was.state != now.state
	if known {
		c.discount(task, was)
		if moves {
			c.moved(was.connector)
		}
	}
	if now == nil {
		return
	}
	t := c.counts[now.connector]
	if t == nil {
		t = &tally{
			states: map[taskState]int{}, whys: map[why]int{},
			unfinished: map[types.NamespacedName]time.Time{}, removals: map[types.NamespacedName]removal{},
		}
		c.counts[now.connector] = t
	}
	c.tasks[task] = *handle
	if now.reportTo.Name != "" {
		if c.unsent[now.reportTo] == nil {
			c.unsent[now.reportTo] = map[types.NamespacedName]time.Time{}
		}
		c.unsent[now.reportTo][task] = now.ended
	}
	t.states[now.state]++
	if now.why != (why{}) {
		t.whys[now.why]++
	}
	if now.state == stateWaiting {
		t.unfinished[task] = received
		if now.removes {
			t.removals[task] = removal{received: received, spent: now.spent}
		}
	}
	if moves {
		c.moved(now.connector)
	}
}

// discount takes a task out. A connector without tasks is forgotten, and with it its series.
func (c *Census) discount(task types.NamespacedName, was counted) {
	delete(c.tasks, task)
	t := c.counts[was.connector]
	t.states[was.state]--
	if was.why != (why{}) {
		if t.whys[was.why]--; t.whys[was.why] == 0 {
			delete(t.whys, was.why)
		}
	}
	delete(t.unfinished, task)
	delete(t.removals, task)
	if delete(c.unsent[was.reportTo], task); len(c.unsent[was.reportTo]) == 0 {
		delete(c.unsent, was.reportTo)
	}
	if t.states[stateWaiting]+t.states[stateFailed]+t.states[stateSucceeded] == 0 {
		delete(c.counts, was.connector)
	}
}

// names returns the names of the tasks of a namespace.
func (c *Census) names(namespace string) map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := map[string]bool{}
	for task := range c.tasks {
		if task.Namespace == namespace {
			names[task.Name] = true
		}
	}
	return names
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
	n := func(s taskState) *int32 {
		if c.counts[connector] == nil {
			return new(int32(0))
		}
		return new(int32(min(c.counts[connector].states[s], 1<<31-1))) //nolint:gosec // bounded
	}
	return accessv1alpha1.ConnectorTaskCounts{Waiting: n(stateWaiting), Failed: n(stateFailed), Succeeded: n(stateSucceeded)}
}

// each calls f with what is known of every connector's tasks. f must not keep it, nor call the census.
func (c *Census) each(f func(connector types.NamespacedName, t *tally)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for connector, t := range c.counts {
		f(connector, t)
	}
}

// unsent is what Cakewalk is still to be told of a WebhookReceiver's tasks.
type unsent struct {
	tasks int
	// oldest is when the first of them ended.
	oldest time.Time
}

// unreported returns what Cakewalk is still to be told, by WebhookReceiver.
func (c *Census) unreported() map[types.NamespacedName]unsent {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make(map[types.NamespacedName]unsent, len(c.unsent))
	for receiver, tasks := range c.unsent {
		u := unsent{tasks: len(tasks)}
		for _, ended := range tasks {
			if u.oldest.IsZero() || ended.Before(u.oldest) {
				u.oldest = ended
			}
		}
		all[receiver] = u
	}
	return all
}

// oldest is when the oldest unfinished task was received, the zero time for none.
func (t *tally) oldest() time.Time {
	var oldest time.Time
	for _, received := range t.unfinished {
		if oldest.IsZero() || received.Before(oldest) {
			oldest = received
		}
	}
	return oldest
}

// overdue counts the removals that should have been carried out: their attempts or time are used up, or, whatever they
// wait for, they were received longer ago than the deadline.
func (t *tally) overdue(now time.Time, deadline time.Duration) int {
	n := 0
	for _, r := range t.removals {
		if r.spent || now.Sub(r.received) >= deadline {
			n++
		}
	}
	return n
}
