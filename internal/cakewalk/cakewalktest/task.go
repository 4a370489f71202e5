// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalktest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"getcakewalk.io/access-operator/internal/cakewalk"
)

// Statuses of a task. Cakewalk publishes Approved alone; the others are likely words.
const (
	StatusPending   = "Pending"
	StatusApproved  = "Approved"
	StatusDeclined  = "Declined"
	StatusCancelled = "Cancelled"
)

// Types of a task. Cakewalk publishes neither.
const (
	TypeAction = "PerformRequestActionTask"
	TypeReview = "ReviewRequestTask"
)

// Task is a task of a Fake.
type Task struct {
	// ID is a UUID. Default: a random one.
	ID string
	// Type is the task's type. Default: TypeAction, or TypeReview for a review.
	Type string
	// Status is the task's status. Default: StatusPending.
	Status string
	// Review makes the task a review step, which no webhook announces.
	Review bool
	// Autoprovisioning tells that Cakewalk's own agent makes the change.
	Autoprovisioning bool
	// AssignedTo lists whom the task is assigned to; it is in their lists. Default: one person made up.
	AssignedTo []cakewalk.User
	// ExecutedBy is who closed it.
	ExecutedBy *cakewalk.User
	// Request is what was asked for. Nil: no policy-based request stands behind the task.
	Request *Request
	// CreatedAt is when the task was made. Default: now.
	CreatedAt time.Time
	// UpdatedAt is when it last changed.
	UpdatedAt time.Time
	// ClosedByAPI tells that the task was approved or declined over the API, and not by a person.
	ClosedByAPI bool
	// ClosingBody is the body that it was closed with over the API.
	ClosingBody string
}

// Request is the request behind a task.
type Request struct {
	// ID is a UUID. Default: a random one.
	ID string
	// Type is what is asked for. Default: GrantAccessRequest.
	Type string
	// Status is the request's status. Default: StatusPending.
	Status string
	// Purpose is the requester's reason.
	Purpose string
	// CancelledBy is the id of who cancelled it.
	CancelledBy string
	// RequestedBy, TargetUser, ReviewedBy, WorkApp, Level and Group are as in the webhook. Those without an id get one.
	RequestedBy *cakewalk.User
	TargetUser  *cakewalk.User
	ReviewedBy  []cakewalk.User
	WorkApp     *cakewalk.NamedObject
	Level       *cakewalk.NamedObject
	Group       *cakewalk.NamedObject
}

// AddTask adds a task, with the users and the app that it names, and returns its id. It announces nothing: Deliver does.
func (f *Fake) AddTask(task Task) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	task = task.clone()
	if task.ID == "" {
		task.ID = uuid.NewString()
	}
	task.ID = strings.ToLower(task.ID)
	if task.Type == "" {
		task.Type = TypeAction
		if task.Review {
			task.Type = TypeReview
		}
	}
	if task.Status == "" {
		task.Status = StatusPending
	}
	if task.CreatedAt.IsZero() {
		task.CreatedAt = f.now()
	}
	task.UpdatedAt = task.CreatedAt
	if task.AssignedTo == nil {
		task.AssignedTo = []cakewalk.User{{ID: uuid.NewString(), Email: "owner@example.com", FullName: "App Owner"}}
	}
	for i := range task.AssignedTo {
		f.addUser(&task.AssignedTo[i])
	}
	if task.Request != nil {
		f.addRequest(task.Request)
	}
	if _, known := f.tasks[task.ID]; !known {
		f.order = append(f.order, task.ID)
	}
	f.tasks[task.ID] = &task
	return task.ID
}

func (f *Fake) addRequest(r *Request) {
	if r.ID == "" {
		r.ID = uuid.NewString()
	}
	if r.Type == "" {
		r.Type = "GrantAccessRequest"
	}
	if r.Status == "" {
		r.Status = StatusPending
	}
	f.addUser(r.RequestedBy)
	f.addUser(r.TargetUser)
	for i := range r.ReviewedBy {
		f.addUser(&r.ReviewedBy[i])
	}
	if r.Level != nil && r.Level.ID == "" {
		r.Level.ID = uuid.NewString()
	}
	if r.WorkApp != nil {
		f.addWorkApp(r.WorkApp)
		if r.Level != nil {
			f.apps[r.WorkApp.ID].addLevel(*r.Level)
		}
	}
}

// clone copies a task, so that nobody changes it from outside.
func (t Task) clone() Task {
	t.AssignedTo = slices.Clone(t.AssignedTo)
	t.ExecutedBy = clone(t.ExecutedBy)
	if t.Request != nil {
		r := *t.Request
		r.RequestedBy, r.TargetUser = clone(r.RequestedBy), clone(r.TargetUser)
		r.WorkApp, r.Level, r.Group = clone(r.WorkApp), clone(r.Level), clone(r.Group)
		r.ReviewedBy = slices.Clone(r.ReviewedBy)
		t.Request = &r
	}
	return t
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}

// Task returns a copy of a task. ok is false where there is none.
func (f *Fake) Task(id string) (task Task, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, ok := f.tasks[strings.ToLower(id)]
	if !ok {
		return Task{}, false
	}
	return t.clone(), true
}

// TaskIDs lists the ids of all tasks in the order of their making.
func (f *Fake) TaskIDs() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.order)
}

// Change changes a task at will, for example its target after it was announced. It panics where there is none.
func (f *Fake) Change(id string, change func(*Task)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.mustTask(id)
	change(t)
	if t.Request != nil {
		f.addRequest(t.Request)
	}
	t.UpdatedAt = f.now()
}

// Approve approves a task as a person would. It panics where there is none.
func (f *Fake) Approve(id string, by cakewalk.User) { f.closeByPerson(id, StatusApproved, by) }

// Decline declines a task as a person would. It panics where there is none.
func (f *Fake) Decline(id string, by cakewalk.User) { f.closeByPerson(id, StatusDeclined, by) }

// Cancel cancels the request behind a task as the requester would, and with it the task. It panics where there is none.
func (f *Fake) Cancel(id string, by cakewalk.User) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.mustTask(id)
	f.addUser(&by)
	t.close(StatusCancelled, &by, f.now())
	if t.Request != nil {
		t.Request.CancelledBy = by.ID
	}
}

// Remove makes Cakewalk forget a task.
func (f *Fake) Remove(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id = strings.ToLower(id)
	delete(f.tasks, id)
	f.order = slices.DeleteFunc(f.order, func(known string) bool { return known == id })
}

func (f *Fake) closeByPerson(id, status string, by cakewalk.User) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.mustTask(id)
	f.addUser(&by)
	t.close(status, &by, f.now())
}

func (f *Fake) mustTask(id string) *Task {
	t := f.tasks[strings.ToLower(id)]
	if t == nil {
		panic(fmt.Sprintf("there is no task %q", id))
	}
	return t
}

func (t *Task) close(status string, by *cakewalk.User, at time.Time) {
	t.Status, t.ExecutedBy, t.UpdatedAt = status, by, at
	if t.Request != nil {
		t.Request.Status = status
	}
}

// open tells whether anybody may still act on the task.
func (t *Task) open() bool {
	return t.Status != StatusApproved && t.Status != StatusDeclined && t.Status != StatusCancelled
}
