// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk

import (
	"net/url"
	"time"
	"unicode/utf8"
)

// maxPurpose is where the purpose of a request is cut, in characters. It equals that of the AccessTask's status: what
// somebody wrote at length must not keep the task from being done.
const maxPurpose = 4096

// task reads a task of the Open API. That its id is there is the caller's concern.
func (r *reader) task(n node) *Task {
	if !r.object(n) {
		return nil
	}
	return &Task{
		ID:               r.uuid(n.member("id")),
		Type:             r.plain(n.member("type"), maxType),
		Status:           r.plain(n.member("status"), maxType),
		CreatedAt:        r.time(n.member("createdAt")),
		Autoprovisioning: r.boolean(n.member("isAutoprovisioning")),
		ActionStep:       r.boolean(n.member("isActionStep")),
		AssignedUser:     r.apiUser(n.member("assignedUser")),
		Claimers:         r.usersBy(n.member("claimers"), r.apiUser),
		ExecutedBy:       r.apiUser(n.member("executedByUser")),
		Request:          r.taskRequest(n.member("request")),
	}
}

func (r *reader) taskRequest(n node) *TaskRequest {
	if !r.object(n) {
		return nil
	}
	return &TaskRequest{
		ID:                r.id(n.member("id")),
		Type:              r.plain(n.member("requestType"), maxType),
		Status:            r.plain(n.member("requestStatus"), maxType),
		RequestedBy:       r.id(n.member("requestedByUserId")),
		CancelledBy:       r.id(n.member("cancelledByUserId")),
		WorkAppID:         r.id(n.member("workAppId")),
		PermissionLevelID: r.id(n.member("permissionLevelId")),
		TargetUserID:      r.id(n.member("targetUserId")),
		Purpose:           cut(r.anyText(n.member("requestPurpose")), maxPurpose),
		CreatedAt:         r.time(n.member("createdAt")),
	}
}

// apiUser reads a user as the Open API shows one, which is not as a webhook does.
func (r *reader) apiUser(n node) *User {
	if !r.object(n) {
		return nil
	}
	user := User{
		ID:       r.id(n.member("id")),
		Email:    r.plain(n.member("email"), maxEmail),
		FullName: r.text(n.member("name"), maxName),
	}
	if user == (User{}) {
		return nil
	}
	return &user
}

// requiredID returns the id of an object, a UUID in lower case.
func (r *reader) requiredID(n node) string {
	if !r.object(n) {
		r.fail(n, "must be an object")
		return ""
	}
	return r.requiredText(n.member("id"), r.uuid)
}

func (r *reader) boolean(n node) *bool {
	switch value := n.value.(type) {
	case nil:
		return nil
	case bool:
		return &value
	default:
		r.fail(n, "must be true or false")
		return nil
	}
}

// time reads a date and time (RFC 3339). One without an offset is taken as UTC. Null is the zero time.
func (r *reader) time(n node) time.Time {
	text := r.anyText(n)
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		at, err = time.Parse("2006-01-02T15:04:05", text)
	}
	if err != nil {
		r.fail(n, "must be a date and time")
		return time.Time{}
	}
	return at.UTC()
}

// cursor returns the parameter cursor of the link to the next page; empty at the end of the list.
func (r *reader) cursor(n node) string {
	link := r.anyText(n)
	if link == "" {
		return ""
	}
	address, err := url.Parse(link)
	if err != nil {
		r.fail(n, "must be a URL")
		return ""
	}
	cursor := address.Query().Get("cursor")
	if cursor == "" || len(cursor) > maxCursor {
		r.fail(n, "must have a parameter cursor of a reasonable length")
		return ""
	}
	return cursor
}

// cut returns a text's first characters.
func cut(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit])
}
