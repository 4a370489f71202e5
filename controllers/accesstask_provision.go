// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// act carries out a decision to plan or to provision, once the connector's gate lets the task in. It returns what to
// settle, or how long to wait.
func (r *AccessTaskReconciler) act(ctx context.Context, task *accessv1alpha1.AccessTask, d decision) decision {
	name := types.NamespacedName{Namespace: task.Namespace, Name: d.connector.Name}
	if left, err := r.Gates.closedFor(name); err != nil {
		d.verb, d.outcome = verbSettle, connectorNotReady(d.connector, err.Error())
		d.outcome.after = left
		return d
	} else if left > 0 {
		return d.waitFor(left)
	}
	ctx, cancel := context.WithTimeout(ctx, provisionTimeout)
	defer cancel()

	engine, subject, err := r.target(ctx, task, d)
	if err != nil {
		return d.fail(task, err, r.now())
	}
	e := entry{
		connector: name,
		task:      types.NamespacedName{Namespace: task.Namespace, Name: task.Name},
		subject:   strings.ToLower(subject.ID),
		slots:     int(max(d.connector.Spec.Limits.MaxConcurrent, 1)),
		order:     orderTime(task),
		kind:      d.goal.Kind,
	}
	if in, parked := r.Gates.enter(e); !in {
		return d.park(parked)
	}
	d.base.Subject = subject.ID
	if d.verb == verbPlan {
		return r.plan(ctx, engine, subject, d)
	}
	d, goOn := r.preflight(ctx, task, engine, d)
	if !goOn {
		return d
	}
	d, goOn = r.inOrder(task, d, &e)
	if !goOn {
		return d
	}
	undo, err := r.Gates.begin(e)
	if err != nil {
		// In a moment the cache shows that the removal has begun.
		return d.waitFor(time.Second)
	}
	return r.provision(ctx, task, engine, subject, d, undo)
}

// inOrder decides again about a task's turn where Cakewalk told when it created the task.
func (r *AccessTaskReconciler) inOrder(task *accessv1alpha1.AccessTask, d decision, e *entry) (decision, bool) {
	dated := *task
	dated.Status = d.base
	e.order = orderTime(&dated)
	if e.order.Equal(orderTime(task)) {
		return d, true
	}
	v := view{task: &dated, connectors: d.connectors, lineup: r.Lineup, now: r.now()}
	switch t := r.Lineup.turn(&dated, v.now, v.held); {
	case t.supersededBy != "":
		return d.settle(v, superseded(t)), false
	case t.first != "":
		// At once, so that what Cakewalk told is known to the others.
		return d.settle(v, earlierTask(task, t)), false
	default:
		return d, true
	}
}

// target returns the engine and whom the task is about.
func (r *AccessTaskReconciler) target(ctx context.Context, task *accessv1alpha1.AccessTask, d decision) (*provisioning.Engine, provisioning.Subject, error) {
	engine, err := r.Targets.Engine(ctx, d.connector)
	if err == nil && r.Leading != nil {
		allowed := *engine
		allowed.Allowed = r.Leading
		engine = &allowed
	}
	if err != nil || onlyWhereListed(d.goal.Kind) {
		return engine, provisioning.Subject{}, err
	}
	subject, err := r.Targets.Subject(ctx, d.connector, task.Spec.Request)
	return engine, subject, err
}

// plan shows what would be changed.
func (r *AccessTaskReconciler) plan(ctx context.Context, engine *provisioning.Engine, s provisioning.Subject, d decision) decision {
	changes, err := engine.Plan(ctx, s, d.goal)
	d.verb, d.outcome = verbSettle, outcome{reason: accessv1alpha1.ReasonDryRun}
	now := r.now()
	d.base.Changes = nil
	_, wrong := errors.AsType[*provisioning.PermanentError](err)
	switch {
	case wrong:
		d.outcome.message = "dry run: the task would end as PermanentError: " + err.Error()
	case err != nil:
		// As a removal, since a dry run does not end.
		d.outcome = failed(err, provisioning.Remove, d.connector, 1, now, now)
		d.outcome.reason = accessv1alpha1.ReasonDryRun
		d.outcome.message = "dry run: the target system could not be observed: " + err.Error()
		d.outcome.after = max(d.outcome.after, time.Duration(d.connector.Spec.Retry.MinDelaySeconds)*time.Second)
		d.outcome.unprovisioned, d.outcome.stalled = "", ""
	case len(changes) == 0:
		d.outcome.message = "dry run: the target system is as wanted; nothing would be changed"
	default:
		d.base.Changes = withResults(nil, planned(changes), now)
		d.outcome.message = "dry run: would be changed: " + summary(d.base.Changes)
	}
	return d
}

// notRecordedError wraps the error of a plan that could not be recorded: nothing was changed.
type notRecordedError struct{ error }

// Unwrap returns the cause.
func (e notRecordedError) Unwrap() error { return e.error }

