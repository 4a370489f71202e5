// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// backlog counts the unfinished tasks of each receiver. It is fed by an informer, whose old objects are those of its last
// call, so that counting differences is enough.
type backlog struct {
	mu     sync.RWMutex
	counts map[types.NamespacedName]int
}

var _ toolscache.ResourceEventHandler = (*backlog)(nil)

func newBacklog() *backlog {
	return &backlog{counts: map[types.NamespacedName]int{}}
}

// count returns how many tasks of a receiver are unfinished.
func (b *backlog) count(receiver types.NamespacedName) int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.counts[receiver]
}

// OnAdd implements ResourceEventHandler.
func (b *backlog) OnAdd(object any, _ bool) { b.change(nil, object) }

// OnUpdate implements ResourceEventHandler.
func (b *backlog) OnUpdate(before, after any) { b.change(before, after) }

// OnDelete implements ResourceEventHandler.
func (b *backlog) OnDelete(object any) {
	if tombstone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	b.change(object, nil)
}

func (b *backlog) change(before, after any) {
	was, counted := unfinishedOf(before)
	is, counts := unfinishedOf(after)
	if counted == counts && was == is {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if counted {
		if b.counts[was]--; b.counts[was] <= 0 {
			delete(b.counts, was)
		}
	}
	if counts {
		b.counts[is]++
	}
}

// unfinishedOf returns the receiver of an unfinished task. It is false for anything else.
func unfinishedOf(object any) (types.NamespacedName, bool) {
	task, ok := object.(*accessv1alpha1.AccessTask)
	if !ok || task.Spec.ReceiverRef == nil || finished(task) {
		return types.NamespacedName{}, false
	}
	return types.NamespacedName{Namespace: task.Namespace, Name: task.Spec.ReceiverRef.Name}, true
}

func finished(task *accessv1alpha1.AccessTask) bool {
	for i := range task.Status.Conditions {
		if condition := &task.Status.Conditions[i]; condition.Type == accessv1alpha1.ConditionSucceeded {
			return condition.Status == metav1.ConditionTrue || condition.Status == metav1.ConditionFalse
		}
	}
	return false
}
