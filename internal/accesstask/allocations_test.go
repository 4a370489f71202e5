// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package accesstask

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

// The race detector allocates for itself, so that these are counted without it.
func TestNewAllocations(t *testing.T) {
	body, err := os.ReadFile(filepath.Join("..", "cakewalk", "testdata", "batch.json"))
	if err != nil {
		t.Fatal(err)
	}
	events, err := cakewalk.Decode(body, 10)
	if err != nil || events[0].Task == nil {
		t.Fatal(events, err)
	}
	receiver := &accessv1alpha1.WebhookReceiver{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "cakewalk"}}
	const most = 15
	if got := testing.AllocsPerRun(100, func() { _ = New(events[0].Task, receiver, time.Time{}, nil) }); got > most {
		t.Errorf("a task takes %.0f allocations, at most %d are right", got, most)
	}
}
