// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk

// Event types that this package knows.
const (
	// EventTest is sent while a webhook is being registered.
	EventTest = "test"
	// EventActionTaskActionable says that a request is approved and that its change is ready to be made.
	EventActionTaskActionable = "action_task.actionable"
)

// Event is one event of a delivery. At most one of Test, Task and Err is set; none of them is for an event of an unknown
// type, which is to be ignored.
type Event struct {
	// Index is the event's place in the delivery, from 0.
	Index int
	// Type is the event's type as sent. Empty where it could not be read.
	Type string
	// Test is true for an event of type EventTest.
	Test bool
	// Task is what an event of type EventActionTaskActionable announces.
	Task *ActionTask
	// Err says what is malformed about the event.
	Err *FieldError
}

// ActionTask is a change that was approved in Cakewalk.
type ActionTask struct {
	// TaskID is the task's id, a UUID in lower case.
	TaskID string
	// AssignedTo lists whom the task is assigned to. May be empty.
	AssignedTo []User
	// Request is what was asked for. Nil where no policy-based request stands behind the task.
	Request *RequestMetadata
}

// RequestMetadata is what was asked for and approved. Members that the event does not hold are nil or empty.
type RequestMetadata struct {
	// Type says what is to be done, for example GrantAccessRequest. Never empty; the list is open.
	Type                  string
	RequestedBy           *User
	ReviewedBy            []User
	TargetWorkApp         *NamedObject
	PermissionLevel       *NamedObject
	TargetUser            *User
	TriggeredByUsersGroup *NamedObject
}

// User is a person. At least one member is not empty.
type User struct {
	ID       string
	Email    string
	FullName string
}

// NamedObject is a work app, a permission level or a group. At least one member is not empty.
type NamedObject struct {
	ID   string
	Name string
}

// FieldError says which field of an event is malformed, and why. It holds no value of the event, so it may be logged.
type FieldError struct {
	// Field is the path of the field in the event, for example data.assignedTo[0].email. Empty: the event itself.
	Field string
	// Message completes the sentence that begins with the field, for example "must be a string".
	Message string
}

// Error implements error.
func (e *FieldError) Error() string {
	if e.Field == "" {
		return "the event " + e.Message
	}
	return e.Field + " " + e.Message
}
