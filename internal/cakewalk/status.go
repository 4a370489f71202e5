// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk

import (
	"slices"
	"strings"
)

// StatusApproved is the status of a task that was approved: its change was made. It is the only one that Cakewalk
// publishes.
const StatusApproved = "Approved"

// closedStatuses are the statuses, in lower case, that are taken for those of a closed task, and whether they say that its
// change was made. But for approved they are the plain words for it, in both spellings: the enum is open, and a closed
// task that is taken for an open one is done although nobody wants it any more. "Failed" is none of them: a task that
// Cakewalk's own agent failed at stays open for a person.
var closedStatuses = map[string]bool{
	"approved": true, "autoapproved": true, "completed": true, "done": true, "executed": true, "resolved": true,
	"cancelled": false, "canceled": false, "declined": false, "denied": false, "rejected": false, "withdrawn": false,
	"closed": false, "expired": false, "skipped": false, "obsolete": false, "archived": false, "deleted": false,
}

// IsClosed says of a task's status, in any case of letters, whether it is known to be that of a closed task, and whether
// it says that the task's change was made. A status that is not known is not closed.
func IsClosed(status string) (closed, done bool) {
	done, closed = closedStatuses[strings.ToLower(status)]
	return closed, done
}

// IsOpen says whether a task's status counts as open: it is one of open, in any case of letters, or, where open is empty,
// it is not known to be closed.
func IsOpen(status string, open []string) bool {
	if len(open) == 0 {
		closed, _ := IsClosed(status)
		return !closed
	}
	return slices.ContainsFunc(open, func(o string) bool { return strings.EqualFold(o, status) })
}
