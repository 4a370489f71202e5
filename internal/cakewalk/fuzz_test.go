// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"getcakewalk.io/access-operator/internal/cakewalk"
)

// always answers every request alike.
type always struct {
	status int
	body   []byte
	asked  int
}

func (a *always) RoundTrip(req *http.Request) (*http.Response, error) {
	a.asked++
	return &http.Response{StatusCode: a.status, Header: http.Header{}, Request: req, Body: io.NopCloser(bytes.NewReader(a.body))}, nil
}

// FuzzAnswers reads a task and a list of tasks out of an answer of the Open API.
func FuzzAnswers(f *testing.F) {
	f.Add(200, []byte(`{"data":{"id":"`+taskA+`","status":"pending","isActionStep":true,"claimers":[{"id":"x","email":"a@example.com"}],"request":{"requestType":"GrantAccessRequest"}}}`))
	f.Add(200, []byte(`{"data":[{"id":"`+taskA+`"}],"links":{"next":"https://open-api.getcakewalk.io/api/v1/Tasks?cursor=x"}}`))
	f.Add(404, []byte(`{"type":"about:blank","title":"Nope"}`))
	f.Add(500, []byte(`<html>`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 200 || status > 599 {
			return
		}
		server := &always{status: status, body: body}
		c, err := cakewalk.NewClient(cakewalk.ClientOptions{BaseURL: "https://open-api.example.com", Key: "the-key", Secret: "the-secret", Transport: server})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		task, err := c.Task(t.Context(), taskA)
		if (task == nil) == (err == nil) || task != nil && (task.ID != taskA || status >= 300) {
			t.Errorf("%d %q is read as %+v, %v", status, body, task, err)
		}
		holds(t, err)
		tasks, err := c.TasksOf(t.Context(), taskA)
		if server.asked > 4 {
			t.Errorf("%d requests", server.asked)
		}
		for _, one := range tasks {
			if one.ID == "" {
				t.Error("a task without an id")
			}
		}
		holds(t, err)
	})
}

// holds holds an error of the client against what is promised of it.
func holds(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if _, ok := errors.AsType[*cakewalk.APIError](err); !ok {
		t.Errorf("not an APIError: %v", err)
	}
	if text := err.Error(); strings.Contains(text, "the-secret") || strings.ContainsAny(text, "\n\x1b") {
		t.Errorf("%q", text)
	}
}
