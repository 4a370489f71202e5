// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

const (
	// indexUnfinished is the cache's index of tasks that are not finished.
	indexUnfinished = "unfinished"
	// indexSubject is the cache's index of tasks by the person and the application that they are about.
	indexSubject = "subject"
)

func indexTasks(ctx context.Context, indexer client.FieldIndexer) error {
	err := indexer.IndexField(ctx, &accessv1alpha1.AccessTask{}, indexUnfinished, func(o client.Object) []string {
		if task, ok := o.(*accessv1alpha1.AccessTask); ok && !finished(&task.Status) {
			return []string{"true"}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("indexing unfinished tasks: %w", err)
	}
	err = indexer.IndexField(ctx, &accessv1alpha1.AccessTask{}, indexSubject, func(o client.Object) []string {
		if task, ok := o.(*accessv1alpha1.AccessTask); ok && subjectKey(task) != "" {
			return []string{subjectKey(task)}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("indexing tasks by subject: %w", err)
	}
	return nil
}

// siblings lists the other tasks of the same person and application. The objects are the cache's own and must not be
// changed.
func (r *AccessTaskReconciler) siblings(ctx context.Context, task *accessv1alpha1.AccessTask) ([]*accessv1alpha1.AccessTask, error) {
	key := subjectKey(task)
	if key == "" {
		return nil, nil
	}
	var all accessv1alpha1.AccessTaskList
	if err := r.List(ctx, &all, client.InNamespace(task.Namespace), client.MatchingFields{indexSubject: key}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the tasks of a subject: %w", err)
	}
	var others []*accessv1alpha1.AccessTask
	for i := range all.Items {
		if all.Items[i].Name != task.Name {
			others = append(others, &all.Items[i])
		}
	}
	return others, nil
}

// siblingsOf lists the unfinished tasks that may wait for a task.
func (r *AccessTaskReconciler) siblingsOf(ctx context.Context, o client.Object) []reconcile.Request {
	task, ok := o.(*accessv1alpha1.AccessTask)
	if !ok {
		return nil
	}
	siblings, err := r.siblings(ctx, task)
	if err != nil {
		log.FromContext(ctx).Error(err, "Listing the tasks that may wait for another", "namespace", task.Namespace, "name", task.Name)
		return nil
	}
	var requests []reconcile.Request
	for _, s := range siblings {
		if !finished(&s.Status) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(s)})
		}
	}
	return requests
}

// wakingSteps passes on the steps of a task that can matter to another of the same person and application: it begins, it
// stalls, it ends, it is gone.
func wakingSteps() builder.WatchesOption {
	state := func(o client.Object) [3]bool {
		task, ok := o.(*accessv1alpha1.AccessTask)
		if !ok {
			return [3]bool{}
		}
		return [3]bool{finished(&task.Status), stalledReason(&task.Status) != "", task.Status.StartTime != nil}
	}
	return builder.WithPredicates(predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		UpdateFunc:  func(e event.UpdateEvent) bool { return state(e.ObjectOld) != state(e.ObjectNew) },
		GenericFunc: func(event.GenericEvent) bool { return false },
	})
}

// tasksOf lists the unfinished tasks of a Connector's namespace: a change of one Connector can change where any of them
// is routed.
func (r *AccessTaskReconciler) tasksOf(ctx context.Context, connector client.Object) []reconcile.Request {
	var tasks accessv1alpha1.AccessTaskList
	err := r.List(ctx, &tasks, client.InNamespace(connector.GetNamespace()), client.MatchingFields{indexUnfinished: "true"}, client.UnsafeDisableDeepCopy)
	if err != nil {
		log.FromContext(ctx).Error(err, "Listing the tasks of a connector", "namespace", connector.GetNamespace(), "connector", connector.GetName())
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
