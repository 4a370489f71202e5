// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/testenv"
)

const (
	// openTasks is how many unfinished tasks there are beside the finished ones.
	openTasks = 1000
	// fillInFlight is how many tasks are made at a time.
	fillInFlight = 64
	// settleFor is how long a manager is left alone before its memory is read: the runtime collects every two minutes at
	// the latest, and gives back meanwhile what it does not need.
	settleFor = 150 * time.Second
	// idleFor is how long its processor use is watched after that.
	idleFor = 60 * time.Second
)

// storedTasks makes tasks as the operator left them.
type storedTasks struct {
	*operating

	// sample is a finished task.
	sample   *accessv1alpha1.AccessTask
	finished int
}

// finishOne has the manager finish a task, and keeps that as the sample.
func (o *operating) finishOne(ctx context.Context, app string) (*storedTasks, error) {
	deliveries, err := newDeliveries(1, 1, app, signHMAC)
	if err != nil {
		return nil, err
	}
	e, err := o.follow(ctx)
	if err != nil {
		return nil, err
	}
	defer e.stop()
	if err := o.deliver(ctx, deliveries, 1); err != nil {
		return nil, err
	}
	if err := e.await(ctx, 1, func(*accessv1alpha1.AccessTask) bool { return true }); err != nil {
		return nil, err
	}
	var all accessv1alpha1.AccessTaskList
	if err := o.List(ctx, &all, client.InNamespace(o.namespace)); err != nil {
		return nil, err
	}
	if len(all.Items) != 1 {
		return nil, fmt.Errorf("%d tasks are there", len(all.Items))
	}
	return &storedTasks{operating: o, sample: &all.Items[0], finished: 1}, nil
}

// another is a task like the sample, about somebody else in an application, received now.
func (s *storedTasks) another(app string) *accessv1alpha1.AccessTask {
	task := another(s.sample, s.namespace)
	task.Spec.Request.TargetWorkApp.Name = app
	if app != s.sample.Spec.Request.TargetWorkApp.Name {
		task.Spec.Request.TargetWorkApp.ID = uuid.NewSHA1(uuid.NameSpaceURL, []byte(app)).String()
		task.Labels[accessv1alpha1.LabelWorkAppID] = task.Spec.Request.TargetWorkApp.ID
	}
	return task
}

// fill makes finished tasks until there are n.
func (s *storedTasks) fill(ctx context.Context, n int) error {
	app := s.sample.Spec.Request.TargetWorkApp.Name
	_, err := drive(ctx, n-s.finished, fillInFlight, func(ctx context.Context, _ int) error {
		task := s.another(app)
		user := task.Spec.Request.TargetUser.Email
		if err := s.create(ctx, task); err != nil {
			return err
		}
		s.sample.Status.DeepCopyInto(&task.Status)
		now := metav1.Now()
		task.Status.Subject = user
		task.Status.StartTime, task.Status.LastAttemptTime, task.Status.CompletionTime = &now, &now, &now
		for i := range task.Status.Conditions {
			task.Status.Conditions[i].LastTransitionTime = now
		}
		for i := range task.Status.Changes {
			task.Status.Changes[i].Time = &now
		}
		return again(ctx, func() error {
			err := s.Status().Update(ctx, task)
			if apierrors.IsConflict(err) {
				// Nobody else writes it: it was written by an attempt before.
				return nil
			}
			return err
		})
	})
	s.finished = n
	return err
}

// create makes a task.
func (s *storedTasks) create(ctx context.Context, task *accessv1alpha1.AccessTask) error {
	return again(ctx, func() error {
		err := s.Create(ctx, task)
		if apierrors.IsAlreadyExists(err) {
			// By an attempt before.
			return s.Get(ctx, client.ObjectKeyFromObject(task), task)
		}
		return err
	})
}

// again repeats for minutes what fails: a machine that is slow or away for a moment must not end an hour of measuring.
func again(ctx context.Context, do func() error) error {
	minutes := wait.Backoff{Duration: 5 * time.Second, Factor: 1, Steps: 60}
	return retry.OnError(minutes, func(error) bool { return ctx.Err() == nil }, do)
}

// open makes tasks of an application that no Connector is there for.
func (s *storedTasks) open(ctx context.Context, n int) error {
	_, err := drive(ctx, n, fillInFlight, func(ctx context.Context, _ int) error { return s.create(ctx, s.another("Nobody's")) })
	return err
}

// grown is what a manager costs with a number of finished tasks.
type grown struct {
	finished int
	// ready and provisioned are the times from the process's start to ready, and until a task was done that waited.
	ready, provisioned time.Duration
	// highest is what was resident at most until it settled, and settled what was then, in bytes.
	highest, settled int64
	// apiServer is what was resident of kube-apiserver then, in bytes.
	apiServer int64
	// idle is the share of one core that it used then.
	idle float64
	// written is what it wrote from its start until it settled.
	written testenv.Writes
}

// restart starts a manager beside the stored tasks, with one more that can be done, measures and stops it.
func (s *storedTasks) restart(ctx context.Context) (g grown, err error) {
	g.finished = s.finished
	e, err := s.follow(ctx)
	if err != nil {
		return g, err
	}
	defer e.stop()
	// It is there before the manager.
	waiting := s.another(s.sample.Spec.Request.TargetWorkApp.Name)
	if err := s.Create(ctx, waiting); err != nil {
		return g, err
	}
	before, err := s.env.Written(ctx)
	if err != nil {
		return g, err
	}
	start := time.Now()
	if err := s.start(ctx); err != nil {
		return g, err
	}
	defer s.stop()
	if err := e.await(ctx, 1, func(task *accessv1alpha1.AccessTask) bool { return task.Name == waiting.Name }); err != nil {
		return g, err
	}
	s.finished++
	g.provisioned = e.times[0].Sub(start)
	if err := s.settle(ctx, &g); err != nil {
		return g, err
	}
	after, err := s.env.Written(ctx)
	g.written = after.Since(before)
	return g, err
}

// restartReceiver measures a manager that only receives.
func (s *storedTasks) restartReceiver(ctx context.Context) (g grown, err error) {
	g.finished = s.finished
	if err := s.start(ctx, "--controllers=false"); err != nil {
		return g, err
	}
	defer s.stop()
	err = s.settle(ctx, &g)
	return g, err
}

// settle waits until a manager that was started has settled, and measures it.
func (s *storedTasks) settle(ctx context.Context, g *grown) error {
	g.ready = s.manager.readyAfter
	if err := pause(ctx, settleFor); err != nil {
		return err
	}
	before, err := s.manager.processor()
	if err != nil {
		return err
	}
	if err := pause(ctx, idleFor); err != nil {
		return err
	}
	after, err := s.manager.processor()
	if err != nil {
		return err
	}
	g.idle = (after - before).Seconds() / idleFor.Seconds()
	var errs [3]error
	g.settled, errs[0] = s.manager.memory("VmRSS")
	g.highest, errs[1] = s.manager.memory("VmHWM")
	g.apiServer, errs[2] = s.apiServerMemory()
	if err := errors.Join(errs[:]...); err != nil || s.bench.profiles == "" {
		return err
	}
	return s.bench.keepProfile(ctx, s.manager, fmt.Sprintf("beside-%d.heap", g.finished), "/debug/pprof/heap")
}

// pause waits, since it is time itself that is measured.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
