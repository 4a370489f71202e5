// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/accesstask"
	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/tracing"
)

// Bounds of storing: creates side by side for one delivery and for all, and the time for a whole delivery.
const (
	maxCreatesPerDelivery = 16
	maxCreates            = 256
	storeTimeout          = 25 * time.Second
)

// outcome is what became of an event.
type outcome string

const (
	// outcomeStored: the task was created.
	outcomeStored outcome = "stored"
	// outcomeDuplicate: the same task with the same content was there.
	outcomeDuplicate outcome = "duplicate"
	// outcomeConflict: the task was there with different content, and was left as it was.
	outcomeConflict outcome = "conflict"
	// outcomeIgnored: a test event, or one of an unknown type.
	outcomeIgnored outcome = "ignored"
	// outcomeInvalid: the event is malformed, or the API server says so.
	outcomeInvalid outcome = "invalid"
	// outcomeSpooled: the API server is away, and the delivery waits on the disk for it.
	outcomeSpooled outcome = "spooled"
	// outcomeFailed: the task could not be stored at the moment. It is no outcome that senders see: the delivery is
	// spooled, or refused as a whole.
	outcomeFailed outcome = "failed"
)

// eventResult is what became of one event.
type eventResult struct {
	taskID  string
	outcome outcome
	// field and detail say what is wrong with an invalid event.
	field, detail string
	// err is why the task could not be stored.
	err error
	// task is what was announced; nil where nothing was.
	task *accessv1alpha1.AccessTask
}

// store turns events into AccessTasks at the API server.
type store struct {
	dependencies
	arrivals *arrivals
	// slots bounds the creates of all deliveries.
	slots chan struct{}
}

func newStore(d dependencies) *store {
	return &store{dependencies: d, arrivals: &arrivals{now: d.now}, slots: make(chan struct{}, maxCreates)}
}

// arrived is an event that arrived.
type arrived struct {
	cakewalk.Event
	// received is when.
	received time.Time
	// traceparent is the trace of a delivery that was spooled; empty for that of the context.
	traceparent string
}

// arrivedFrom are the events of a delivery, each a microsecond after the one before.
func arrivedFrom(events []cakewalk.Event, first time.Time, traceparent string) []arrived {
	all := make([]arrived, len(events))
	for i, event := range events {
		all[i] = arrived{Event: event, received: first.Add(time.Duration(i) * time.Microsecond), traceparent: traceparent}
	}
	return all
}

// unstored are the results of events before anything is stored.
func unstored(events []arrived) []eventResult {
	results := make([]eventResult, len(events))
	for i, event := range events {
		switch {
		case event.Err != nil:
			results[i] = eventResult{outcome: outcomeInvalid, field: event.Err.Field, detail: event.Err.Message}
		case event.Task == nil:
			results[i] = eventResult{outcome: outcomeIgnored}
		default:
			results[i] = eventResult{taskID: event.Task.TaskID, outcome: outcomeFailed, err: errNotTried}
		}
	}
	return results
}

// storeAll stores the tasks of events side by side, and returns a result for each event. Events of the same task are
// stored one after the other, so that the first wins, and so are those of the same person in the same application, so
// that they are acted on in the delivery's order. After one that could not be stored no other is begun: the sender
// has to send the delivery again anyway, and the API server needs rest.
func (s *store) storeAll(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver, events []arrived) []eventResult {
	// A panic or an early end leaves these.
	results := unstored(events)
	groups := make([][]int, 0, len(events))
	groupOf := make(map[string]int, len(events))
	for i, event := range events {
		if results[i].outcome != outcomeFailed {
			continue
		}
		subject := subjectOf(event.Task)
		group, known := groupOf[event.Task.TaskID]
		if !known {
			group, known = groupOf[subject]
		}
		if !known {
			group = len(groups)
			groups = append(groups, nil)
		}
		groupOf[event.Task.TaskID], groupOf[subject] = group, group
		groups[group] = append(groups[group], i)
	}

	var next atomic.Int64
	var stopped atomic.Bool
	work := func() {
		defer s.isolatePanic(&stopped)
		for !stopped.Load() {
			g := int(next.Add(1)) - 1
			if g >= len(groups) {
				return
			}
			if !s.storeGroup(ctx, receiver, events, groups[g], results) {
				stopped.Store(true)
			}
		}
	}
	var workers sync.WaitGroup
	for range min(maxCreatesPerDelivery, len(groups)) - 1 {
		workers.Go(work)
	}
	work()
	workers.Wait()
	return results
}

