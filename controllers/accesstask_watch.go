// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

const (
	// indexUnfinished is the cache's index of tasks that are not finished.
	indexUnfinished = "unfinished"
	// indexWaiting is the cache's index of tasks that Cakewalk is asked about from time to time.
	indexWaiting = "waiting"
)

func indexTasks(ctx context.Context, indexer client.FieldIndexer) error {
	for name, holds := range map[string]func(*accessv1alpha1.AccessTask) bool{
		indexUnfinished: func(task *accessv1alpha1.AccessTask) bool { return !finished(&task.Status) },
		indexWaiting:    waits,
	} {
		err := indexer.IndexField(ctx, &accessv1alpha1.AccessTask{}, name, func(o client.Object) []string {
			if task, ok := o.(*accessv1alpha1.AccessTask); ok && holds(task) {
				return []string{"true"}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("indexing tasks: %w", err)
		}
	}
	return nil
}

// wakeSource lets gates and lineup put tasks into the queue.
func (r *AccessTaskReconciler) wakeSource() source.Source {
	return source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		wake := func(task types.NamespacedName) { q.Add(reconcile.Request{NamespacedName: task}) }
		r.Gates.setWake(wake)
		r.Lineup.setWake(wake)
		return nil
	})
}

// tasksOf lists the unfinished tasks of the namespace of a Connector or a WebhookReceiver: a change of one can change where
// any of them is routed, or whether it is to be confirmed.
func (r *AccessTaskReconciler) tasksOf(ctx context.Context, of client.Object) []reconcile.Request {
	var tasks accessv1alpha1.AccessTaskList
	err := r.List(ctx, &tasks, client.InNamespace(of.GetNamespace()), client.MatchingFields{indexUnfinished: "true"}, client.UnsafeDisableDeepCopy)
	if err != nil {
		log.FromContext(ctx).Error(err, "Listing the unfinished tasks", "namespace", of.GetNamespace(), "changed", of.GetName())
		return nil
	}
	// The oldest first: that is the order in which they ask for a slot.
	slices.SortFunc(tasks.Items, func(a, b accessv1alpha1.AccessTask) int { return receivedTime(&a).Compare(receivedTime(&b)) })
	requests := make([]reconcile.Request, len(tasks.Items))
	for i := range tasks.Items {
		requests[i].NamespacedName = client.ObjectKeyFromObject(&tasks.Items[i])
	}
	return requests
}

// notClosed leaves out tasks that became closed, or were: there is nothing to do about them but, some day, to delete them.
func (r *AccessTaskReconciler) notClosed() predicate.Predicate {
	whole := func(o client.Object) bool {
		if _, closed := o.(*closedTask); !closed {
			return true
		}
		// The cache shows what was written last.
		r.writes.forget(client.ObjectKeyFromObject(o))
		return false
	}
	return predicate.Funcs{
		CreateFunc:  func(e event.CreateEvent) bool { return whole(e.Object) },
		UpdateFunc:  func(e event.UpdateEvent) bool { return whole(e.ObjectNew) },
		GenericFunc: func(e event.GenericEvent) bool { return whole(e.Object) },
	}
}

// wakingChanges passes on the changes of a Connector that can matter to a task: its spec and its condition Ready.
func wakingChanges() builder.WatchesOption {
	return builder.WithPredicates(predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(*accessv1alpha1.Connector)
			after, ok2 := e.ObjectNew.(*accessv1alpha1.Connector)
			if !ok || !ok2 {
				return true
			}
			return before.Generation != after.Generation ||
				before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero() ||
				!equality.Semantic.DeepEqual(
					meta.FindStatusCondition(before.Status.Conditions, accessv1alpha1.ConditionReady),
					meta.FindStatusCondition(after.Status.Conditions, accessv1alpha1.ConditionReady))
		},
	})
}
