// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// storeWithin bounds the time for storing the objects of one run.
const storeWithin = 5 * time.Minute

// counter counts the tasks that are stored in a namespace by watching them, so that nobody is believed who says that they
// are.
type counter struct {
	watch watch.Interface
}

// count begins to count the tasks that are stored in a namespace from now on. The caller stops it.
func (p *plane) count(ctx context.Context, namespace string) (*counter, error) {
	tasks := p.watcher.Resource(accessv1alpha1.GroupVersion.WithResource("accesstasks")).Namespace(namespace)
	list, err := tasks.List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("listing tasks: %w", err)
	}
	w, err := since(ctx, list.ResourceVersion, tasks.Watch)
	return &counter{watch: w}, err
}

// since watches from a version on, and goes on where the API server ends a watch, which it does after it was told of a new
// kind.
func since(ctx context.Context, version string, from cache.WatchFuncWithContext) (watch.Interface, error) {
	w, err := watchtools.NewRetryWatcherWithContext(ctx, version, &cache.ListWatch{WatchFuncWithContext: from})
	if err != nil {
		return nil, fmt.Errorf("watching tasks: %w", err)
	}
	return w, nil
}

func (c *counter) stop() { c.watch.Stop() }

// await returns when the nth task is seen.
func (c *counter) await(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, storeWithin)
	defer cancel()
	for seen := 0; seen < n; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d tasks are stored: %w", seen, n, context.Cause(ctx))
		case event, ok := <-c.watch.ResultChan():
			switch {
			case !ok:
				return fmt.Errorf("the watch over tasks ended after %d of %d", seen, n)
			case event.Type == watch.Added:
				seen++
			case event.Type == watch.Error:
				return fmt.Errorf("watching tasks: %v", event.Object)
			}
		}
	}
	return nil
}