// provision brings the target system to the goal. The attempt and its plan are recorded before the first change is made,
// in a write that fails if anybody changed the task meanwhile: then undo forgets that the task began.
func (r *AccessTaskReconciler) provision(ctx context.Context, task *accessv1alpha1.AccessTask, engine *provisioning.Engine, s provisioning.Subject, d decision, undo func()) decision {
	start := r.now()
	before := d.base
	again := underWay(&before)
	if !again {
		d.base.Attempts = new(valueOr(before.Attempts, 0) + 1)
		d.base.LastAttemptTime = new(metav1.NewTime(start))
	}
	if d.base.StartTime == nil {
		d.base.StartTime = d.base.LastAttemptTime
	}
	carryOut := func(intend provisioning.Intend) (provisioning.Outcome, error) {
		if engine.Executor != nil {
			return engine.Execute(ctx, wholeTask(task, d, s), intend)
		}
		return engine.Provision(ctx, s, d.goal, intend)
	}
	result, err := carryOut(func(_ context.Context, i provisioning.Intent) error {
		if again {
			// It is on record. What the cache shows may be older than what was written last.
			if err := r.put(ctx, task, task.Status); err != nil {
				return notRecordedError{err}
			}
			return nil
		}
		d.base.Changes = withResults(recorded(&before, i.InEffect, start), planned(i.Changes), start)
		status := settle(task, d.base, d.connector, r.kindOf(d.connector), outcome{
			reason:        accessv1alpha1.ReasonProvisioning,
			message:       "changing the target system: " + summary(withResults(nil, planned(i.Changes), start)),
			unprovisioned: accessv1alpha1.ReasonNotProvisioned,
		}, start)
		if err := r.apply(ctx, task, status, findings{intended: i.Changes, seen: i.Seen}); err != nil {
			return notRecordedError{err}
		}
		return nil
	})
	now := r.now()
	if _, unrecorded := errors.AsType[notRecordedError](err); unrecorded {
		// Nothing was changed; the task comes back with its newer version, or when the API server takes writes again.
		undo()
		return d.waitFor(time.Second)
	}
	if r.Leading != nil && r.Leading() != nil {
		// Whoever leads now observes what was done, and writes down the rest.
		return d.waitFor(time.Second)
	}
	d.verb, d.found = verbSettle, findings{seen: result.Seen, results: result.Results}
	if result.InEffect != nil {
		d.base.Changes = withResults(recorded(&before, result.InEffect, now), result.Results, now)
	}
	if err == nil {
		d.outcome = done(d.base.Changes, result.Verified())
		if result.Message != "" {
			d.outcome.message = result.Message
		}
	} else {
		d.outcome = failed(err, d.goal.Kind, d.connector, *d.base.Attempts, d.base.StartTime.Time, now)
	}
	if _, pending := errors.AsType[*provisioning.PendingError](err); !d.outcome.costs && (!pending || engine.Executor == nil) {
		// A whole task that is waited for stays in its attempt.
		d.base.Attempts = before.Attempts
	}
	return d
}

// close tells the connector's gate what the attempt found.
func (r *AccessTaskReconciler) close(d decision) {
	if d.connector == nil {
		return
	}
	name := types.NamespacedName{Namespace: d.connector.Namespace, Name: d.connector.Name}
	switch c := d.outcome.closes; {
	case c.unavailable != nil:
		if r.Gates.trip(name, c.unavailable) {
			r.Probe(name)
		}
	case c.rateLimited:
		r.Gates.pause(name, c.pause)
	case c.doubtful:
		r.Probe(name)
	case d.outcome.finished == metav1.ConditionTrue && d.outcome.costs:
		r.Gates.worked(name)
	}
}

// fail settles a task whose target could not be made ready.
func (d decision) fail(task *accessv1alpha1.AccessTask, err error, now time.Time) decision {
	d.verb = verbSettle
	d.outcome = failed(err, d.goal.Kind, d.connector, valueOr(d.base.Attempts, 0), startTime(task, now), now)
	d.outcome.costs = false
	return d
}

// waitFor leaves the status as it is.
func (d decision) waitFor(after time.Duration) decision {
	d.verb, d.after = verbWait, after
	return d
}

// park leaves a task until its turn comes. Its status says so once the wait is longer than a moment.
func (d decision) park(parked time.Duration) decision {
	if parked < parkedStatusAfter {
		return d.waitFor(parkedStatusAfter - parked + time.Second)
	}
	if reasonOf(&d.base) != accessv1alpha1.ReasonPending || d.base.ConnectorRef != nil {
		return d.waitFor(time.Minute)
	}
	d.verb, d.outcome = verbSettle, outcome{
		reason:  accessv1alpha1.ReasonPending,
		message: "waits for its turn: as many other tasks of the connector as spec.limits.maxConcurrent allows are worked on",
		after:   time.Minute,
	}
	return d
}

// orderTime is a task's place among those of the same person and application: when Cakewalk created it, or, where that is
// not known, when it was received.
func orderTime(task *accessv1alpha1.AccessTask) time.Time {
	if t := task.Status.TaskCreationTime; t != nil {
		return t.Time
	}
	return receivedTime(task)
}

// receivedTime is when a task was received.
func receivedTime(task *accessv1alpha1.AccessTask) time.Time {
	if task.Spec.ReceivedTime != nil {
		return task.Spec.ReceivedTime.Time
	}
	return task.CreationTimestamp.Time
}

func startTime(task *accessv1alpha1.AccessTask, now time.Time) time.Time {
	if task.Status.StartTime != nil {
		return task.Status.StartTime.Time
	}
	return now
}
