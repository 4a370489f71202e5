// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

// taskFor is the AccessTask that an event announces to a receiver.
func taskFor(event *cakewalk.ActionTask, receiver *accessv1alpha1.WebhookReceiver, received time.Time) *accessv1alpha1.AccessTask {
	task := &accessv1alpha1.AccessTask{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: receiver.Namespace,
			Name:      event.TaskID,
			Labels:    map[string]string{accessv1alpha1.LabelReceiver: labelValue(receiver.Name)},
		},
		Spec: accessv1alpha1.AccessTaskSpec{
			TaskID:       event.TaskID,
			ReceivedTime: &metav1.MicroTime{Time: received},
			ReceiverRef:  &accessv1alpha1.WebhookReceiverReference{Name: receiver.Name},
			AssignedTo:   usersFor(event.AssignedTo),
			Request:      requestFor(event.Request),
		},
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
	return task
}

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

// arrivals gives the events of this process strictly increasing times of arrival, in microseconds, so that tasks are
// ordered even where the clock stands still or steps back.
type arrivals struct {
	now  func() time.Time
	mu   sync.Mutex
	last time.Time
}

// reserve returns the time of the first of n events that arrived together; each of the others is a microsecond later.
func (a *arrivals) reserve(n int) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	first := a.now().UTC().Truncate(time.Microsecond)
	if !first.After(a.last) {
		first = a.last.Add(time.Microsecond)
	}
	a.last = first.Add(time.Duration(max(n, 1)-1) * time.Microsecond)
	return first
}
