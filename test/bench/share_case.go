// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// applications is how many Connectors there are where they share the operator.
const applications = 10

// shared measures Connectors of one operator, all well, and then with one whose target never answers.
func shared(ctx context.Context, b *bench, name string) error {
	o, err := b.newOperating(ctx)
	if err != nil {
		return err
	}
	defer o.close()
	names := make([]string, applications)
	for i := range names {
		names[i] = fmt.Sprintf("app-%d", i)
		if _, err := o.application(ctx, names[i], 0); err != nil {
			return err
		}
	}
	if err := o.start(ctx); err != nil {
		return err
	}
	if err := o.awaitConnectors(ctx); err != nil {
		return err
	}
	tasks := b.size(50, 20)
	var well, beside []float64
	for i := range b.runs() {
		// Alternating: a task that hangs is given up by its target's deadline, or when the target answers again.
		for _, hangs := range []bool{false, true} {
			took, err := o.share(ctx, names, tasks, hangs)
			if err != nil {
				return err
			}
			rate := float64(tasks*(applications-1)) / took.Seconds()
			b.progress("   run %d, one hangs: %t, %.1f/s", i+1, hangs, rate)
			if hangs {
				beside = append(beside, rate)
			} else {
				well = append(well, rate)
			}
		}
	}
	ratios := make([]float64, len(well))
	for i := range ratios {
		ratios[i] = beside[i] / well[i]
	}
	b.tell(name, fmt.Sprintf("tasks of %d of %d connectors done, all well", applications-1, applications), "/s", spreadOf(well))
	b.tell(name, "the same beside one that hangs", "/s", spreadOf(beside))
	b.tell(name, "beside one that hangs, by all well", "", spreadOf(ratios))
	return nil
}

// share delivers as many tasks for each application in one go, and returns how long it took until those of all but the
// first, whose target may hang, are done. Then it waits for the rest.
func (o *operating) share(ctx context.Context, names []string, tasks int, hangs bool) (time.Duration, error) {
	var deliveries []delivery
	for range tasks {
		for _, name := range names {
			one, err := newDeliveries(1, 1, name, signHMAC)
			if err != nil {
				return 0, err
			}
			deliveries = append(deliveries, one...)
		}
	}
	e, err := o.follow(ctx)
	if err != nil {
		return 0, err
	}
	defer e.stop()
	o.targets[0].hangs.Store(hangs)
	start := time.Now()
	if err := o.deliver(ctx, deliveries, bareInFlight); err != nil {
		return 0, err
	}
	others := func(task *accessv1alpha1.AccessTask) bool { return task.Spec.Request.TargetWorkApp.Name != names[0] }
	if err := e.await(ctx, tasks*(len(names)-1), others); err != nil {
		return 0, err
	}
	took := time.Since(start)
	o.targets[0].goOn()
	return took, o.awaitNobody(ctx)
}
