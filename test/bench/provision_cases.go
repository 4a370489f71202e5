// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"time"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/testenv"
)

// Budgets of a task, in writes to the API server.
const (
	createBudget  = 1
	statusBudget  = 2
	eventsBudget  = 2
	nothingBudget = 1
	// reportingBudget is that of status writes where Cakewalk is told.
	reportingBudget = 3
)

// provisions says how one case of provisioning differs from the others.
type provisions struct {
	// delay is how long the target waits before it answers.
	delay time.Duration
	// already tells that everybody has the access that is asked for.
	already bool
	// reporting tells that Cakewalk is asked before the change, and told after it.
	reporting bool
	// tasks are as many as there are in a full run, and in a short one.
	tasks, shortTasks int
}

// endToEnd measures tasks from the delivery to the end.
func endToEnd(p provisions) func(context.Context, *bench, string) error {
	return func(ctx context.Context, b *bench, name string) error {
		o, err := b.newOperating(ctx)
		if err != nil {
			return err
		}
		defer o.close()
		t, err := o.application(ctx, "slack", p.delay)
		if err != nil {
			return err
		}
		t.full.Store(p.already)
		if p.reporting {
			if err := o.askTenant(ctx); err != nil {
				return err
			}
		}
		if err := o.start(ctx); err != nil {
			return err
		}
		if err := o.awaitConnectors(ctx); err != nil {
			return err
		}
		latencies, err := o.oneByOne(ctx, b.size(30, 10))
		if err != nil {
			return err
		}
		b.tell(name, "delivery to done, one task at a time", "ms", each(latencies, milliseconds))
		tasks := b.size(p.tasks, p.shortTasks)
		runs := make([]burst, b.runs())
		for i := range runs {
			if runs[i], err = o.burst(ctx, tasks, t); err != nil {
				return err
			}
			b.progress("   run %d: %s", i+1, runs[i])
		}
		b.tell(name, fmt.Sprintf("tasks done, %d delivered at once", tasks), "/s", each(runs, burst.rate))
		b.tell(name, "processor time of the manager per task", "ms", each(runs, func(r burst) float64 { return milliseconds(r.processor) / float64(r.tasks) }))
		b.tell(name, "requests to the target per task", "", each(runs, func(r burst) float64 { return r.perTask(int(r.requests)) }))
		if p.reporting {
			b.tell(name, "requests to Cakewalk per task", "", each(runs, func(r burst) float64 { return r.perTask(r.told) }))
		}
		b.holdWrites(name, runs, p)
		return b.profile(ctx, name, o.manager, func(ctx context.Context) error {
			_, err := o.burst(ctx, tasks, t)
			return err
		})
	}
}

// holdWrites holds the writes of a task to the budgets.
func (b *bench) holdWrites(name string, runs []burst, p provisions) {
	status := float64(statusBudget)
	switch {
	case p.already:
		status = nothingBudget
	case p.reporting:
		status = reportingBudget
	}
	for _, w := range []struct {
		what, resource string
		budget         float64
	}{
		{"creates of a task", "accesstasks", createBudget},
		{"status writes of a task", "accesstasks/status", status},
		{"events of a task", "events", eventsBudget},
	} {
		b.holdRatio(name, w.what, each(runs, func(r burst) float64 { return r.perTask(r.written[w.resource]) }), atMost, w.budget)
	}
}

// burst is what became of tasks that were delivered at once.
type burst struct {
	tasks     int
	took      time.Duration
	processor time.Duration
	// requests are those to the target, told those to Cakewalk, and written is what was written to the API server.
	requests int64
	told     int
	written  testenv.Writes
}

func (r burst) rate() float64 { return float64(r.tasks) / r.took.Seconds() }

func (r burst) perTask(n int) float64 { return float64(n) / float64(r.tasks) }

// String tells of the run in a line.
func (r burst) String() string {
	return fmt.Sprintf("%.1f/s, %s processor, %d requests, written %v", r.rate(), r.processor, r.requests, r.written)
}

// done counts the tasks that Cakewalk was told of where there is one to tell, and otherwise all.
func (o *operating) done(task *accessv1alpha1.AccessTask) bool {
	return o.tenant == nil || reported(task)
}

// announced makes deliveries of one task each, which are known to Cakewalk where there is one.
func (o *operating) announced(tasks int) ([]delivery, error) {
	deliveries, err := newDeliveries(tasks, 1, "slack", signHMAC)
	if err == nil && o.tenant != nil {
		err = o.tenant.know(deliveries)
	}
	return deliveries, err
}

// burst delivers tasks about as many people, 32 at a time, and waits until all are done and their events are written.
func (o *operating) burst(ctx context.Context, tasks int, t *target) (burst, error) {
	r := burst{tasks: tasks}
	deliveries, err := o.announced(tasks)
	if err != nil {
		return r, err
	}
	e, err := o.follow(ctx)
	if err != nil {
		return r, err
	}
	defer e.stop()
	before, err := o.env.Written(ctx)
	if err != nil {
		return r, err
	}
	used, err := o.manager.processor()
	if err != nil {
		return r, err
	}
	told := o.tenant.asked()
	asked, start := t.requests.Load(), time.Now()
	if err := o.deliver(ctx, deliveries, bareInFlight); err != nil {
		return r, err
	}
	if err := e.await(ctx, tasks, o.done); err != nil {
		return r, err
	}
	r.took = time.Since(start)
	r.requests = t.requests.Load() - asked
	r.told = o.tenant.asked() - told
	after, err := o.manager.processor()
	if err != nil {
		return r, err
	}
	r.processor = after - used
	r.written, err = o.writtenSince(ctx, before)
	return r, err
}

// eventsWithin bounds the time that events, which nobody waits for, take to be written.
const eventsWithin = 10 * time.Second

// writtenSince is what was written after an earlier count, once nothing is written any more.
func (o *operating) writtenSince(ctx context.Context, before testenv.Writes) (testenv.Writes, error) {
	var last testenv.Writes
	quiet := time.Now()
	err := await(ctx, eventsWithin, "nothing is written any more", func() (bool, error) {
		now, err := o.env.Written(ctx)
		if err != nil {
			return false, err
		}
		if !maps.Equal(now, last) {
			last, quiet = now, time.Now()
		}
		return time.Since(quiet) > time.Second, nil
	})
	return last.Since(before), err
}

// oneByOne delivers tasks one after the other, each when the one before is done, and returns how long each took.
func (o *operating) oneByOne(ctx context.Context, n int) ([]time.Duration, error) {
	deliveries, err := o.announced(n)
	if err != nil {
		return nil, err
	}
	e, err := o.follow(ctx)
	if err != nil {
		return nil, err
	}
	defer e.stop()
	took := make([]time.Duration, n)
	for i := range took {
		start := time.Now()
		if err := o.deliver(ctx, deliveries[i:i+1], 1); err != nil {
			return nil, err
		}
		if err := e.await(ctx, i+1, o.done); err != nil {
			return nil, err
		}
		took[i] = e.times[i].Sub(start)
	}
	return took, nil
}
