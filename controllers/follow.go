// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

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
