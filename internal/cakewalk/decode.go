// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	kjson "sigs.k8s.io/json"
)

// BodyError says that a body is neither an array of events nor an event, so that nothing can be read from it.
type BodyError struct {
	// Detail says why. It may hold one character of the body, and its place.
	Detail string
}

// Error implements error.
func (e *BodyError) Error() string { return e.Detail }

// TooManyEventsError says that a delivery holds more events than it may.
type TooManyEventsError struct {
	// Max is how many it may hold.
	Max int
}

// Error implements error.
func (e *TooManyEventsError) Error() string {
	return fmt.Sprintf("the delivery holds more than %d events", e.Max)
}

// Decode reads the events of a delivery: a JSON array of events (RFC 8259) or one bare event object. An empty array
// holds no events.
//
// The error is a *BodyError where the body cannot be read at all, or a *TooManyEventsError where it holds more than
// maxEvents events. What is wrong with a single event is in its Err; the others are good all the same. Member names
// are case-sensitive, and one that comes twice makes its event malformed: nobody could tell which of the two is meant.
func Decode(body []byte, maxEvents int) ([]Event, error) {
	if events, ok := decodeWhole(body, maxEvents); ok {
		return events, nil
	}
	return decodeParts(body, maxEvents)
}

// decodeParts reads a body event by event, so that what is wrong with one does not spoil the others.
func decodeParts(body []byte, maxEvents int) ([]Event, error) {
	elements, err := split(body, maxEvents)
	if err != nil {
		return nil, err
	}
	events := make([]Event, len(elements))
	for i, element := range elements {
		events[i] = decodeEvent(i, element)
	}
	return events, nil
}

// decodeWhole reads a body in which nothing is wrong but the meaning of events, in one pass. Where it returns false, what
// is wrong is left to a closer look.
func decodeWhole(body []byte, maxEvents int) ([]Event, bool) {
	if !utf8.Valid(body) {
		return nil, false
	}
	tree, fault := parseTree(body)
	if fault != nil {
		return nil, false
	}
	elements := []any{tree}
	if list, ok := tree.([]any); ok {
		elements = list
	} else if _, ok := tree.(map[string]any); !ok {
		return nil, false
	}
	if len(elements) > maxEvents {
		return nil, false
	}
	events := make([]Event, len(elements))
	for i, element := range elements {
		events[i] = readEvent(i, element)
	}
	return events, true
}

// split checks the whole body's syntax and cuts it into the texts of its events.
func split(body []byte, maxEvents int) ([]json.RawMessage, error) {
	if !utf8.Valid(body) {
		return nil, &BodyError{Detail: "the body is not UTF-8"}
	}
	var whole json.RawMessage
	if err := json.Unmarshal(body, &whole); err != nil {
		if len(bytes.TrimSpace(body)) == 0 {
			return nil, &BodyError{Detail: "the body is empty"}
		}
		return nil, &BodyError{Detail: "the body is not JSON: " + describe(err)}
	}
	whole = bytes.TrimSpace(whole)
	switch whole[0] {
	case '{':
		if maxEvents < 1 {
			return nil, &TooManyEventsError{Max: maxEvents}
		}
		return []json.RawMessage{whole}, nil
	case '[':
	default:
		return nil, &BodyError{Detail: "the body is neither an array of events nor an event"}
	}

	decoder := json.NewDecoder(bytes.NewReader(whole))
	if _, err := decoder.Token(); err != nil {
		return nil, &BodyError{Detail: "the body is not JSON: " + describe(err)}
	}
	var elements []json.RawMessage
	for decoder.More() {
		if len(elements) == maxEvents {
			return nil, &TooManyEventsError{Max: maxEvents}
		}
		var element json.RawMessage
		if err := decoder.Decode(&element); err != nil {
			return nil, &BodyError{Detail: "the body is not JSON: " + describe(err)}
		}
		elements = append(elements, element)
	}
	return elements, nil
}

func describe(err error) string {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("%v (at byte %d)", syntax, syntax.Offset)
	}
	return err.Error()
}

func decodeEvent(index int, text json.RawMessage) Event {
	if text[0] != '{' {
		return Event{Index: index, Err: &FieldError{Message: errNoObject}}
	}
	tree, fault := parseTree(text)
	if fault != nil {
		return Event{Index: index, Err: fault}
	}
	return readEvent(index, tree)
}

const errNoObject = "must be an object"

// readEvent reads an event out of its JSON value.
func readEvent(index int, tree any) Event {
	event := Event{Index: index}
	if _, ok := tree.(map[string]any); !ok {
		event.Err = &FieldError{Message: errNoObject}
		return event
	}
	r := reader{}
	root := node{value: tree}
	event.Type = r.requiredText(root.member("eventType"), r.anyText)
	if r.err == nil {
		switch event.Type {
		case EventTest:
			event.Test = true
		case EventActionTaskActionable:
			event.Task = r.actionTask(root.member("data"))
		}
	}
	if r.err != nil {
		event.Task, event.Err = nil, r.err
	}
	return event
}

// parseTree reads JSON whose syntax is known to be good, or of which it does not matter what is wrong.
func parseTree(text []byte) (any, *FieldError) {
	var tree any
	duplicates, err := kjson.UnmarshalStrict(text, &tree, kjson.DisallowDuplicateFields)
	if err != nil {
		// Where the syntax is good, what is left is a number that fits no number type.
		return nil, &FieldError{Message: "holds a number that is out of range"}
	}
	if len(duplicates) > 0 {
		return nil, duplicateError(duplicates[0])
	}
	return tree, nil
}

func duplicateError(err error) *FieldError {
	field := ""
	if at, ok := errors.AsType[kjson.FieldError](err); ok {
		field = at.FieldPath()
	}
	if len(field) > maxPath {
		field = ""
	}
	return &FieldError{Field: field, Message: "must not be there twice"}
}
