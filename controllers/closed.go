// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"time"
	"unique"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// closedTask is what the cache holds of a task about which nothing is left to do but to delete it some day: its name, its
// place among its like, and how it counts. Whoever needs more reads it from the API server. There are many of them: a
// hundred thousand whole tasks would take the better part of a gigabyte.
type closedTask struct {
	// What an object in a cache is not asked for is not there.
	metav1.Object

	version string
	member
	counted unique.Handle[counted]
	// expires is when the task is to be deleted; zero for never.
	expires int64
}

var _ client.Object = (*closedTask)(nil)

// compact makes a closedTask of a task that is closed, and leaves out of others what nobody reads.
func compact(o any) (any, error) {
	task, ok := o.(*accessv1alpha1.AccessTask)
	if !ok {
		return o, nil
	}
	task.ManagedFields = nil
	if !closed(task) {
		return task, nil
	}
	c := &closedTask{version: task.ResourceVersion, member: *memberOf(task), counted: unique.Make(countedOf(task))}
	if at := expiry(task); !at.IsZero() {
		c.expires = at.Unix()
	}
	c.name.Namespace, c.level = unique.Make(c.name.Namespace).Value(), unique.Make(c.level).Value()
	return c, nil
}

// closed tells whether nothing is left to do about a task: it is finished, nobody has to look at it, Cakewalk knows, and
// no person asks to start it over.
func closed(task *accessv1alpha1.AccessTask) bool {
	return finished(&task.Status) && task.DeletionTimestamp.IsZero() && stalledReason(&task.Status) == "" &&
		!unreported(&task.Status) && !retryAsked(task)
}

// expiry is when a finished task is to be deleted; zero for never.
func expiry(task *accessv1alpha1.AccessTask) time.Time {
	ttl, end := task.Spec.TTLSecondsAfterFinished, task.Status.CompletionTime
	if ttl == nil || end == nil {
		return time.Time{}
	}
	return end.Add(time.Duration(*ttl) * time.Second)
}

// GetName implements metav1.Object.
func (c *closedTask) GetName() string { return c.name.Name }

// GetNamespace implements metav1.Object.
func (c *closedTask) GetNamespace() string { return c.name.Namespace }

// GetResourceVersion implements metav1.Object.
func (c *closedTask) GetResourceVersion() string { return c.version }

// GetUID implements metav1.Object. It is not known.
func (c *closedTask) GetUID() types.UID { return "" }

// GetObjectKind implements runtime.Object. It is not known, as of everything in a cache.
func (c *closedTask) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject implements runtime.Object. A closedTask is never changed.
func (c *closedTask) DeepCopyObject() runtime.Object { return c }
