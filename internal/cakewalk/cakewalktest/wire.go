// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalktest

import (
	"time"

	"getcakewalk.io/access-operator/internal/cakewalk"
)

// The wire types repeat the members that Cakewalk documents for the answers of the Open API.
type (
	wireTask struct {
		ID                  string       `json:"id"`
		Type                string       `json:"type"`
		CreatedAt           time.Time    `json:"createdAt"`
		Status              string       `json:"status"`
		LastUpdatedAt       time.Time    `json:"lastUpdatedAt"`
		IsAutoprovisioning  bool         `json:"isAutoprovisioning"`
		IsActionStep        bool         `json:"isActionStep"`
		AssignedUser        *wireUser    `json:"assignedUser"`
		Claimers            []wireUser   `json:"claimers"`
		ExecutedByUser      *wireUser    `json:"executedByUser"`
		Request             *wireRequest `json:"request"`
		SnoozedTill         *time.Time   `json:"snoozedTill"`
		OffboardingMetadata any          `json:"offboardingMetadata"`
	}
	wireRequest struct {
		ID                string    `json:"id"`
		RequestType       string    `json:"requestType"`
		RequestStatus     string    `json:"requestStatus"`
		RequestedByUserID *string   `json:"requestedByUserId"`
		CancelledByUserID *string   `json:"cancelledByUserId"`
		WorkAppID         *string   `json:"workAppId"`
		PermissionLevelID *string   `json:"permissionLevelId"`
		TargetUserID      *string   `json:"targetUserId"`
		RequestPurpose    *string   `json:"requestPurpose"`
		CreatedAt         time.Time `json:"createdAt"`
		UpdatedAt         time.Time `json:"updatedAt"`
	}
	wireUser struct {
		ID         string `json:"id"`
		Name       string `json:"name"`
		Email      string `json:"email"`
		StatusID   int    `json:"statusId"`
		StatusName string `json:"statusName"`
	}
	wireUserDetailed struct {
		wireUser
		RoleName  string  `json:"roleName"`
		ManagerID *string `json:"managerId"`
	}
	wireWorkApp struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	wireLevel struct {
		ID           string `json:"id"`
		Name         string `json:"name"`
		Description  string `json:"description"`
		IsDefault    bool   `json:"isDefault"`
		IsPrivileged bool   `json:"isPrivileged"`
	}
	wireLinks struct {
		Self string  `json:"self"`
		Next *string `json:"next"`
	}
	// wireProblem is RFC 9457's.
	wireProblem struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`
	}
)

func toUser(u cakewalk.User) wireUser {
	return wireUser{ID: u.ID, Name: u.FullName, Email: u.Email, StatusID: 1, StatusName: "Active"}
}

func toTask(t *Task) wireTask {
	wire := wireTask{
		ID: t.ID, Type: t.Type, CreatedAt: t.CreatedAt.UTC(), Status: t.Status, LastUpdatedAt: t.UpdatedAt.UTC(),
		IsAutoprovisioning: t.Autoprovisioning, IsActionStep: !t.Review, Claimers: []wireUser{},
	}
	for i, u := range t.AssignedTo {
		user := toUser(u)
		if i == 0 {
			wire.AssignedUser = &user
		}
		wire.Claimers = append(wire.Claimers, user)
	}
	if t.ExecutedBy != nil {
		wire.ExecutedByUser = new(toUser(*t.ExecutedBy))
	}
	if r := t.Request; r != nil {
		wire.Request = &wireRequest{
			ID: r.ID, RequestType: r.Type, RequestStatus: r.Status, CancelledByUserID: orNull(r.CancelledBy), RequestPurpose: orNull(r.Purpose),
			RequestedByUserID: userID(r.RequestedBy), TargetUserID: userID(r.TargetUser),
			WorkAppID: objectID(r.WorkApp), PermissionLevelID: objectID(r.Level),
			CreatedAt: t.CreatedAt.UTC(), UpdatedAt: t.UpdatedAt.UTC(),
		}
	}
	return wire
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func userID(u *cakewalk.User) *string {
	if u == nil {
		return nil
	}
	return orNull(u.ID)
}

func objectID(o *cakewalk.NamedObject) *string {
	if o == nil {
		return nil
	}
	return orNull(o.ID)
}

// toEvent is what a webhook says of a task.
func toEvent(t *Task) cakewalk.ActionTask {
	event := cakewalk.ActionTask{TaskID: t.ID, AssignedTo: t.AssignedTo}
	if r := t.Request; r != nil {
		event.Request = &cakewalk.RequestMetadata{
			Type: r.Type, RequestedBy: r.RequestedBy, ReviewedBy: r.ReviewedBy, TargetWorkApp: r.WorkApp,
			PermissionLevel: r.Level, TargetUser: r.TargetUser, TriggeredByUsersGroup: r.Group,
		}
	}
	return event
}

// fromEvent is the task that a webhook's event announces.
func fromEvent(event *cakewalk.ActionTask) Task {
	task := Task{ID: event.TaskID, AssignedTo: event.AssignedTo}
	if m := event.Request; m != nil {
		task.Request = &Request{
			Type: m.Type, RequestedBy: m.RequestedBy, ReviewedBy: m.ReviewedBy, WorkApp: m.TargetWorkApp,
			Level: m.PermissionLevel, TargetUser: m.TargetUser, Group: m.TriggeredByUsersGroup,
		}
	}
	return task
}
