// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func TestACacheIsBehindUntilItShowsWhatWasWritten(t *testing.T) {
	var w writes
	task := types.NamespacedName{Namespace: "n", Name: "t"}
	if w.stale(task, "9") {
		t.Error("nothing was written")
	}
	w.note(task, "10")
	for range 2 {
		if !w.stale(task, "9") {
			t.Error("9 is older than 10")
		}
	}
	if w.stale(task, "10") || len(w.versions) != 0 {
		t.Error("the cache shows it")
	}
	w.note(task, "11")
	if w.stale(task, "12") {
		t.Error("the cache shows a newer one")
	}
	w.note(task, "11")
	if w.stale(task, "no number") {
		t.Error("what cannot be compared must not hold a task up for good")
	}
	w.note(task, "11")
	w.forget(task)
	if w.stale(task, "1") {
		t.Error("it is gone")
	}
}
