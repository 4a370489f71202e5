// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// NewCache makes the cache of a manager with controllers, which holds of tasks what they need: whole those that are not
// closed. It counts as synced before it holds any, so that a process with both halves receives as soon as one that only
// receives: the API server takes the better part of a minute to send a hundred thousand finished tasks. What needs the tasks
// waits for them by itself.
func NewCache(c *rest.Config, o cache.Options) (cache.Cache, error) {
	o.ByObject = map[client.Object]cache.ByObject{&accessv1alpha1.AccessTask{}: {Transform: compact}}
	o.NewInformer = newInformer
	all, err := cache.New(c, o)
	if err != nil {
		return nil, fmt.Errorf("making a cache: %w", err)
	}
	return earlyCache{all}, nil
}

// earlyCache does not wait for tasks.
type earlyCache struct{ cache.Cache }

// WaitForCacheSync implements cache.Informers.
func (c earlyCache) WaitForCacheSync(ctx context.Context) bool {
	for _, o := range []client.Object{&accessv1alpha1.Connector{}, &accessv1alpha1.WebhookReceiver{}} {
		informer, err := c.GetInformer(ctx, o, cache.BlockUntilSynced(false))
		if err != nil || !toolscache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			return false
		}
	}
	return true
}

// listPage is how many tasks are asked for at a time.
const listPage = 500

// newInformer makes the informers of a cache. That of tasks lists those that are there, at the start and after a watch
// broke, for the sake of their order: client-go would have them streamed and tell of them in any. Page by page, since a list
// in one piece takes the room of all of them as a whole.
func newInformer(from toolscache.ListerWatcher, of runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
	if _, ok := of.(*accessv1alpha1.AccessTask); ok {
		all := toolscache.ToListerWatcherWithContext(from)
		from = listed{&toolscache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				return listCompact(ctx, all, o)
			},
			WatchFuncWithContext: all.WatchWithContext,
		}}
	}
	return toolscache.NewSharedIndexInformer(from, of, resync, indexers)
}

// listed is never streamed.
type listed struct{ *toolscache.ListWatch }

// IsWatchListSemanticsUnSupported is asked by client-go.
func (listed) IsWatchListSemanticsUnSupported() bool { return true }

// compactTasks are tasks as the cache holds them.
type compactTasks struct {
	metav1.TypeMeta
	metav1.ListMeta

	Items []runtime.Object
}

// DeepCopyObject implements runtime.Object. What a list holds is never changed.
func (c *compactTasks) DeepCopyObject() runtime.Object { return new(*c) }

// arrival is when a task in a cache was received.
func arrival(o runtime.Object) time.Time {
	switch task := o.(type) {
	case *accessv1alpha1.AccessTask:
		return receivedTime(task)
	case *closedTask:
		return task.received
	default:
		return time.Time{}
	}
}

// listCompact lists all tasks, whatever limit is asked for, those first that were received first: the handlers of an
// informer are told of them in this order, also after a watch broke, and so the lineup hears of no task before it heard of
// the older ones.
func listCompact(ctx context.Context, from toolscache.ListerWithContext, o metav1.ListOptions) (*compactTasks, error) {
	// All pages are of one state, which is the newest at the first.
	o.ResourceVersion, o.ResourceVersionMatch, o.Limit, o.Continue = "", "", listPage, ""
	all := &compactTasks{}
	for {
		page, err := from.ListWithContext(ctx, o)
		if err != nil {
			return nil, err
		}
		err = meta.EachListItemWithAlloc(page, func(task runtime.Object) error {
			kept, err := compact(task)
			if o, ok := kept.(runtime.Object); ok {
				all.Items = append(all.Items, o)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		list, err := meta.ListAccessor(page)
		if err != nil {
			return nil, err
		}
		all.ResourceVersion, o.Continue = list.GetResourceVersion(), list.GetContinue()
		if o.Continue == "" {
			slices.SortStableFunc(all.Items, func(a, b runtime.Object) int { return arrival(a).Compare(arrival(b)) })
			return all, nil
		}
	}
}
