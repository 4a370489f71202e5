// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/accesstask"
)

// backlog counts the unfinished tasks of each receiver, by the label that names it. It is fed by an informer of the tasks
// that are not finished, whose old objects are those of its last call, so that counting differences is enough.
type backlog struct {
	mu     sync.RWMutex
	counts map[types.NamespacedName]int
	// limits are those of the receivers that exist.
	limits map[types.NamespacedName]int32
}

var _ toolscache.ResourceEventHandler = (*backlog)(nil)

func newBacklog() *backlog {
	return &backlog{counts: map[types.NamespacedName]int{}, limits: map[types.NamespacedName]int32{}}
}

// count returns how many tasks of a receiver are unfinished.
func (b *backlog) count(receiver types.NamespacedName) int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.counts[labelled(receiver)]
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

// unfinishedOf returns the receiver of an unfinished task, by the task's label. It is false for anything else.
func unfinishedOf(object any) (types.NamespacedName, bool) {
	task, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return types.NamespacedName{}, false
	}
	receiver := task.Labels[accessv1alpha1.LabelReceiver]
	return types.NamespacedName{Namespace: task.Namespace, Name: receiver}, receiver != ""
}

// labelled names a receiver as its tasks do.
func labelled(receiver types.NamespacedName) types.NamespacedName {
	return types.NamespacedName{Namespace: receiver.Namespace, Name: accesstask.ReceiverLabel(receiver.Name)}
}
