// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"getcakewalk.io/access-operator/internal/cakewalk"
)

func TestMissed(t *testing.T) {
	now := time.Date(2026, 11, 23, 7, 44, 3, 0, time.UTC)
	task := func(id string, age time.Duration, change ...func(*cakewalk.Task)) cakewalk.Task {
		task := cakewalk.Task{ID: id, Status: "Pending", CreatedAt: now.Add(-age), ActionStep: new(true), Request: &cakewalk.TaskRequest{Type: "GrantAccessRequest"}}
		for _, f := range change {
			f(&task)
		}
		return task
	}
	status := func(s string) func(*cakewalk.Task) { return func(t *cakewalk.Task) { t.Status = s } }
	for name, tc := range map[string]struct {
		tasks []cakewalk.Task
		open  []string
		want  []string
	}{
		"in the order of their creation":   {[]cakewalk.Task{task("b", time.Hour), task("c", time.Minute*30), task("a", time.Hour*2)}, nil, []string{"a", "b", "c"}},
		"of the same age by their ids":     {[]cakewalk.Task{task("b", time.Hour), task("a", time.Hour)}, nil, []string{"a", "b"}},
		"of two users once":                {[]cakewalk.Task{task("a", time.Hour), task("a", time.Hour)}, nil, []string{"a"}},
		"not one that is stored":           {[]cakewalk.Task{task("stored", time.Hour)}, nil, nil},
		"not a young one":                  {[]cakewalk.Task{task("a", webhookDue-1)}, nil, nil},
		"one whose webhook had its time":   {[]cakewalk.Task{task("a", webhookDue)}, nil, []string{"a"}},
		"one without a time":               {[]cakewalk.Task{task("a", 0, func(t *cakewalk.Task) { t.CreatedAt = time.Time{} })}, nil, []string{"a"}},
		"not a closed one":                 {[]cakewalk.Task{task("a", time.Hour, status("Approved")), task("b", time.Hour, status("declined"))}, nil, nil},
		"of any other status":              {[]cakewalk.Task{task("a", time.Hour, status("Odd"))}, nil, []string{"a"}},
		"of the statuses that count alone": {[]cakewalk.Task{task("a", time.Hour, status("Odd")), task("b", time.Hour, status("ready"))}, []string{"Ready"}, []string{"b"}},
		"not a review":                     {[]cakewalk.Task{task("a", time.Hour, func(t *cakewalk.Task) { t.ActionStep = new(false) })}, nil, nil},
		"not one that says nothing":        {[]cakewalk.Task{task("a", time.Hour, func(t *cakewalk.Task) { t.ActionStep = nil })}, nil, nil},
		"not the agent's":                  {[]cakewalk.Task{task("a", time.Hour, func(t *cakewalk.Task) { t.Autoprovisioning = new(true) })}, nil, nil},
		"not a cancelled one":              {[]cakewalk.Task{task("a", time.Hour, func(t *cakewalk.Task) { t.Request.CancelledBy = "x" })}, nil, nil},
		"one whose request is left out":    {[]cakewalk.Task{task("a", time.Hour, func(t *cakewalk.Task) { t.Request = nil })}, nil, []string{"a"}},
	} {
		var got []string
		for _, task := range missed(tc.tasks, tc.open, func(id string) bool { return id == "stored" }, now) {
			got = append(got, task.ID)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestForgotten(t *testing.T) {
	now := time.Date(2026, 11, 23, 7, 44, 3, 0, time.UTC)
	for name, tc := range map[string]struct {
		age  time.Duration
		keep *int32
		want bool
	}{
		"kept for ever":           {1000 * time.Hour, nil, false},
		"younger than kept":       {time.Hour - 1, new(int32(3600)), false},
		"as old":                  {time.Hour, new(int32(3600)), true},
		"deleted when it is done": {0, new(int32(0)), true},
	} {
		if got := forgotten(&cakewalk.Task{CreatedAt: now.Add(-tc.age)}, tc.keep, now); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
