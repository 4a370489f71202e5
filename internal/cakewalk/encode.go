// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk

import (
	"encoding/json"
)

// The wire types repeat the members of Cakewalk's own events; what an event did not hold is null, as there.
type (
	wireEvent struct {
		EventType string   `json:"eventType"`
		Data      wireTask `json:"data"`
	}
	wireTask struct {
		TaskID          string       `json:"taskId"`
		AssignedTo      []wireUser   `json:"assignedTo"`
		RequestMetadata *wireRequest `json:"requestMetadata"`
	}
	wireRequest struct {
		RequestType           string      `json:"requestType"`
		RequestedBy           *wireUser   `json:"requestedBy"`
		ReviewedBy            []wireUser  `json:"reviewedBy"`
		TargetWorkApp         *wireObject `json:"targetWorkApp"`
		PermissionLevel       *wireObject `json:"permissionLevel"`
		TargetUser            *wireUser   `json:"targetUser"`
		TriggeredByUsersGroup *wireObject `json:"triggeredByUsersGroup"`
	}
	wireUser struct {
		ID       string `json:"id,omitempty"`
		Email    string `json:"email,omitempty"`
		FullName string `json:"fullName,omitempty"`
	}
	wireObject struct {
		ID   string `json:"id,omitempty"`
		Name string `json:"name,omitempty"`
	}
)

// EncodeActionTask returns an event of the type EventActionTaskActionable, as JSON in Cakewalk's own words, so that what
// understands Cakewalk's webhooks understands it. Decode reads it back.
func EncodeActionTask(task ActionTask) []byte {
	event := wireEvent{EventType: EventActionTaskActionable, Data: wireTask{TaskID: task.TaskID, AssignedTo: wireUsers(task.AssignedTo)}}
	if r := task.Request; r != nil {
		event.Data.RequestMetadata = &wireRequest{
			RequestType:           r.Type,
			RequestedBy:           (*wireUser)(r.RequestedBy),
			ReviewedBy:            wireUsers(r.ReviewedBy),
			TargetWorkApp:         (*wireObject)(r.TargetWorkApp),
			PermissionLevel:       (*wireObject)(r.PermissionLevel),
			TargetUser:            (*wireUser)(r.TargetUser),
			TriggeredByUsersGroup: (*wireObject)(r.TriggeredByUsersGroup),
		}
	}
	text, err := json.Marshal(event)
	if err != nil {
		// Strings and pointers to structs of strings always marshal.
		panic(err)
	}
	return text
}

func wireUsers(users []User) []wireUser {
	all := make([]wireUser, len(users))
	for i, u := range users {
		all[i] = wireUser(u)
	}
	return all
}
