// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// inLine is a task of newTask's person and application that was received a number of seconds after t0.
func inLine(name string, seconds int, change ...func(*accessv1alpha1.AccessTask)) *accessv1alpha1.AccessTask {
	task := newTask(change...)
	task.Name = name
	task.Spec.ReceivedTime = new(metav1.NewMicroTime(t0.Add(time.Duration(seconds) * time.Second)))
	return task
}

func nobody(*accessv1alpha1.AccessTask) bool { return false }

func TestTheLineupWakesOneTaskAtATime(t *testing.T) {
	l := NewLineup()
	var woken []string
	l.setWake(func(n types.NamespacedName) { woken = append(woken, n.Name) })
	for i := range 100 {
		l.see(inLine(fmt.Sprintf("%02d", i), 100-i))
	}
	if got := l.goesFirst(inLine("99", 1), t0, nobody); got != "" {
		t.Errorf("the oldest waits for %s", got)
	}
	if got := l.goesFirst(inLine("98", 2), t0, nobody); got != "99" {
		t.Errorf("the second waits for %q", got)
	}
	l.see(inLine("99", 1, withStatus(done(nil, true))))
	l.see(inLine("98", 2, withStatus(failedPermanently)))
	l.see(inLine("97", 3, withStatus(outcome{reason: accessv1alpha1.ReasonSuspended})))
	l.unsee(inLine("96", 4))
	if diff := cmp.Diff([]string{"98", "97", "96", "97", "95"}, woken); diff != "" {
		t.Error(diff)
	}
	held := func(task *accessv1alpha1.AccessTask) bool { return task.Name == "97" }
	if got := l.goesFirst(inLine("95", 5), t0, held); got != "" {
		t.Errorf("waits for %s, which is finished, held or gone", got)
	}
}

func TestTheLineupWakesWhatARemovalSupersedes(t *testing.T) {
	l := NewLineup()
	var woken []string
	l.see(inLine("older", 1))
	l.see(inLine("newer", 3))
	removal := inLine("removal", 2, withType(accessv1alpha1.RequestTypeRemoveAccess))
	l.see(removal)
	l.setWake(func(n types.NamespacedName) { woken = append(woken, n.Name) })
	if got := l.overtakenBy(inLine("older", 1)); got != "" {
		t.Errorf("overtaken by %s, which has not begun", got)
	}
	removal.Status.StartTime = new(metav1.NewTime(t0))
	l.see(removal)
	if diff := cmp.Diff([]string{"older"}, woken); diff != "" {
		t.Error(diff)
	}
	if l.overtakenBy(inLine("older", 1)) != "removal" || l.overtakenBy(inLine("newer", 3)) != "" {
		t.Error("the wrong ones are overtaken")
	}
	// It is remembered as long as it exists.
	l.see(inLine("removal", 2, withType(accessv1alpha1.RequestTypeRemoveAccess), withStatus(done(nil, true))))
	if l.overtakenBy(inLine("older", 1)) != "removal" {
		t.Error("a removal that is done is forgotten")
	}
	for _, name := range []string{"older", "newer", "removal"} {
		l.unsee(inLine(name, 0))
	}
	if len(l.lines) != 0 {
		t.Errorf("%d lines are kept of tasks that are gone", len(l.lines))
	}
}

func TestPersonsAndApplicationsAndNamespacesHaveLinesOfTheirOwn(t *testing.T) {
	l := lineupOf(inLine("first", 1))
	for name, change := range map[string]func(*accessv1alpha1.AccessTask){
		"another person": forUser("bob@example.com"),
		"another application": func(t *accessv1alpha1.AccessTask) {
			t.Spec.Request.TargetWorkApp = &accessv1alpha1.NamedObject{Name: "Slack"}
		},
		"another namespace": func(t *accessv1alpha1.AccessTask) { t.Namespace = "other" },
		"nobody":            func(t *accessv1alpha1.AccessTask) { t.Spec.Request.TargetUser = nil },
	} {
		if got := l.goesFirst(inLine("second", 2, change), t0, nobody); got != "" {
			t.Errorf("%s waits for %s", name, got)
		}
	}
}
