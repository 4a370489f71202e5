// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// follower is told of the AccessTasks in a cache.
type follower interface {
	// see is told of a task, and of its changes.
	see(task *accessv1alpha1.AccessTask)
	// seeClosed is the same for one that is closed.
	seeClosed(task *closedTask)
	// unsee is told of a task that is gone.
	unsee(task types.NamespacedName)
}

// told is a source of nothing, so that a controller waits until a follower was told of the tasks that there are.
type told toolscache.InformerSynced

var _ source.SyncingSource = told(nil)

// Start implements source.Source.
func (told) Start(context.Context, workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	return nil
}

// WaitForSync implements source.SyncingSource.
func (t told) WaitForSync(ctx context.Context) error {
	if !toolscache.WaitForCacheSync(ctx.Done(), toolscache.InformerSynced(t)) {
		return errors.New("the tasks are not known yet")
	}
	return nil
}

// announcement logs when the tasks are known: before, the controllers do nothing.
type announcement struct {
	known toolscache.InformerSynced
	log   logr.Logger
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*announcement) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (a *announcement) Start(ctx context.Context) error {
	start := time.Now()
	if toolscache.WaitForCacheSync(ctx.Done(), a.known) {
		a.log.Info("All tasks are known", "took", time.Since(start).Round(time.Millisecond).String())
	}
	return nil
}

// followTasks tells a follower of every AccessTask in a cache from now on. The returned function tells whether it was told
// of all that there were at first.
func followTasks(ctx context.Context, from cache.Cache, f follower) (toolscache.InformerSynced, error) {
	informer, err := from.GetInformer(ctx, &accessv1alpha1.AccessTask{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, err
	}
	see := func(o any) {
		switch task := o.(type) {
		case *accessv1alpha1.AccessTask:
			f.see(task)
		case *closedTask:
			f.seeClosed(task)
		}
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    see,
		UpdateFunc: func(_, o any) { see(o) },
		DeleteFunc: func(o any) {
			if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
				o = gone.Obj
			}
			if task, ok := o.(client.Object); ok {
				f.unsee(client.ObjectKeyFromObject(task))
			}
		},
	})
	if err != nil {
		return nil, err
	}
	return registration.HasSynced, nil
}
