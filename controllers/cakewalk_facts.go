// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"sync"

	"getcakewalk.io/access-operator/internal/cakewalk"
)

// unreadableError says which fact of a task Cakewalk does not tell. Without all of them an AccessTask is not made.
type unreadableError struct{ detail string }

// Error implements error.
func (e *unreadableError) Error() string { return e.detail }

// cakewalkFacts reads what tasks are about, and keeps what it read. It may be used by several goroutines.
type cakewalkFacts struct {
	mu     sync.Mutex
	users  map[string]read[*cakewalk.User]
	apps   map[string]read[*cakewalk.NamedObject]
	levels map[string]read[[]cakewalk.NamedObject]
}

// read is what was read, or why it could not be.
type read[T any] struct {
	value T
	err   error
}

func newCakewalkFacts() *cakewalkFacts {
	return &cakewalkFacts{
		users: map[string]read[*cakewalk.User]{}, apps: map[string]read[*cakewalk.NamedObject]{},
		levels: map[string]read[[]cakewalk.NamedObject]{},
	}
}

// announcement is what the webhook of a task would have announced, but for the reviewers and the group, which Cakewalk's
// API does not tell. The error is an *unreadableError where Cakewalk does not tell a fact, any other where it could not
// be asked.
func (f *cakewalkFacts) announcement(ctx context.Context, api *cakewalk.Client, task *cakewalk.Task) (*cakewalk.ActionTask, error) {
	r := task.Request
	if r == nil || r.Type == "" {
		return nil, &unreadableError{"it has no request of a known type behind it"}
	}
	request, err := f.target(ctx, api, r)
	if err != nil {
		return nil, err
	}
	if request.RequestedBy, err = f.user(ctx, api, "requester", r.RequestedBy); err != nil {
		return nil, err
	}
	announced := &cakewalk.ActionTask{TaskID: task.ID, Request: request}
	if task.AssignedUser != nil {
		announced.AssignedTo = []cakewalk.User{*task.AssignedUser}
	}
	return announced, nil
}

// target is whose access to what a request is about. The errors are those of announcement.
func (f *cakewalkFacts) target(ctx context.Context, api *cakewalk.Client, r *cakewalk.TaskRequest) (*cakewalk.RequestMetadata, error) {
	request := &cakewalk.RequestMetadata{Type: r.Type}
	var err error
	if request.TargetUser, err = f.user(ctx, api, "target user", r.TargetUserID); err != nil {
		return nil, err
	}
	if request.TargetWorkApp, err = f.app(ctx, api, r.WorkAppID); err != nil {
		return nil, err
	}
	request.PermissionLevel, err = f.level(ctx, api, r.WorkAppID, r.PermissionLevelID)
	return request, err
}

// user reads a user; nil for an empty id.
func (f *cakewalkFacts) user(ctx context.Context, api *cakewalk.Client, what, id string) (*cakewalk.User, error) {
	if id == "" {
		return nil, nil
	}
	user, err := once(&f.mu, f.users, id, func() (*cakewalk.User, error) { return api.User(ctx, id) })
	switch {
	case err != nil:
		return nil, unreadable(err, what, id)
	case user == nil || user.Email == "":
		return nil, &unreadableError{fmt.Sprintf("its %s %s has no email address", what, id)}
	}
	return user, nil
}

// app reads a work app; nil for an empty id.
func (f *cakewalkFacts) app(ctx context.Context, api *cakewalk.Client, id string) (*cakewalk.NamedObject, error) {
	if id == "" {
		return nil, nil
	}
	app, err := once(&f.mu, f.apps, id, func() (*cakewalk.NamedObject, error) { return api.WorkApp(ctx, id) })
	switch {
	case err != nil:
		return nil, unreadable(err, "work app", id)
	case app == nil || app.Name == "":
		return nil, &unreadableError{fmt.Sprintf("its work app %s has no name", id)}
	}
	return app, nil
}

// level reads a permission level of a work app; nil for an empty id.
func (f *cakewalkFacts) level(ctx context.Context, api *cakewalk.Client, app, id string) (*cakewalk.NamedObject, error) {
	switch {
	case id == "":
		return nil, nil
	case app == "":
		return nil, &unreadableError{"it has a permission level of no work app"}
	}
	// A level may have been made since the others were read.
	for range 2 {
		levels, err := once(&f.mu, f.levels, app, func() ([]cakewalk.NamedObject, error) { return api.PermissionLevels(ctx, app) })
		if err != nil {
			return nil, unreadable(err, "work app", app)
		}
		for _, level := range levels {
			if level.ID == id {
				return &level, nil
			}
		}
		f.mu.Lock()
		delete(f.levels, app)
		f.mu.Unlock()
	}
	return nil, &unreadableError{fmt.Sprintf("its permission level %s is none of its work app's", id)}
}

// once reads something that was not read yet. That Cakewalk could not be asked is not kept.
func once[T any](mu *sync.Mutex, kept map[string]read[T], id string, ask func() (T, error)) (T, error) {
	mu.Lock()
	r, ok := kept[id]
	mu.Unlock()
	if ok {
		return r.value, r.err
	}
	value, err := ask()
	if err == nil || refused(err) {
		mu.Lock()
		defer mu.Unlock()
		kept[id] = read[T]{value, err}
	}
	return value, err
}

// refused says whether Cakewalk was asked and does not tell.
func refused(err error) bool {
	switch cakewalk.FaultOf(err) {
	case cakewalk.FaultNotFound, cakewalk.FaultForbidden, cakewalk.FaultRefused:
		return true
	default:
		return false
	}
}

// unreadable is the error of a fact that could not be read.
func unreadable(err error, what, id string) error {
	if refused(err) {
		return &unreadableError{fmt.Sprintf("its %s %s cannot be read: %v", what, id, err)}
	}
	return err
}
