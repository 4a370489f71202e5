// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// maxAhead is how far ahead of this process' clock a stored task may have arrived and still be followed. A clock that is
// wrong by more is not to be told from a time that somebody made up.
const maxAhead = 10 * time.Minute

// arrivals gives the events of this process strictly increasing times of arrival, in microseconds, so that tasks are
// ordered even where the clock stands still or steps back. They are later than those of all tasks that this process
// has seen stored, also by replicas whose clocks are ahead: a revocation that comes to one replica after the grant that
// came to another is newer than it (a hybrid logical clock).
type arrivals struct {
	now  func() time.Time
	mu   sync.Mutex
	last time.Time
}

// reserve returns the time of the first of n events that arrived together; each of the others is a microsecond later.
func (a *arrivals) reserve(n int) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	first := a.now().UTC().Truncate(time.Microsecond)
	if !first.After(a.last) {
		first = a.last.Add(time.Microsecond)
	}
	a.last = first.Add(time.Duration(max(n, 1)-1) * time.Microsecond)
	return first
}

// follow has all that arrive from now on arrive after last.
func (a *arrivals) follow(last time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if last.After(a.last) {
		a.last = last
	}
}

var _ toolscache.ResourceEventHandler = (*arrivals)(nil)

// OnAdd implements ResourceEventHandler: what arrives from now on arrives after a stored task.
func (a *arrivals) OnAdd(object any, _ bool) {
	if stored := receivedTime(object); stored.Before(a.now().Add(maxAhead)) {
		a.follow(stored)
	}
}

// receivedTime is when a task arrived; the zero time where that is not known.
func receivedTime(object any) time.Time {
	task, ok := object.(*metav1.PartialObjectMetadata)
	if !ok {
		return time.Time{}
	}
	// What cannot be read is the zero time.
	at, _ := time.Parse(time.RFC3339, task.Annotations[accessv1alpha1.AnnotationReceivedTime])
	return at
}

// OnUpdate implements ResourceEventHandler. The time of a task's arrival does not change.
func (*arrivals) OnUpdate(_, _ any) {}

// OnDelete implements ResourceEventHandler.
func (*arrivals) OnDelete(any) {}
