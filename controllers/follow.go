// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// followTasks tells see of every AccessTask in a cache and of its changes, and unsee of those that are gone. The returned
// function tells whether see was told of all that there were at first.
func followTasks(ctx context.Context, from cache.Cache, see, unsee func(*accessv1alpha1.AccessTask)) (toolscache.InformerSynced, error) {
	informer, err := from.GetInformer(ctx, &accessv1alpha1.AccessTask{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, err
	}
	tell := func(f func(*accessv1alpha1.AccessTask), o any) {
		if gone, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
			o = gone.Obj
		}
		if task, ok := o.(*accessv1alpha1.AccessTask); ok {
			f(task)
		}
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { tell(see, o) },
		UpdateFunc: func(_, o any) { tell(see, o) },
		DeleteFunc: func(o any) { tell(unsee, o) },
	})
	if err != nil {
		return nil, err
	}
	return registration.HasSynced, nil
}
