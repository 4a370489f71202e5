// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
)

// What was granted counts from when Cakewalk created it. A removal that came after it must not count as older because it
// was received by a clock that is behind Cakewalk's, and Cakewalk was not asked yet when it was created.
func TestARemovalReceivedByAClockThatIsBehindIsDone(t *testing.T) {
	r := newCakewalkRig(t)
	behind := func(task *accessv1alpha1.AccessTask) {
		task.Spec.ReceivedTime = new(metav1.NewMicroTime(r.time.Now().Add(-time.Minute)))
	}
	granted := r.announced(r.request(), behind)
	r.until(granted, accessv1alpha1.ReasonProvisioned)
	r.time.Step(10 * time.Second)
	removed := r.announced(r.request(func(task *cakewalktest.Task) { task.Request.Type = accessv1alpha1.RequestTypeRemoveAccess }), behind)
	r.until(removed, accessv1alpha1.ReasonProvisioned)
	if diff := cmp.Diff([]string{"bob@example.com"}, r.target.Members("editors")); diff != "" {
		t.Error(diff)
	}
}