// subjectOf names the person and the application that a task is about; what names neither is about itself.
func subjectOf(task *cakewalk.ActionTask) string {
	if task.Request == nil || task.Request.TargetUser == nil {
		return task.TaskID
	}
	app := cakewalk.NamedObject{}
	if task.Request.TargetWorkApp != nil {
		app = *task.Request.TargetWorkApp
	}
	user := task.Request.TargetUser
	return fmt.Sprintf("%q %q", cmp.Or(user.ID, user.Email), cmp.Or(app.ID, app.Name))
}

var errNotTried = errors.New("not tried after another task could not be stored")

// isolatePanic keeps a panic of a worker from ending the process. The worker's results stay failed.
func (s *store) isolatePanic(stopped *atomic.Bool) {
	if fault := recover(); fault != nil {
		stopped.Store(true)
		s.log.Error(errPanic, "Storing a task panicked", "stack", string(debug.Stack()))
	}
}

// storeGroup stores the events of one task in their order. It returns false when one could not be stored.
func (s *store) storeGroup(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver, events []arrived, group []int, results []eventResult) bool {
	for n, i := range group {
		if n > 0 && equality.Semantic.DeepEqual(events[group[n-1]].Task, events[i].Task) {
			results[i] = results[group[n-1]]
			if results[i].outcome == outcomeStored {
				results[i].outcome = outcomeDuplicate
			}
			continue
		}
		task := accesstask.New(events[i].Task, receiver, events[i].received, s.shardLabels)
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			results[i].err = ctx.Err()
			return false
		}
		results[i] = func() eventResult {
			defer func() { <-s.slots }()
			return s.storeTask(ctx, receiver, task, events[i].traceparent)
		}()
		if results[i].outcome == outcomeFailed {
			return false
		}
	}
	return true
}

// storeTask creates a task, or finds out what is there in its place.
func (s *store) storeTask(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver, task *accessv1alpha1.AccessTask, traceparent string) (result eventResult) {
	result = eventResult{taskID: task.Name, outcome: outcomeFailed, task: task}
	ctx, span := startStoring(tracing.From(ctx, traceparent), task)
	defer func() { tracing.End(span, string(result.outcome), result.outcome == outcomeFailed) }()
	// Twice, since a task that was there may be gone when it is looked at.
	for range 2 {
		err := s.creator.create(ctx, task)
		switch {
		case err == nil:
			result.outcome = outcomeStored
			return result
		case apierrors.IsInvalid(err), isTooLarge(err):
			result.outcome, result.detail = outcomeInvalid, "is refused by the API server: "+err.Error()
			return result
		case !apierrors.IsAlreadyExists(err):
			result.err = fmt.Errorf("creating AccessTask %s/%s: %w", task.Namespace, task.Name, err)
			return result
		}
		existing := &accessv1alpha1.AccessTask{}
		err = s.live.Get(ctx, client.ObjectKeyFromObject(task), existing)
		if apierrors.IsNotFound(err) {
			result.err = err
			continue
		}
		if err != nil {
			result.err = fmt.Errorf("reading AccessTask %s/%s: %w", task.Namespace, task.Name, err)
			return result
		}
		if sameContent(existing, task) {
			result.outcome = outcomeDuplicate
			return result
		}
		s.tellConflict(receiver, existing)
		result.outcome = outcomeConflict
		return result
	}
	return result
}

// sameContent says whether a task that is there was announced by the same receiver with the same content. One that the
// backfill found holds what Cakewalk's API tells, which is not everything that a webhook tells.
func sameContent(a, b *accessv1alpha1.AccessTask) bool {
	if _, found := a.Labels[accessv1alpha1.LabelFoundBy]; found {
		return equality.Semantic.DeepEqual(a.Spec.ReceiverRef, b.Spec.ReceiverRef) && accesstask.SameChange(a.Spec.Request, b.Spec.Request)
	}
	return equality.Semantic.DeepEqual(a.Spec.ReceiverRef, b.Spec.ReceiverRef) &&
		equality.Semantic.DeepEqual(a.Spec.AssignedTo, b.Spec.AssignedTo) &&
		equality.Semantic.DeepEqual(a.Spec.Request, b.Spec.Request)
}

// tellConflict tells the owner of a task that it was announced again with different content.
func (s *store) tellConflict(receiver *accessv1alpha1.WebhookReceiver, existing *accessv1alpha1.AccessTask) {
	s.log.Info("A known task was announced with different content and is left as it is", "namespace", existing.Namespace,
		"receiver", receiver.Name, "task", existing.Name)
	s.recorder.Eventf(existing, nil, corev1.EventTypeWarning, "ConflictingDelivery", "Receive",
		"A delivery to WebhookReceiver %s announced this task with different content. The task is left as it is.", receiver.Name)
}

// isTooLarge says whether an object is too large for the API server or for etcd, which no repetition helps.
func isTooLarge(err error) bool {
	return apierrors.IsRequestEntityTooLargeError(err) || err != nil && strings.Contains(err.Error(), "etcdserver: request is too large")
}
