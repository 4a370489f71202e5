// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// ForTask is a line about a task, with who asked for what and who approved it.
func ForTask(event Event, task *accessv1alpha1.AccessTask) Line {
	l := Line{Event: event, Namespace: task.Namespace, Task: task.Name}
	if ref := task.Spec.ReceiverRef; ref != nil {
		l.Receiver = ref.Name
	}
	r := task.Spec.Request
	if r == nil {
		return l
	}
	l.RequestType = r.Type
	l.RequestedBy, l.TargetUser = person(r.RequestedBy), person(r.TargetUser)
	for i := range r.ReviewedBy {
		l.ReviewedBy = append(l.ReviewedBy, *person(&r.ReviewedBy[i]))
	}
	l.WorkApp, l.PermissionLevel = named(r.TargetWorkApp), named(r.PermissionLevel)
	return l
}

func person(u *accessv1alpha1.User) *Person {
	if u == nil {
		return nil
	}
	return &Person{ID: u.ID, Email: u.Email}
}

func named(o *accessv1alpha1.NamedObject) *Named {
	if o == nil {
		return nil
	}
	return &Named{ID: o.ID, Name: o.Name}
}
