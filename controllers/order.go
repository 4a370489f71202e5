// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// overtakeAfter is how long after its receipt a removal lets older tasks of the same person and application go first that
// it does not undo, where they can. Then it overtakes them.
const overtakeAfter = 30 * time.Second

// standing is what counts of a task among those of the same person and application.
type standing struct {
	name types.NamespacedName
	// order is the task's place: when Cakewalk created it, as far as that is known, or else when it was received.
	order, received time.Time
	// dated tells that Cakewalk told when it created the task.
	dated bool
	kind  provisioning.Kind
	// level is the permission level's id or name; empty for none.
	level string
	// waiting tells that the task is not finished.
	waiting bool
	// ran tells that the task was carried out, or that it began.
	ran bool
	// stands tells that nobody needs to be asked any more whether the task is to be carried out.
	stands bool
	// underWay tells that the task was handed over as a whole, and that its effect may come at any time.
	underWay bool
	// held tells that, when it was last visited, a person held it back or had to act.
	held bool
	// retrying tells that it cannot be done at once.
	retrying bool
	// task is the cache's own object, which must not be changed; nil for one that is finished.
	task *accessv1alpha1.AccessTask
}

// standingOf is what counts of a task among its like.
func standingOf(task *accessv1alpha1.AccessTask) standing {
	reason := reasonOf(&task.Status)
	s := standing{
		name:     types.NamespacedName{Namespace: task.Namespace, Name: task.Name},
		order:    orderTime(task),
		received: receivedTime(task),
		dated:    task.Status.TaskCreationTime != nil,
		kind:     kinds[requestType(task)],
		waiting:  !finished(&task.Status),
		ran:      task.Status.StartTime != nil || succeeded(&task.Status),
		underWay: underWay(&task.Status),
		held:     stalledReason(&task.Status) != "" || reason == accessv1alpha1.ReasonSuspended || reason == accessv1alpha1.ReasonDryRun,
		retrying: reason == accessv1alpha1.ReasonRetrying,
	}
	s.stands = s.ran || meta.IsStatusConditionTrue(task.Status.Conditions, accessv1alpha1.ConditionChecked) ||
		(task.Spec.ReceiverRef != nil && task.Annotations[accessv1alpha1.AnnotationPreflight] == "")
	if r := task.Spec.Request; r != nil && r.PermissionLevel != nil {
		s.level = strings.ToLower(cmp.Or(r.PermissionLevel.ID, r.PermissionLevel.Name))
	}
	if s.waiting {
		s.task = task
	}
	return s
}

// before orders tasks by their place.
func (s *standing) before(other *standing) bool {
	return cmp.Or(s.order.Compare(other.order), cmp.Compare(s.name.Name, other.name.Name)) < 0
}

// older tells whether a task is older than another. A place that Cakewalk gave and one by the time of arrival are by two
// clocks, which can differ by more than the time between a grant and its revocation. So what only arrived is older than
// what Cakewalk dated where it arrived before that, too; otherwise Cakewalk is asked first, and dates it.
func (s *standing) older(other *standing) bool {
	return s.before(other) && (s.dated || !other.dated || s.received.Before(other.received))
}

// gives tells the kinds that give access to one person.
func gives(k provisioning.Kind) bool { return k == provisioning.Grant || k == provisioning.ChangeLevel }

// undoes tells whether a removal takes away all that another task gives.
func (s *standing) undoes(other *standing) bool {
	return s.kind == provisioning.Archive || s.kind == provisioning.Remove && (s.level == "" || s.level == other.level)
}

// supersedes tells whether a newer task has an older one never run any more, and whether a person must look: where the
// older one would have taken access away that the newer one says nothing about.
//
// What gives access never runs after anything newer ran, nor once a newer removal of the same is to be done. What takes
// access away gives way only to what was granted since; two removals can run in any order.
func supersedes(newer, older *standing) (yes, look bool) {
	switch {
	case newer.kind == provisioning.Prepare:
		return false, false
	case gives(older.kind):
		return newer.ran || newer.waiting && newer.stands && newer.undoes(older), false
	case older.kind == provisioning.Prepare:
		return newer.ran && newer.kind == provisioning.Archive, false
	case !newer.ran || !gives(newer.kind):
		return false, false
	case older.kind == provisioning.Archive:
		return true, true
	default:
		// A change of level said what is to be there, and nothing else.
		return true, newer.kind != provisioning.ChangeLevel && (older.level == "" || older.level != newer.level)
	}
}

// letsGo tells whether a task lets another go first. held tells whether that one is left to a person or held back by one.
func (s *standing) letsGo(other *standing, now time.Time, held func(*standing) bool) bool {
	switch {
	case !other.waiting:
		return false
	case s.before(other):
		// A newer removal that is still to be confirmed: it waits for nothing, and this one runs if it is not confirmed.
		return gives(s.kind) && other.undoes(s)
	case onlyWhereListed(s.kind) || s.kind == provisioning.Remove && !gives(other.kind):
		return false
	case s.kind == provisioning.Remove && other.underWay:
		// What it gives may come after what this one takes away.
		return true
	case s.kind == provisioning.Remove:
		return !s.undoes(other) && !other.retrying && now.Sub(s.received) <= overtakeAfter && !held(other)
	default:
		return !held(other)
	}
}
