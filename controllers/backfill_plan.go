// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"getcakewalk.io/access-operator/internal/cakewalk"
)

// webhookDue is how old a task must be before its webhook counts as lost.
const webhookDue = 2 * time.Minute

// missed returns those of the tasks of users that are to be done and that nobody stored, each once, in the order of their
// creation. known says whether a task is stored; open are the statuses that count as open.
func missed(tasks []cakewalk.Task, open []string, known func(id string) bool, now time.Time) []cakewalk.Task {
	var all []cakewalk.Task
	seen := map[string]bool{}
	for _, task := range tasks {
		// Its webhook may be on its way.
		young := now.Sub(task.CreatedAt) < webhookDue
		if seen[task.ID] || young || !actionable(&task, open) || known(task.ID) {
			continue
		}
		seen[task.ID] = true
		all = append(all, task)
	}
	slices.SortStableFunc(all, func(a, b cakewalk.Task) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	return all
}

// actionable says whether a task in Cakewalk is a change that is to be made now. What Cakewalk does not say for certain to
// be an action step is left to a person: no webhook announced it.
func actionable(task *cakewalk.Task, open []string) bool {
	cancelled := task.Request != nil && task.Request.CancelledBy != ""
	return isTrue(task.ActionStep) && !isTrue(task.Autoprovisioning) && !cancelled && cakewalk.IsOpen(task.Status, open)
}

// forgotten says whether a task may have been stored, done and deleted since: receivers delete tasks a while after they
// finished, where that is set. One that was created in Cakewalk later than that ago cannot have been.
func forgotten(task *cakewalk.Task, keep *int32, now time.Time) bool {
	return keep != nil && now.Sub(task.CreatedAt) >= time.Duration(*keep)*time.Second
}
