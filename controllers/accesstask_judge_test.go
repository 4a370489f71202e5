// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

// asAnnounced is newTask as Cakewalk knows it.
func asAnnounced(change ...func(*cakewalk.Task)) *cakewalk.Task {
	task := newTask()
	known := &cakewalk.Task{
		ID: task.Name, Status: "Pending", ActionStep: new(true), Autoprovisioning: new(false),
		Request: &cakewalk.TaskRequest{
			Type: accessv1alpha1.RequestTypeGrantAccess, WorkAppID: appID, PermissionLevelID: levelID,
			TargetUserID: task.Spec.Request.TargetUser.ID,
		},
	}
	for _, c := range change {
		c(known)
	}
	return known
}

func closedAs(status string) func(*cakewalk.Task) {
	return func(k *cakewalk.Task) {
		k.Status, k.ExecutedBy = status, &cakewalk.User{ID: "x", Email: "boss@example.com"}
	}
}

func TestJudge(t *testing.T) {
	const other = "00000000-0000-4000-8000-000000000000"
	withoutIDs := newTask(func(task *accessv1alpha1.AccessTask) {
		task.Spec.Request.TargetUser.ID, task.Spec.Request.TargetWorkApp.ID = "", ""
	})
	tests := map[string]struct {
		task   *accessv1alpha1.AccessTask
		known  *cakewalk.Task
		open   []string
		reason string
		// says is a part of the message.
		says string
	}{
		"open and as announced":             {known: asAnnounced()},
		"an unknown status is open":         {known: asAnnounced(closedAs("Ripening"))},
		"flags that the answer leaves out":  {known: asAnnounced(func(k *cakewalk.Task) { k.ActionStep, k.Autoprovisioning = nil, nil })},
		"ids in upper case":                 {known: asAnnounced(func(k *cakewalk.Task) { k.Request.WorkAppID = strings.ToUpper(appID) })},
		"a status that is listed as open":   {known: asAnnounced(closedAs("done")), open: []string{"Done"}},
		"approved by a person":              {known: asAnnounced(closedAs("Approved")), reason: accessv1alpha1.ReasonCompletedByPerson, says: "by boss@example.com"},
		"declined":                          {known: asAnnounced(closedAs("Declined")), reason: accessv1alpha1.ReasonCancelled, says: "Declined"},
		"cancelled, whatever the status":    {known: asAnnounced(func(k *cakewalk.Task) { k.Request.CancelledBy = other }), reason: accessv1alpha1.ReasonCancelled, says: other},
		"cancelled and approved":            {known: asAnnounced(closedAs("Approved"), func(k *cakewalk.Task) { k.Request.CancelledBy = other }), reason: accessv1alpha1.ReasonCancelled},
		"a status that is not listed":       {known: asAnnounced(), open: []string{"Open"}, reason: accessv1alpha1.ReasonRejected, says: "openStatuses"},
		"Cakewalk's own agent has it":       {known: asAnnounced(func(k *cakewalk.Task) { k.Autoprovisioning = new(true) }), reason: accessv1alpha1.ReasonHandledByCakewalk},
		"a review":                          {known: asAnnounced(func(k *cakewalk.Task) { k.ActionStep = new(false) }), reason: accessv1alpha1.ReasonRejected, says: "action step"},
		"another type":                      {known: asAnnounced(func(k *cakewalk.Task) { k.Request.Type = accessv1alpha1.RequestTypeRemoveAccess }), reason: accessv1alpha1.ReasonRejected, says: "request type"},
		"another application":               {known: asAnnounced(func(k *cakewalk.Task) { k.Request.WorkAppID = other }), reason: accessv1alpha1.ReasonRejected, says: "work app"},
		"another level":                     {known: asAnnounced(func(k *cakewalk.Task) { k.Request.PermissionLevelID = other }), reason: accessv1alpha1.ReasonRejected, says: "permission level"},
		"no level":                          {known: asAnnounced(func(k *cakewalk.Task) { k.Request.PermissionLevelID = "" }), reason: accessv1alpha1.ReasonRejected, says: "is none"},
		"a level where none was announced":  {task: newTask(withLevel(nil)), known: asAnnounced(), reason: accessv1alpha1.ReasonRejected, says: "announced as none"},
		"another user":                      {known: asAnnounced(func(k *cakewalk.Task) { k.Request.TargetUserID = other }), reason: accessv1alpha1.ReasonRejected, says: "target user"},
		"no request":                        {known: asAnnounced(func(k *cakewalk.Task) { k.Request = nil }), reason: accessv1alpha1.ReasonRejected, says: "request"},
		"announced without ids":             {task: withoutIDs, known: asAnnounced(), reason: accessv1alpha1.ReasonRejected, says: "without an id"},
		"announced without ids, known none": {task: withoutIDs, known: asAnnounced(func(k *cakewalk.Task) { k.Request.TargetUserID, k.Request.WorkAppID = "", "" }), reason: accessv1alpha1.ReasonRejected, says: "without an id"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			task := tc.task
			if task == nil {
				task = newTask()
			}
			got := judge(task, tc.known, tc.open)
			switch {
			case got == nil && tc.reason != "":
				t.Errorf("goes on, want %s", tc.reason)
			case got != nil && (got.reason != tc.reason || !strings.Contains(got.message, tc.says)):
				t.Errorf("%s: %s", got.reason, got.message)
			case got != nil && (got.stalled != "") != (tc.reason == accessv1alpha1.ReasonRejected):
				t.Errorf("stalled %q", got.stalled)
			}
		})
	}
}
