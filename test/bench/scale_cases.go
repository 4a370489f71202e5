// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
)

// Budgets with 100,000 finished and 1,000 open tasks.
const (
	manyTasks    = 100_000
	memoryBudget = 200
	readyBudget  = 10
)

const mebibyte = 1 << 20

// scale measures a manager beside more and more finished tasks.
func scale(sizes ...int) func(context.Context, *bench, string) error {
	return func(ctx context.Context, b *bench, name string) error {
		o, err := b.newOperating(ctx)
		if err != nil {
			return err
		}
		defer o.close()
		stored, err := o.prepare(ctx)
		if err != nil {
			return err
		}
		all := make([]grown, len(sizes))
		for i, n := range sizes {
			b.progress("   making %d finished tasks", n)
			if err := stored.fill(ctx, n); err != nil {
				return fmt.Errorf("making finished tasks: %w", err)
			}
			if all[i], err = stored.restart(ctx); err != nil {
				return err
			}
			b.tellGrown(name, all[i])
		}
		for i := range all[1:] {
			b.tellSlope(name, all[i], all[i+1])
		}
		last := sizes[len(sizes)-1]
		alone, err := stored.restartReceiver(ctx)
		if err != nil {
			return err
		}
		b.tell(name, fmt.Sprintf("resident memory of the receiver alone, %d finished tasks", last), "MiB", one(float64(alone.settled)/mebibyte))
		b.tell(name, fmt.Sprintf("restart of the receiver alone to ready, %d finished tasks", last), "s", one(alone.ready.Seconds()))
		return nil
	}
}

// prepare makes a sample of a finished task, and the open tasks, and leaves no manager running.
func (o *operating) prepare(ctx context.Context) (*storedTasks, error) {
	if _, err := o.application(ctx, "slack", 0); err != nil {
		return nil, err
	}
	if err := o.start(ctx); err != nil {
		return nil, err
	}
	defer o.stop()
	if err := o.awaitConnectors(ctx); err != nil {
		return nil, err
	}
	stored, err := o.finishOne(ctx, "slack")
	if err != nil {
		return nil, err
	}
	return stored, stored.open(ctx, openTasks)
}

// one is the spread of a single value.
func one(v float64) spread { return spreadOf([]float64{v}) }

// tellGrown tells what was measured at one size, and holds it to the budgets where it is the size that they are for.
func (b *bench) tellGrown(name string, g grown) {
	beside := fmt.Sprintf(", %d finished and %d open tasks", g.finished, openTasks)
	memory, ready := one(float64(g.settled)/mebibyte), one(g.ready.Seconds())
	if g.finished >= manyTasks {
		b.hold(name, "resident memory"+beside, "MiB", memory, memoryBudget)
		b.hold(name, "restart to ready"+beside, "s", ready, readyBudget)
	} else {
		b.tell(name, "resident memory"+beside, "MiB", memory)
		b.tell(name, "restart to ready"+beside, "s", ready)
	}
	b.tell(name, "resident memory at most since the restart"+beside, "MiB", one(float64(g.highest)/mebibyte))
	b.tell(name, "restart to the first provisioned task"+beside, "s", one(g.provisioned.Seconds()))
	b.tell(name, "resident memory of kube-apiserver"+beside, "MiB", one(float64(g.apiServer)/mebibyte))
	b.tell(name, "processor use when idle"+beside, "% of a core", one(100*g.idle))
	b.tell(name, "status writes since the restart"+beside, "", one(float64(g.written["accesstasks/status"])))
}

// tellSlope tells how the measures grow from one size to the next, for every thousand tasks.
func (b *bench) tellSlope(name string, from, to grown) {
	thousands := float64(to.finished-from.finished) / 1000
	between := fmt.Sprintf(", each 1000 tasks from %d to %d", from.finished, to.finished)
	slope := func(what, unit string, from, to float64) { b.tell(name, what+between, unit, one((to-from)/thousands)) }
	slope("resident memory", "MiB", float64(from.settled)/mebibyte, float64(to.settled)/mebibyte)
	slope("resident memory of kube-apiserver", "MiB", float64(from.apiServer)/mebibyte, float64(to.apiServer)/mebibyte)
	slope("restart to ready", "s", from.ready.Seconds(), to.ready.Seconds())
	slope("restart to the first provisioned task", "s", from.provisioned.Seconds(), to.provisioned.Seconds())
	slope("processor use when idle", "% of a core", 100*from.idle, 100*to.idle)
}
