// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what is accepted, in characters (Unicode code points) and entries. They equal those of the AccessTask's
// schema, but for maxPath, which bounds what an error repeats of an event's member names.
const (
	maxID    = 128
	maxType  = 128
	maxEmail = 1024
	maxName  = 16384
	maxUsers = 256
	maxPath  = 256
)

// node is a value in an event and the path to it.
type node struct {
	path  string
	value any
}

// member returns the member of an object. A member that is missing, or of something that is no object, is null.
func (n node) member(name string) node {
	object, _ := n.value.(map[string]any)
	path := name
	if n.path != "" {
		path = n.path + "." + name
	}
	return node{path: path, value: object[name]}
}

// reader reads nodes and keeps the first thing that is wrong. After that it returns zero values.
type reader struct{ err *FieldError }

func (r *reader) fail(n node, message string) {
	if r.err == nil {
		r.err = &FieldError{Field: n.path, Message: message}
	}
}

// object says whether the node is an object. Null is absent and no fault.
func (r *reader) object(n node) bool {
	switch n.value.(type) {
	case map[string]any:
		return true
	case nil:
		return false
	default:
		r.fail(n, "must be an object")
		return false
	}
}

func (r *reader) actionTask(n node) *ActionTask {
	if !r.object(n) {
		r.fail(n, "is required")
		return nil
	}
	return &ActionTask{
		TaskID:     r.requiredText(n.member("taskId"), r.uuid),
		AssignedTo: r.users(n.member("assignedTo")),
		Request:    r.request(n.member("requestMetadata")),
	}
}

func (r *reader) request(n node) *RequestMetadata {
	if !r.object(n) {
		return nil
	}
	return &RequestMetadata{
		Type:                  r.requiredText(n.member("requestType"), r.requestType),
		RequestedBy:           r.user(n.member("requestedBy")),
		ReviewedBy:            r.users(n.member("reviewedBy")),
		TargetWorkApp:         r.named(n.member("targetWorkApp")),
		PermissionLevel:       r.named(n.member("permissionLevel")),
		TargetUser:            r.user(n.member("targetUser")),
		TriggeredByUsersGroup: r.named(n.member("triggeredByUsersGroup")),
	}
}

func (r *reader) users(n node) []User {
	return r.usersBy(n, r.user)
}

func (r *reader) usersBy(n node, read func(node) *User) []User {
	var users []User
	each(r, n, maxUsers, func(item node) {
		if user := read(item); user != nil {
			users = append(users, *user)
		}
	})
	return users
}

// each visits the entries of an array. Null is an empty one.
func each(r *reader, n node, limit int, visit func(node)) {
	if n.value == nil {
		return
	}
	list, ok := n.value.([]any)
	if !ok {
		r.fail(n, "must be an array")
		return
	}
	if len(list) > limit {
		r.fail(n, fmt.Sprintf("is too long, must have at most %d entries", limit))
		return
	}
	for i, value := range list {
		visit(node{path: fmt.Sprintf("%s[%d]", n.path, i), value: value})
	}
}

func (r *reader) user(n node) *User {
	if !r.object(n) {
		return nil
	}
	user := User{
		ID:       r.id(n.member("id")),
		Email:    r.plain(n.member("email"), maxEmail),
		FullName: r.text(n.member("fullName"), maxName),
	}
	if user == (User{}) {
		return nil
	}
	return &user
}

func (r *reader) named(n node) *NamedObject {
	if !r.object(n) {
		return nil
	}
	object := NamedObject{ID: r.id(n.member("id")), Name: r.text(n.member("name"), maxName)}
	if object == (NamedObject{}) {
		return nil
	}
	return &object
}

func (r *reader) requiredText(n node, read func(node) string) string {
	text := read(n)
	if text == "" {
		r.fail(n, "is required")
	}
	return text
}

func (r *reader) anyText(n node) string {
	if n.value == nil {
		return ""
	}
	text, ok := n.value.(string)
	if !ok {
		r.fail(n, "must be a string")
	}
	return text
}

// text reads a text of at most limit characters, whatever they are.
func (r *reader) text(n node, limit int) string {
	text := r.anyText(n)
	if utf8.RuneCountInString(text) > limit {
		r.fail(n, fmt.Sprintf("is too long, must be at most %d characters", limit))
		return ""
	}
	return text
}

// plain reads a text that identifies something. A broken escape in JSON (a lone surrogate) reads as U+FFFD, by which two
// different identities would become equal; control characters are nobody's name.
func (r *reader) plain(n node, limit int) string {
	text := r.text(n, limit)
	if strings.ContainsFunc(text, func(c rune) bool { return unicode.IsControl(c) || c == utf8.RuneError }) {
		r.fail(n, "must not hold control characters or U+FFFD")
		return ""
	}
	return text
}

func (r *reader) requestType(n node) string { return r.plain(n, maxType) }

func (r *reader) id(n node) string {
	id := r.plain(n, maxID)
	if isUUID(id) {
		return strings.ToLower(id)
	}
	return id
}

func (r *reader) uuid(n node) string {
	id := r.anyText(n)
	if id != "" && !isUUID(id) {
		r.fail(n, "must be a UUID")
		return ""
	}
	return strings.ToLower(id)
}

// isUUID says whether a text is a UUID as RFC 9562 writes it, in either case.
func isUUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i, c := range []byte(text) {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !isHex(c) {
				return false
			}
		}
	}
	return true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
