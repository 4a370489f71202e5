// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

func TestOtherNames(t *testing.T) {
	known := &cakewalk.RequestMetadata{
		TargetUser:      &cakewalk.User{Email: "ann@example.com"},
		TargetWorkApp:   &cakewalk.NamedObject{Name: "Google Workspace"},
		PermissionLevel: &cakewalk.NamedObject{Name: "Editor"},
	}
	tests := map[string]struct {
		change func(*accessv1alpha1.AccessRequest)
		wrong  int
	}{
		"the same, but for the email's case": {func(*accessv1alpha1.AccessRequest) {}, 0},
		"another email":                      {func(r *accessv1alpha1.AccessRequest) { r.TargetUser.Email = "x@example.com" }, 1},
		"no email":                           {func(r *accessv1alpha1.AccessRequest) { r.TargetUser.Email = "" }, 0},
		"another full name":                  {func(r *accessv1alpha1.AccessRequest) { r.TargetUser.FullName = "X" }, 0},
		"an app in other case":               {func(r *accessv1alpha1.AccessRequest) { r.TargetWorkApp.Name = "google workspace" }, 1},
		"no app":                             {func(r *accessv1alpha1.AccessRequest) { r.TargetWorkApp = nil }, 0},
		"another level":                      {func(r *accessv1alpha1.AccessRequest) { r.PermissionLevel.Name = "Owner" }, 1},
		"everything": {func(r *accessv1alpha1.AccessRequest) {
			r.TargetUser.Email, r.TargetWorkApp.Name, r.PermissionLevel.Name = "x", "y", "z"
		}, 3},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			announced := newTask().Spec.Request
			tc.change(announced)
			if got := otherNames(announced, known); len(got) != tc.wrong {
				t.Errorf("got %q", got)
			}
		})
	}
	if got := otherNames(newTask().Spec.Request, &cakewalk.RequestMetadata{}); len(got) != 3 {
		t.Errorf("where Cakewalk knows nothing: %q", got)
	}
}

func TestATaskThatBeganKeepsItsPlace(t *testing.T) {
	known := &cakewalk.Task{CreatedAt: t0.Add(-time.Hour)}
	task := newTask()
	learn(&task.Status, known)
	if got := orderTime(task); !got.Equal(known.CreatedAt) {
		t.Errorf("before it began: %s", got)
	}
	task = newTask()
	task.Status.StartTime = new(metav1.NewTime(t0))
	learn(&task.Status, known)
	if got := orderTime(task); !got.Equal(t0) {
		t.Errorf("after it began: %s", got)
	}
}

func TestNamesAreKeptForAWhile(t *testing.T) {
	n := names{}
	first := n.of("a", t0)
	if n.of("a", t0.Add(namesFor-time.Second)) != first || n.of("b", t0) == first {
		t.Error("what was read is not kept for its receiver")
	}
	if n.of("a", t0.Add(namesFor)) == first || len(n.kept) != 1 {
		t.Errorf("what was read is kept for too long: %d", len(n.kept))
	}
}
