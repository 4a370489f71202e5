// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package accesstask makes AccessTasks of what Cakewalk announces, for the receiver and for the backfill alike.
package accesstask

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

// New is the AccessTask of a change that was approved in Cakewalk and reached a receiver at a time. It has the receiver's
// label LabelShard, and those of shardLabels, by which installations are split: it is seen where its receiver is.
func New(event *cakewalk.ActionTask, receiver *accessv1alpha1.WebhookReceiver, received time.Time, shardLabels []string) *accessv1alpha1.AccessTask {
	task := &accessv1alpha1.AccessTask{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: receiver.Namespace,
			Name:      event.TaskID,
			Labels:    map[string]string{accessv1alpha1.LabelReceiver: ReceiverLabel(receiver.Name)},
			// As spec.receivedTime is written.
			Annotations: map[string]string{accessv1alpha1.AnnotationReceivedTime: received.UTC().Format(metav1.RFC3339Micro)},
		},
		Spec: accessv1alpha1.AccessTaskSpec{
			TaskID:       event.TaskID,
			ReceivedTime: &metav1.MicroTime{Time: received},
			ReceiverRef:  &accessv1alpha1.WebhookReceiverReference{Name: receiver.Name},
			AssignedTo:   usersFor(event.AssignedTo),
			Request:      requestFor(event.Request),

			TTLSecondsAfterFinished: receiver.Spec.TaskTTLSecondsAfterFinished,
		},
	}
	if api := receiver.Spec.CakewalkAPI; api != nil && api.Preflight != accessv1alpha1.PreflightDisabled {
		task.Annotations[accessv1alpha1.AnnotationPreflight] = string(api.Preflight)
	}
	if request := task.Spec.Request; request != nil {
		setLabel(task, accessv1alpha1.LabelRequestType, request.Type)
		if request.TargetWorkApp != nil {
			setLabel(task, accessv1alpha1.LabelWorkAppID, request.TargetWorkApp.ID)
		}
		if request.TargetUser != nil {
			setLabel(task, accessv1alpha1.LabelTargetUserID, request.TargetUser.ID)
		}
	}
	takeLabel(task, receiver, accessv1alpha1.LabelShard)
	for _, label := range shardLabels {
		takeLabel(task, receiver, label)
	}
	return task
}

// takeLabel gives a task a label of its receiver, but for one that the task has of its own.
func takeLabel(task *accessv1alpha1.AccessTask, receiver *accessv1alpha1.WebhookReceiver, label string) {
	_, own := task.Labels[label]
	if value, ok := receiver.Labels[label]; ok && !own {
		task.Labels[label] = value
	}
}

// ReceiverLabel is the value of LabelReceiver on the tasks of a WebhookReceiver.
func ReceiverLabel(receiver string) string { return labelValue(receiver) }

func requestFor(request *cakewalk.RequestMetadata) *accessv1alpha1.AccessRequest {
	if request == nil {
		return nil
	}
	return &accessv1alpha1.AccessRequest{
		Type:                  request.Type,
		RequestedBy:           userFor(request.RequestedBy),
		ReviewedBy:            usersFor(request.ReviewedBy),
		TargetWorkApp:         namedFor(request.TargetWorkApp),
		PermissionLevel:       namedFor(request.PermissionLevel),
		TargetUser:            userFor(request.TargetUser),
		TriggeredByUsersGroup: namedFor(request.TriggeredByUsersGroup),
	}
}

func userFor(user *cakewalk.User) *accessv1alpha1.User {
	if user == nil {
		return nil
	}
	return &accessv1alpha1.User{ID: user.ID, Email: user.Email, FullName: user.FullName}
}

func usersFor(users []cakewalk.User) []accessv1alpha1.User {
	if len(users) == 0 {
		return nil
	}
	all := make([]accessv1alpha1.User, 0, len(users))
	for _, user := range users {
		all = append(all, *userFor(&user))
	}
	return all
}

func namedFor(object *cakewalk.NamedObject) *accessv1alpha1.NamedObject {
	if object == nil {
		return nil
	}
	return &accessv1alpha1.NamedObject{ID: object.ID, Name: object.Name}
}

func setLabel(task *accessv1alpha1.AccessTask, label, value string) {
	if value != "" {
		task.Labels[label] = labelValue(value)
	}
}

// labelValue is the value itself where it is a valid label value, else a hash of it of the same length for all.
func labelValue(value string) string {
	if len(validation.IsValidLabelValue(value)) == 0 {
		return value
	}
	digest := sha256.Sum256([]byte(value))
	return "sha256-" + hex.EncodeToString(digest[:])[:validation.LabelValueMaxLength-len("sha256-")]
}

// SameChange says whether two requests are for the same change: in type, application, level and person, by their ids.
func SameChange(a, b *accessv1alpha1.AccessRequest) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Type == b.Type && objectID(a.TargetWorkApp) == objectID(b.TargetWorkApp) &&
		objectID(a.PermissionLevel) == objectID(b.PermissionLevel) && userID(a.TargetUser) == userID(b.TargetUser)
}

func objectID(o *accessv1alpha1.NamedObject) string {
	if o == nil {
		return ""
	}
	return o.ID
}

func userID(u *accessv1alpha1.User) string {
	if u == nil {
		return ""
	}
	return u.ID
}
