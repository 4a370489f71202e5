// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
)

const maxBody = 1 << 20

const help = `A Cakewalk in memory. Its console:

  GET  /                      this page
  GET  /tasks                 all tasks, as JSON
  POST /test                  send the event that is sent while a webhook is registered
  POST /requests              make a request that is approved already, and announce it; all members may be left out:
       {"type": "GrantAccessRequest", "user": "ann@example.com", "name": "Ann", "app": "Google Workspace",
        "level": "Editor", "purpose": "joins the team", "autoprovisioning": false, "deliver": true}
  POST /events                add the tasks of a webhook's body, and deliver exactly these bytes
  POST /tasks/ID/VERB         act as a person: approve, decline, cancel, remove; or deliver it again
  POST /keys/rotate           sign with a new RSA key from now on; the old one is no longer served

`

// actor is the person who acts in the console.
var actor = cakewalk.User{ID: "0d1c8a35-6a30-4b7e-9c1b-6f1a3f0a5c11", Email: "admin@example.com", FullName: "Console"}

// console is the fake's page for people and their scripts.
type console struct {
	fake       *cakewalktest.Fake
	webhookURL string
}

// ServeHTTP implements http.Handler.
func (c *console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return
	}
	verb := ""
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) == 3 && parts[0] == "tasks" {
		verb = parts[2]
		parts[1], parts[2] = "ID", "VERB"
	}
	switch r.Method + " /" + strings.Join(parts, "/") {
	case "GET /":
		c.page(w)
	case "GET /tasks":
		reply(w, c.tasks())
	case "POST /test":
		c.send(w, r, "", cakewalktest.TestBody())
	case "POST /requests":
		c.request(w, r, body)
	case "POST /events":
		if _, err := c.fake.AddEvents(body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		c.send(w, r, "", body)
	case "POST /tasks/ID/VERB":
		c.act(w, r, strings.Split(r.URL.Path, "/")[2], verb)
	case "POST /keys/rotate":
		c.fake.RotateKey(false)
		w.WriteHeader(http.StatusNoContent)
	default:
		http.Error(w, help, http.StatusNotFound)
	}
}

// request makes a request.
func (c *console) request(w http.ResponseWriter, r *http.Request, body []byte) {
	var wish struct {
		Type, User, Name, App, Level, Purpose string
		Autoprovisioning                      bool
		Deliver                               *bool
	}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &wish); err != nil {
			http.Error(w, "the body is not the JSON that GET / shows: "+err.Error(), http.StatusBadRequest)
			return
		}
	}
	email := cmp.Or(wish.User, "ann@example.com")
	user := &cakewalk.User{ID: c.fake.UserID(email), Email: email, FullName: cmp.Or(wish.Name, email)}
	app := cmp.Or(wish.App, "Google Workspace")
	task := cakewalktest.Task{
		Autoprovisioning: wish.Autoprovisioning,
		Request: &cakewalktest.Request{
			Type: wish.Type, Purpose: wish.Purpose, RequestedBy: user, TargetUser: user, ReviewedBy: []cakewalk.User{actor},
			WorkApp: &cakewalk.NamedObject{ID: c.fake.WorkAppID(app), Name: app},
		},
	}
	if wish.Level != "" {
		task.Request.Level = &cakewalk.NamedObject{ID: c.fake.LevelID(app, wish.Level), Name: wish.Level}
	}
	id := c.fake.AddTask(task)
	if wish.Deliver != nil && !*wish.Deliver {
		reply(w, map[string]any{"taskId": id})
		return
	}
	c.send(w, r, id, c.fake.Body(id))
}

// act does to a task what a person would.
func (c *console) act(w http.ResponseWriter, r *http.Request, id, verb string) {
	if _, ok := c.fake.Task(id); !ok {
		http.Error(w, "there is no such task", http.StatusNotFound)
		return
	}
	switch verb {
	case "approve":
		c.fake.Approve(id, actor)
	case "decline":
		c.fake.Decline(id, actor)
	case "cancel":
		c.fake.Cancel(id, actor)
	case "remove":
		c.fake.Remove(id)
	case "deliver":
		c.send(w, r, id, c.fake.Body(id))
		return
	default:
		http.Error(w, help, http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// send delivers a body and tells what was answered.
func (c *console) send(w http.ResponseWriter, r *http.Request, id string, body []byte) {
	err := errors.New("--webhook-url is not set")
	var d cakewalktest.Delivered
	if c.webhookURL != "" {
		d, err = c.fake.Send(r.Context(), c.webhookURL, body)
	}
	if err != nil {
		http.Error(w, fmt.Sprintf("not delivered: %v\ntask: %s", err, cmp.Or(id, "none")), http.StatusBadGateway)
		return
	}
	answer := map[string]any{"delivered": map[string]any{"status": d.Status, "answer": d.Body}}
	if json.Valid([]byte(d.Body)) {
		answer["delivered"] = map[string]any{"status": d.Status, "answer": json.RawMessage(d.Body)}
	}
	if id != "" {
		answer["taskId"] = id
	}
	reply(w, answer)
}

// row is a task as the console shows it.
type row struct {
	TaskID     string `json:"taskId"`
	Status     string `json:"status"`
	ClosedBy   string `json:"closedBy,omitempty"`
	Type       string `json:"type,omitempty"`
	User       string `json:"user,omitempty"`
	App        string `json:"app,omitempty"`
	Level      string `json:"level,omitempty"`
	HandledByC bool   `json:"autoprovisioning,omitempty"`
}

func (c *console) tasks() []row {
	rows := []row{}
	for _, id := range c.fake.TaskIDs() {
		t, ok := c.fake.Task(id)
		if !ok {
			continue
		}
		one := row{TaskID: t.ID, Status: t.Status, HandledByC: t.Autoprovisioning}
		switch {
		case t.ClosedByAPI:
			one.ClosedBy = "the API"
		case t.ExecutedBy != nil:
			one.ClosedBy = t.ExecutedBy.Email
		}
		if q := t.Request; q != nil {
			one.Type = q.Type
			if q.TargetUser != nil {
				one.User = q.TargetUser.Email
			}
			if q.WorkApp != nil {
				one.App = q.WorkApp.Name
			}
			if q.Level != nil {
				one.Level = q.Level.Name
			}
		}
		rows = append(rows, one)
	}
	return rows
}

// page shows the help and the tasks.
func (c *console) page(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	var text strings.Builder
	text.WriteString(help)
	for _, t := range c.tasks() {
		fmt.Fprintf(&text, "%s  %-9s %-7s  %-28s %-24s %s %s\n", t.TaskID, t.Status, t.ClosedBy, t.Type, t.User, t.App, t.Level)
	}
	_, _ = io.WriteString(w, text.String())
}

func reply(w http.ResponseWriter, value any) {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n'))
}
