// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/audit"
	"getcakewalk.io/access-operator/internal/provisioning"
)

func TestNothingIsChangedThatCannotBeWrittenIntoTheAuditLog(t *testing.T) {
	r, fake := newRig(t)
	r.ready(r.connector("a"), metav1.ConditionTrue, accessv1alpha1.ReasonProbed)
	r.auditLog.fill(true)
	task := r.task()
	r.eventually(func() error {
		if n := r.auditLog.fill(true); n < 2 {
			return errors.New("it was not tried twice")
		}
		return nil
	})
	if changes := fake.Changes(); len(changes) > 0 {
		t.Errorf("changed: %v", changes)
	}
	r.auditLog.fill(false)
	r.until(task, accessv1alpha1.ReasonProvisioned)
}

// made are the ids of the changes that a write tells of.
func made(task *accessv1alpha1.AccessTask, before, after []accessv1alpha1.TaskChange) []string {
	was, is := task.Status.DeepCopy(), task.Status.DeepCopy()
	was.Changes, is.Changes = before, after
	var ids []string
	for _, l := range (auditor{task: task, before: was, after: is}).lines() {
		if l.Event == audit.ChangeMade {
			ids = append(ids, l.ID)
		}
	}
	return ids
}

func TestAChangeIsToldByTheSameIDByWhoeverTellsIt(t *testing.T) {
	at := func(seconds int64) *metav1.Time { return new(metav1.NewTime(time.Unix(seconds, 0))) }
	add := func(state accessv1alpha1.ChangeState, seconds int64) accessv1alpha1.TaskChange {
		return accessv1alpha1.TaskChange{Action: accessv1alpha1.ChangeAction(provisioning.AddEntitlement), Entitlement: "a", State: state, Time: at(seconds)}
	}
	task := newTask()
	task.UID, task.ResourceVersion = "u", "1"
	plan := []accessv1alpha1.TaskChange{add(accessv1alpha1.ChangePlanned, 1)}
	first := made(task, plan, []accessv1alpha1.TaskChange{add(accessv1alpha1.ChangeApplied, 2)})
	task.ResourceVersion = "2"
	again := made(task, plan, []accessv1alpha1.TaskChange{add(accessv1alpha1.ChangeApplied, 9)})
	if len(first) != 1 || cmp.Diff(first, again) != "" {
		t.Errorf("%v, then %v", first, again)
	}
	// Somebody took it away, and it was given again: that is another change.
	second := made(task, []accessv1alpha1.TaskChange{add(accessv1alpha1.ChangeApplied, 2)},
		[]accessv1alpha1.TaskChange{add(accessv1alpha1.ChangeApplied, 2), add(accessv1alpha1.ChangeApplied, 20)})
	if len(second) != 1 || second[0] == first[0] {
		t.Errorf("%v, then %v", first, second)
	}
	if none := made(task, []accessv1alpha1.TaskChange{add(accessv1alpha1.ChangeApplied, 2)}, []accessv1alpha1.TaskChange{add(accessv1alpha1.ChangeApplied, 2)}); len(none) > 0 {
		t.Errorf("told without a change: %v", none)
	}
}

func TestWhatWasChangedIsOnRecordBeforeItsStatus(t *testing.T) {
	r, fake := newRig(t)
	fake.FailAfter = func(string, provisioning.Subject) error {
		// From the change on, until the test lets it go.
		r.auditLog.fill(true)
		return nil
	}
	r.ready(r.connector("a"), metav1.ConditionTrue, accessv1alpha1.ReasonProbed)
	task := r.task()
	r.eventually(func() error {
		if len(fake.Changes()) == 0 || r.auditLog.fill(true) < 2 {
			return errors.New("nothing was changed and not told")
		}
		return nil
	})
	if s := r.until(task, accessv1alpha1.ReasonProvisioning); s.Status.Changes[0].State != accessv1alpha1.ChangePlanned {
		t.Errorf("the status tells of what the audit log does not: %v", changesOf(s))
	}
	r.auditLog.fill(false)
	r.until(task, accessv1alpha1.ReasonProvisioned)
	r.stop()
	var told []string
	for text := range strings.Lines(r.auditLog.text.String()) {
		var l audit.Line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		if l.Task == task.Name && (l.Event == audit.ChangePlanned || l.Event == audit.ChangeMade) {
			told = append(told, strings.Join([]string{string(l.Event), l.Entitlement, l.Before, l.After}, " "))
		}
	}
	if diff := cmp.Diff([]string{"ChangePlanned editors Absent ", "ChangeMade editors  Present"}, told); diff != "" {
		t.Error(diff)
	}
}
