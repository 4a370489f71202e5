// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/accesstask"
)

// backlog counts the unfinished tasks of each receiver, by the label that names it. It is fed by an informer, whose old objects are those of its last
// call, so that counting differences is enough.
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
	var labels map[string]string
	var namespace string
	switch task := object.(type) {
	case *accessv1alpha1.AccessTask:
		if finished(task) {
			return types.NamespacedName{}, false
		}
		labels, namespace = task.Labels, task.Namespace
	case *metav1.PartialObjectMetadata:
		labels, namespace = task.Labels, task.Namespace
	}
	receiver := labels[accessv1alpha1.LabelReceiver]
	return types.NamespacedName{Namespace: namespace, Name: receiver}, receiver != ""
}

func finished(task *accessv1alpha1.AccessTask) bool { return task.Status.CompletionTime != nil }

// labelled names a receiver as its tasks do.
func labelled(receiver types.NamespacedName) types.NamespacedName {
	return types.NamespacedName{Namespace: receiver.Namespace, Name: accesstask.ReceiverLabel(receiver.Name)}
}

// CountedTasks is what the cache of a process without controllers holds: of tasks that are not finished, the metadata alone.
// It goes with Options.Alone.
func CountedTasks() map[client.Object]cache.ByObject {
	return map[client.Object]cache.ByObject{&accessv1alpha1.AccessTask{}: {Field: fields.OneTermEqualSelector("status.completionTime", "")}}
}

// tasksToCount is the kind of object by which tasks are counted.
func (o Options) tasksToCount() client.Object {
	if !o.Alone {
		return &accessv1alpha1.AccessTask{}
	}
	metadata := &metav1.PartialObjectMetadata{}
	metadata.SetGroupVersionKind(kind)
	return metadata
}
