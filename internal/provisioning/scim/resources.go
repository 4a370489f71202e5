// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package scim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// user is what is read of a User (RFC 7643 section 4.1).
type user struct {
	ID       string
	UserName string
	Active   bool
	// Groups are the ids of the user's groups, as far as the server shows them.
	Groups []string
}

// group is what is read of a Group (RFC 7643 section 4.2).
type group struct {
	ID          string
	DisplayName string
	// Members are the ids of the members, each once.
	Members []string
	// MembersShown tells whether the attribute was there.
	MembersShown bool
}

// listResponse is RFC 7644 section 3.4.2.
type listResponse struct {
	TotalResults *int64            `json:"totalResults"`
	Resources    []json.RawMessage `json:"Resources"`
}

// scimError is RFC 7644 section 3.12.
type scimError struct {
	ScimType string `json:"scimType"`
	Detail   string `json:"detail"`
}

func parseList(text []byte) (*listResponse, error) {
	var l listResponse
	if err := object(text, &l); err != nil {
		return nil, err
	}
	if l.TotalResults == nil && l.Resources == nil {
		return nil, errors.New("not a ListResponse: neither totalResults nor Resources")
	}
	return &l, nil
}

func parseUser(text []byte) (*user, error) {
	var raw struct {
		ID       string          `json:"id"`
		UserName string          `json:"userName"`
		Active   json.RawMessage `json:"active"`
		Groups   json.RawMessage `json:"groups"`
	}
	if err := object(text, &raw); err != nil {
		return nil, err
	}
	if raw.ID == "" {
		return nil, errors.New("a User without an id")
	}
	u := &user{ID: raw.ID, UserName: raw.UserName}
	var err error
	if u.Active, err = active(raw.Active); err != nil {
		return nil, err
	}
	u.Groups, err = values(raw.Groups)
	return u, err
}

func parseGroup(text []byte) (*group, error) {
	var raw struct {
		ID          string          `json:"id"`
		DisplayName string          `json:"displayName"`
		Members     json.RawMessage `json:"members"`
	}
	if err := object(text, &raw); err != nil {
		return nil, err
	}
	if raw.ID == "" {
		return nil, errors.New("a Group without an id")
	}
	members, err := values(raw.Members)
	return &group{ID: raw.ID, DisplayName: raw.DisplayName, Members: members, MembersShown: len(raw.Members) > 0}, err
}

// object reads a JSON object, and nothing else.
func object(text []byte, into any) error {
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return errors.New("not a JSON object")
	}
	return json.Unmarshal(text, into)
}

// active reads the attribute. Left out it is true; some servers store strings that other clients sent.
func active(text json.RawMessage) (bool, error) {
	switch strings.ToLower(strings.Trim(string(text), `"`)) {
	case "", "null", "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, errors.New("active is neither true nor false")
	}
}

// values reads the `value`s of a multi-valued attribute, each once. A single value without an array is one, too.
func values(text json.RawMessage) ([]string, error) {
	type element struct {
		Value string `json:"value"`
	}
	var all []element
	if t := bytes.TrimSpace(text); bytes.HasPrefix(t, []byte("{")) {
		all = make([]element, 1)
		if err := json.Unmarshal(t, &all[0]); err != nil {
			return nil, err
		}
	} else if len(t) > 0 {
		if err := json.Unmarshal(t, &all); err != nil {
			return nil, err
		}
	}
	seen := make(map[string]bool, len(all))
	var ids []string
	for _, e := range all {
		if e.Value == "" {
			return nil, fmt.Errorf("a member or group without a value")
		}
		if !seen[e.Value] {
			seen[e.Value] = true
			ids = append(ids, e.Value)
		}
	}
	return ids, nil
}

// eq is the filter `attribute eq "value"`. The value is a JSON string (RFC 7644 section 3.4.2.2), so that nothing in it
// can end it.
func eq(attribute, value string) string { return attribute + " eq " + quote(value) }

func quote(value string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	// `<`, `>` and `&` stay: servers' filter parsers need not know \u escapes.
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return `""`
	}
	return strings.TrimSuffix(b.String(), "\n")
}
