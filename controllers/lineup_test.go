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
	"sigs.k8s.io/controller-runtime/pkg/client"

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

// first is which task goes before another.
func first(l *Lineup, task *accessv1alpha1.AccessTask, held func(*accessv1alpha1.AccessTask) bool) string {
	return l.turn(task, t0, held).first
}

func TestTheLineupWakesOneTaskAtATime(t *testing.T) {
	l := NewLineup()
	var woken []string
	l.setWake(func(n types.NamespacedName) { woken = append(woken, n.Name) })
	for i := range 100 {
		l.see(inLine(fmt.Sprintf("%02d", i), 100-i))
	}
	if got := first(l, inLine("99", 1), nobody); got != "" {
		t.Errorf("the oldest waits for %s", got)
	}
	if got := first(l, inLine("50", 50), func(task *accessv1alpha1.AccessTask) bool { return task.Name != "99" }); got != "99" {
		t.Errorf("one waits for %q", got)
	}
	l.see(inLine("99", 1, withStatus(done(nil, true))))
	l.see(inLine("98", 2, withStatus(failedPermanently)))
	l.see(inLine("97", 3, withStatus(outcome{reason: accessv1alpha1.ReasonSuspended})))
	l.unsee(client.ObjectKeyFromObject(inLine("96", 4)))
	if diff := cmp.Diff([]string{"98", "97", "96", "97", "95"}, woken); diff != "" {
		t.Error(diff)
	}
	held := func(task *accessv1alpha1.AccessTask) bool { return task.Name == "97" }
	if got := first(l, inLine("95", 5), held); got != "" {
		t.Errorf("waits for %s, which is finished, held or gone", got)
	}
}

func TestTheLineupWakesWhatARemovalSupersedes(t *testing.T) {
	l := NewLineup()
	var woken []string
	l.see(inLine("older", 1))
	l.see(inLine("newer", 3))
	l.setWake(func(n types.NamespacedName) { woken = append(woken, n.Name) })
	l.see(inLine("removal", 2, withType(accessv1alpha1.RequestTypeRemoveAccess)))
	if diff := cmp.Diff([]string{"older"}, woken); diff != "" {
		t.Error(diff)
	}
	if l.turn(inLine("older", 1), t0, nobody).supersededBy != "removal" || l.turn(inLine("newer", 3), t0, nobody).supersededBy != "" {
		t.Error("the wrong ones are superseded")
	}
	// It is remembered as long as it exists, and no more of it than what it did.
	l.see(inLine("removal", 2, withType(accessv1alpha1.RequestTypeRemoveAccess), withStatus(done(nil, true))))
	if l.turn(inLine("older", 1), t0, nobody).supersededBy != "removal" {
		t.Error("a removal that is done is forgotten")
	}
	if m := l.all[types.NamespacedName{Namespace: "ns", Name: "removal"}]; m.task != nil {
		t.Error("a finished task is held whole")
	}
	for _, name := range []string{"older", "newer", "removal"} {
		l.unsee(client.ObjectKeyFromObject(inLine(name, 0)))
	}
	if len(l.all)+len(l.lines)+len(l.apps) != 0 {
		t.Errorf("%d lines are kept of tasks that are gone", len(l.lines))
	}
}

