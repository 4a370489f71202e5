// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioning

import (
	"context"
	"errors"
	"slices"
)

// ExecuteTask hands a whole task to an Executor.
const ExecuteTask Action = "ExecuteTask"

// ReasonTaskFailed means that what carried out a whole task says that it failed.
const ReasonTaskFailed = "TaskFailed"

// Task is one approved change, as an Executor gets it.
type Task struct {
	// ID is the taskId of Cakewalk. It is the key by which a repetition is known.
	ID string
	// Namespace is the tenant that the task belongs to.
	Namespace string
	// Name and UID are those of the object that stands for the task.
	Name, UID string
	// Run is empty, and changes each time a person starts the task over.
	Run string
	// Attempt counts the attempts of a run, from 1. A task that is waited for stays in its attempt.
	Attempt int
	// Kind is what is to be brought about.
	Kind Kind
	// Subject is whose access changes. Its ID is empty for kinds that concern no subject.
	Subject Subject
	// RequestType, UserEmail and WorkApp are the words of the event for who asked for what, for those who need no more.
	RequestType, UserEmail, WorkApp string
	// Level names the permission level that is asked for; empty where none is.
	Level string
	// Entitlements are what the Connector maps the level to; empty where it maps none.
	Entitlements []string
	// Event is the event that announced the task, in Cakewalk's own words, as JSON.
	Event []byte
}

// An Executor carries out whole tasks in a target system that cannot be observed. Errors are the words of this package;
// any other error counts as retryable.
type Executor interface {
	// Check tells whether tasks can be handed over. It hands over none.
	Check(ctx context.Context) error

	// Execute carries out a task, or looks after one that is under way: *PendingError. The task's ID makes a repetition
	// harmless. No error means that the target system says that it is done, and perhaps more, in one line, for people.
	Execute(ctx context.Context, task Task) (string, error)
}

// Execute hands a task to the engine's Executor. What it answers is all that is known, so that success is Unverifiable.
// Intend is told before the task is handed over. The errors are Provision's.
func (e *Engine) Execute(ctx context.Context, task Task, intend Intend) (Outcome, error) {
	done := Outcome{InEffect: func(Change) bool { return false }, Seen: func(Change) string { return string(NotVisible) }}
	plan := wholeTask()
	if err := intend(ctx, Intent{Changes: plan, InEffect: done.InEffect, Seen: done.Seen}); err != nil {
		return done, err
	}
	if err := e.mayChange(ctx); err != nil {
		return done, err
	}
	done.Results = planned(plan)
	sending, ids := collectRequestIDs(ctx)
	err := e.call(sending, string(ExecuteTask), func(ctx context.Context) (err error) {
		done.Message, err = e.Executor.Execute(ctx, task)
		return err
	})
	done.Results[0].Before, done.Results[0].After, done.Results[0].RequestIDs = string(NotVisible), string(NotVisible), ids()
	if err == nil {
		done.Results[0].State = Unverifiable
	}
	return done, err
}

// wholeTask is the plan of every task that an Executor carries out.
func wholeTask() []Change { return []Change{{Action: ExecuteTask}} }

// check is Check of whichever the engine has.
func (e *Engine) check(ctx context.Context) error {
	switch {
	case e.Executor != nil:
		return e.Executor.Check(ctx)
	case e.Backend != nil:
		return e.Backend.Check(ctx)
	default:
		return Permanent(ReasonNotSupported, errors.New("no backend"))
	}
}

// Asked returns the entitlements that a goal's level is mapped to, or all of them where it names none.
func (g Goal) Asked() []string {
	if g.Level == NoLevel {
		return g.mapped()
	}
	return slices.Clone(g.Levels[g.Level])
}
