// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

const (
	// fieldCompletionTime can be selected by. It is empty while a task is not finished.
	fieldCompletionTime = "status.completionTime"
	// finishedPage is how many finished tasks are asked for at a time, and pageTimeout how long that may take.
	finishedPage = 1000
	pageTimeout  = 30 * time.Second
)

// newTaskCache makes a cache of the metadata of tasks that are not finished, and has a manager run it. It is another one
// than the manager's, which in a process with controllers holds every task, and takes long to fill.
func newTaskCache(mgr manager.Manager, o Options) (cache.Cache, error) {
	tasks := cache.Options{
		Scheme:               mgr.GetScheme(),
		HTTPClient:           mgr.GetHTTPClient(),
		Mapper:               mgr.GetRESTMapper(),
		DefaultLabelSelector: o.Selector,
		DefaultFieldSelector: fields.OneTermEqualSelector(fieldCompletionTime, ""),
		DefaultTransform:     cache.TransformStripManagedFields(),
	}
	if len(o.Namespaces) > 0 {
		tasks.DefaultNamespaces = map[string]cache.Config{}
		for _, n := range o.Namespaces {
			tasks.DefaultNamespaces[n] = cache.Config{}
		}
	}
	c, err := cache.New(mgr.GetConfig(), tasks)
	if err != nil {
		return nil, fmt.Errorf("watching AccessTasks: %w", err)
	}
	return c, mgr.Add(everywhere{c})
}

// everywhere is a cache that runs on every replica. One of several namespaces would run on the leader alone.
type everywhere struct{ cache.Cache }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (everywhere) NeedLeaderElection() bool { return false }

// taskMetadata is what a cache of tasks holds.
func taskMetadata() *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(kind)
	return o
}

// followFinished has all that arrive from now on arrive after the tasks that are finished already. Those that are not are
// told by the informer.
func (a *arrivals) followFinished(ctx context.Context, from client.Reader, o Options) error {
	namespaces := o.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	for _, n := range namespaces {
		list := client.ListOptions{
			Namespace: n, LabelSelector: o.Selector, FieldSelector: fields.OneTermNotEqualSelector(fieldCompletionTime, ""), Limit: finishedPage,
		}
		for {
			var err error
			if list.Continue, err = a.followPage(ctx, from, &list); err != nil {
				return fmt.Errorf("listing finished tasks: %w", err)
			}
			if list.Continue == "" {
				break
			}
		}
	}
	return nil
}

func (a *arrivals) followPage(ctx context.Context, from client.Reader, list *client.ListOptions) (next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	page := &metav1.PartialObjectMetadataList{}
	page.SetGroupVersionKind(accessv1alpha1.GroupVersion.WithKind(kind.Kind + "List"))
	if err := from.List(ctx, page, list); err != nil {
		return "", err
	}
	for i := range page.Items {
		a.OnAdd(&page.Items[i], true)
	}
	return page.Continue, nil
}