func TestARemovalThatIsNotConfirmedIsWaitedForAndSupersedesNothing(t *testing.T) {
	required := withAnnotation(accessv1alpha1.AnnotationPreflight, string(accessv1alpha1.PreflightRequired))
	removal := func(change ...func(*accessv1alpha1.AccessTask)) *accessv1alpha1.AccessTask {
		return inLine("removal", 2, append([]func(*accessv1alpha1.AccessTask){withType(accessv1alpha1.RequestTypeRemoveAccess), required}, change...)...)
	}
	l := lineupOf(inLine("older", 1), removal())
	if got := l.turn(inLine("older", 1), t0, nobody); got != (turn{first: "removal", newer: true}) {
		t.Errorf("%+v", got)
	}
	if got := l.turn(removal(), t0, nobody); got != (turn{}) {
		t.Errorf("the removal: %+v", got)
	}
	var woken []string
	l.setWake(func(n types.NamespacedName) { woken = append(woken, n.Name) })
	l.see(removal(withStatus(*rejected("forged"))))
	if got := l.turn(inLine("older", 1), t0, nobody); got != (turn{}) || len(woken) == 0 {
		t.Errorf("after it was rejected: %+v, woken %v", got, woken)
	}
	l.see(removal(withStatus(outcome{reason: accessv1alpha1.ReasonRetrying}, func(s *accessv1alpha1.AccessTaskStatus) {
		conditionSetter(s, 1, t0)(accessv1alpha1.ConditionChecked, metav1.ConditionTrue, accessv1alpha1.ReasonConfirmed, "")
	})))
	if got := l.turn(inLine("older", 1), t0, nobody); got.supersededBy != "removal" {
		t.Errorf("after it was confirmed: %+v", got)
	}
}

func TestPersonsAndApplicationsAndNamespacesHaveLinesOfTheirOwn(t *testing.T) {
	l := lineupOf(inLine("first", 1))
	user := func(u *accessv1alpha1.User) func(*accessv1alpha1.AccessTask) {
		return func(t *accessv1alpha1.AccessTask) { t.Spec.Request.TargetUser = u }
	}
	id, email := newTask().Spec.Request.TargetUser.ID, newTask().Spec.Request.TargetUser.Email
	for name, tc := range map[string]struct {
		change func(*accessv1alpha1.AccessTask)
		want   string
	}{
		"another person": {forUser("bob@example.com"), ""},
		"another application": {func(t *accessv1alpha1.AccessTask) {
			t.Spec.Request.TargetWorkApp = &accessv1alpha1.NamedObject{Name: "Slack"}
		}, ""},
		"another namespace":                    {func(t *accessv1alpha1.AccessTask) { t.Namespace = "other" }, ""},
		"nobody":                               {user(nil), ""},
		"the same person":                      {func(*accessv1alpha1.AccessTask) {}, "first"},
		"the same id and another email":        {user(&accessv1alpha1.User{ID: id, Email: "renamed@example.com"}), "first"},
		"the same email and another id":        {user(&accessv1alpha1.User{ID: "x", Email: email}), "first"},
		"the same email in other case, no id":  {user(&accessv1alpha1.User{Email: "ANN@EXAMPLE.COM"}), "first"},
		"archiving the application goes first": {withType(accessv1alpha1.RequestTypeArchiveWorkApp), ""},
	} {
		if got := first(l, inLine("second", 2, tc.change), nobody); got != tc.want {
			t.Errorf("%s waits for %q, want %q", name, got, tc.want)
		}
	}
}

func TestATaskIsNotDecidedAboutBeforeTheLineupIsToldOfIt(t *testing.T) {
	l := NewLineup()
	l.follows = true
	var woken []string
	l.setWake(func(n types.NamespacedName) { woken = append(woken, n.Name) })
	newer := inLine("newer", 2)
	if got := l.turn(newer, t0, nobody); got != (turn{unknown: true}) {
		t.Errorf("got %+v", got)
	}
	l.see(inLine("older", 1))
	if len(woken) > 0 {
		t.Errorf("woke %v", woken)
	}
	l.see(newer)
	if diff := cmp.Diff([]string{"newer"}, woken); diff != "" {
		t.Error(diff)
	}
	if got := first(l, newer, nobody); got != "older" {
		t.Errorf("waits for %q", got)
	}
	nobodys := inLine("nobodys", 3)
	nobodys.Spec.Request = nil
	if got := l.turn(nobodys, t0, nobody); got != (turn{}) {
		t.Errorf("a task about nobody waits: %+v", got)
	}
}
