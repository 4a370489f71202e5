// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// executesTasks tells whether a Connector's backend carries out whole tasks: it needs to know of no entitlements.
func executesTasks(c *accessv1alpha1.Connector) bool {
	return c.Spec.Job != nil || c.Spec.Webhook != nil
}

// underWay tells whether a task was handed over before and is looked after: its attempt is on record already.
func underWay(s *accessv1alpha1.AccessTaskStatus) bool {
	return reasonOf(s) == accessv1alpha1.ReasonProvisioning && slices.ContainsFunc(s.Changes, func(c accessv1alpha1.TaskChange) bool {
		return c.Action == accessv1alpha1.ChangeAction(provisioning.ExecuteTask) && c.State == accessv1alpha1.ChangePlanned
	})
}

// wholeTask is a task as a backend gets it that carries out the whole of it.
func wholeTask(task *accessv1alpha1.AccessTask, d decision, s provisioning.Subject) provisioning.Task {
	t := provisioning.Task{
		ID:        task.Spec.TaskID,
		Namespace: task.Namespace,
		Name:      task.Name,
		UID:       string(task.UID),
		Run:       d.base.LastHandledRetry,
		Attempt:   int(valueOr(d.base.Attempts, 1)),
		Kind:      d.goal.Kind,
		Subject:   s,
		Event:     cakewalk.EncodeActionTask(eventOf(task)),
	}
	request := task.Spec.Request
	t.RequestType = request.Type
	if u := request.TargetUser; u != nil {
		t.UserEmail = u.Email
	}
	if app := request.TargetWorkApp; app != nil {
		t.WorkApp = app.Name
	}
	if level := request.PermissionLevel; level != nil {
		t.Level = level.Name
	}
	if len(d.goal.Levels) > 0 {
		t.Entitlements = d.goal.Asked()
	}
	return t
}

// eventOf is the task as the event announced it.
func eventOf(task *accessv1alpha1.AccessTask) cakewalk.ActionTask {
	event := cakewalk.ActionTask{TaskID: task.Spec.TaskID, AssignedTo: users(task.Spec.AssignedTo)}
	if r := task.Spec.Request; r != nil {
		event.Request = &cakewalk.RequestMetadata{
			Type:                  r.Type,
			RequestedBy:           user(r.RequestedBy),
			ReviewedBy:            users(r.ReviewedBy),
			TargetWorkApp:         object(r.TargetWorkApp),
			PermissionLevel:       object(r.PermissionLevel),
			TargetUser:            user(r.TargetUser),
			TriggeredByUsersGroup: object(r.TriggeredByUsersGroup),
		}
	}
	return event
}

func users(all []accessv1alpha1.User) []cakewalk.User {
	converted := make([]cakewalk.User, len(all))
	for i := range all {
		converted[i] = *user(&all[i])
	}
	return converted
}

func user(u *accessv1alpha1.User) *cakewalk.User {
	if u == nil {
		return nil
	}
	return &cakewalk.User{ID: u.ID, Email: u.Email, FullName: u.FullName}
}

func object(o *accessv1alpha1.NamedObject) *cakewalk.NamedObject {
	if o == nil {
		return nil
	}
	return &cakewalk.NamedObject{ID: o.ID, Name: o.Name}
}
