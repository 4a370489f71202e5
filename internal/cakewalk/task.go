// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk

import (
	"time"
)

// Task is a task as the Open API shows it. What an answer does not hold is nil, empty or the zero time: the enums are
// open, and only what is documented is read.
type Task struct {
	// ID is the task's id, a UUID in lower case.
	ID string
	// Type and Status are open enums, of which Cakewalk publishes one value each.
	Type, Status string
	// CreatedAt is when Cakewalk created the task.
	CreatedAt time.Time
	// Autoprovisioning tells that Cakewalk's own agent makes the change. Nil: the answer does not say.
	Autoprovisioning *bool
	// ActionStep tells that the task is the change itself, and no review. Nil: the answer does not say.
	ActionStep *bool
	// AssignedUser and Claimers are whom the task is assigned to and who took it on.
	AssignedUser *User
	Claimers     []User
	// ExecutedBy is who closed the task.
	ExecutedBy *User
	// Request is what was asked for. Nil where no policy-based request stands behind the task.
	Request *TaskRequest
}

// TaskRequest is the request behind a Task.
type TaskRequest struct {
	// ID is the request's id.
	ID string
	// Type is what is asked for, for example GrantAccessRequest.
	Type string
	// Status is an open enum.
	Status string
	// RequestedBy, CancelledBy, WorkAppID, PermissionLevelID and TargetUserID are ids in lower case, empty for null.
	RequestedBy, CancelledBy, WorkAppID, PermissionLevelID, TargetUserID string
	// Purpose is the reason that the requester gave.
	Purpose string
	// CreatedAt is when the request was made.
	CreatedAt time.Time
}
