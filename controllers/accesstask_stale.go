// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// writes are the versions of tasks that this process wrote and the cache has not shown yet. Whoever decides by an older
// one decides again what was decided, asks the target system again and tells the audit log again, only to be refused when
// it writes. The zero value is ready.
type writes struct {
	mu       sync.Mutex
	versions map[types.NamespacedName]string
}

// note notes a version that was written.
func (w *writes) note(task types.NamespacedName, version string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.versions == nil {
		w.versions = map[types.NamespacedName]string{}
	}
	w.versions[task] = version
}

// stale tells whether a version is older than the one that was written last. Once it is not, that is forgotten.
func (w *writes) stale(task types.NamespacedName, version string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	written, ok := w.versions[task]
	if !ok {
		return false
	}
	if order, err := resourceversion.CompareResourceVersion(version, written); err == nil && order < 0 {
		return true
	}
	delete(w.versions, task)
	return false
}

// forget forgets a task that is gone.
func (w *writes) forget(task types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.versions, task)
}
