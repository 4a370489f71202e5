// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"getcakewalk.io/access-operator/internal/cakewalk"
)

func TestAnswersThatAreNone(t *testing.T) {
	problem := `{"type":"about:blank","title":"Nope","detail":"because the-secret and \n more","status":0}`
	tests := map[string]struct {
		status int
		body   string
		header []string
		fault  cakewalk.Fault
		after  time.Duration
		words  []string
	}{
		"refused credentials":               {status: 401, body: problem, fault: cakewalk.FaultUnauthorized, words: []string{"credentialsSecretRef", "Nope: because [redacted] and   more"}},
		"a key that may not read":           {status: 403, body: problem, fault: cakewalk.FaultForbidden, words: []string{"may do"}},
		"no such task":                      {status: 404, body: problem, fault: cakewalk.FaultNotFound, words: []string{"no such task"}},
		"no such page":                      {status: 404, body: "<html>", fault: cakewalk.FaultAway, words: []string{"spec.cakewalkAPI.url"}},
		"no such page, without a word":      {status: 404, fault: cakewalk.FaultAway, words: []string{"spec.cakewalkAPI.url"}},
		"a conflict":                        {status: 409, body: problem, fault: cakewalk.FaultConflict},
		"a bad request":                     {status: 400, body: problem, fault: cakewalk.FaultRefused, words: []string{"400", "Nope"}},
		"a limit":                           {status: 429, body: problem, header: []string{"Retry-After", "7"}, fault: cakewalk.FaultRateLimited, after: 7 * time.Second},
		"a limit that does not say":         {status: 429, fault: cakewalk.FaultRateLimited, after: 10 * time.Second},
		"a failure":                         {status: 500, body: "stack trace with the-secret", fault: cakewalk.FaultAway, words: []string{"500"}},
		"a failure that says when it ends":  {status: 503, header: []string{"Retry-After", "60"}, fault: cakewalk.FaultAway, after: time.Minute},
		"a timeout of a proxy":              {status: 408, fault: cakewalk.FaultAway},
		"a page":                            {status: 200, body: "<html>Sign in</html>", fault: cakewalk.FaultAway, words: []string{"not the JSON", "spec.cakewalkAPI.url"}},
		"nothing":                           {status: 200, fault: cakewalk.FaultAway},
		"no content":                        {status: 204, fault: cakewalk.FaultAway},
		"JSON of something else":            {status: 200, body: `{"ok":true}`, fault: cakewalk.FaultAway, words: []string{"not the JSON"}},
		"an array":                          {status: 200, body: `[]`, fault: cakewalk.FaultAway},
		"null":                              {status: 200, body: `null`, fault: cakewalk.FaultAway},
		"data of null":                      {status: 200, body: `{"data":null}`, fault: cakewalk.FaultAway},
		"truncated":                         {status: 200, body: `{"data":{"id":"` + taskA, fault: cakewalk.FaultAway},
		"data that is a list":               {status: 200, body: `{"data":[]}`, fault: cakewalk.FaultAway, words: []string{"data must be an object"}},
		"no id":                             {status: 200, body: `{"data":{"status":"x"}}`, fault: cakewalk.FaultAway, words: []string{"data.id is required"}},
		"another task":                      {status: 200, body: `{"data":{"id":"` + nowhere + `"}}`, fault: cakewalk.FaultAway, words: []string{"data.id is not the id that was asked for"}},
		"an id that is no UUID":             {status: 200, body: `{"data":{"id":"x"}}`, fault: cakewalk.FaultAway, words: []string{"data.id must be a UUID"}},
		"two ids":                           {status: 200, body: `{"data":{"id":"` + taskA + `","id":"` + taskA + `"}}`, fault: cakewalk.FaultAway, words: []string{"data.id must not be there twice"}},
		"a status that is a number":         member(`"status":1`, "data.status must be a string"),
		"a type that is an object":          member(`"type":{}`, "data.type must be a string"),
		"an agent that is a text":           member(`"isAutoprovisioning":"true"`, "data.isAutoprovisioning must be true or false"),
		"an action step that is a number":   member(`"isActionStep":0`, "data.isActionStep must be true or false"),
		"a request that is a text":          member(`"request":"x"`, "data.request must be an object"),
		"a canceller that is a number":      member(`"request":{"cancelledByUserId":7}`, "data.request.cancelledByUserId must be a string"),
		"a user that is a text":             member(`"assignedUser":"x"`, "data.assignedUser must be an object"),
		"claimers that are an object":       member(`"claimers":{}`, "data.claimers must be an array"),
		"an email that is a number":         member(`"claimers":[{},{"email":1}]`, "data.claimers[1].email must be a string"),
		"a time that is none":               member(`"createdAt":"yesterday"`, "data.createdAt must be a date and time"),
		"a time that is a number":           member(`"createdAt":17`, "data.createdAt must be a string"),
		"a status with a control character": member(`"status":"a\u0000"`, "data.status must not hold control characters"),
		"a status without end":              member(`"status":"`+strings.Repeat("x", 129)+`"`, "data.status is too long"),
		"a redirect":                        {status: 302, header: []string{"Location", "https://evil.example/?the-secret"}, fault: cakewalk.FaultAway, words: []string{"evil.example"}},
		"a status of another protocol":      {status: 304, fault: cakewalk.FaultAway, words: []string{"304"}},
		"an answer without end":             {status: 200, body: strings.Repeat(" ", 4<<20+1), fault: cakewalk.FaultAway, words: []string{"larger than"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClientAt(t, answering(t, tc.status, tc.body, tc.header...), "the-key", "the-secret")
			_, err := c.Task(t.Context(), taskA)
			status := tc.status
			if status == 302 || len(tc.body) > 4<<20 {
				status = 0 // It is told in the text: the answer was not read.
			}
			of := wantFault(t, err, tc.fault, status, tc.words...)
			if of.After != tc.after {
				t.Errorf("after %s, want %s", of.After, tc.after)
			}
			for _, never := range []string{"the-key", "the-secret", "stack trace", "<html>"} {
				if strings.Contains(err.Error(), never) {
					t.Errorf("%q repeats %q", err, never)
				}
			}
			if len(err.Error()) > 600 {
				t.Errorf("the text has %d bytes", len(err.Error()))
			}
		})
	}
}

// member is an answer about a task with a member that is not as documented.
func member(text, want string) (tc struct {
	status int
	body   string
	header []string
	fault  cakewalk.Fault
	after  time.Duration
	words  []string
},
) {
	tc.status, tc.fault, tc.words = 200, cakewalk.FaultAway, []string{want}
	tc.body = `{"data":{"id":"` + taskA + `",` + text + `}}`
	return tc
}

func TestWhatATaskMayLeaveOut(t *testing.T) {
	long := strings.Repeat("é", 5000)
	tests := map[string]struct {
		members string
		want    cakewalk.Task
	}{
		"everything":         {``, cakewalk.Task{}},
		"null":               {`,"type":null,"status":null,"createdAt":null,"isAutoprovisioning":null,"isActionStep":null,"assignedUser":null,"claimers":null,"executedByUser":null,"request":null`, cakewalk.Task{}},
		"unknown members":    {`,"new":{"a":[1]},"request":{"sourceId":1}`, cakewalk.Task{Request: &cakewalk.TaskRequest{}}},
		"unknown words":      {`,"type":"New","status":"Marvellous"`, cakewalk.Task{Type: "New", Status: "Marvellous"}},
		"ids in upper case":  {`,"request":{"targetUserId":"C1B264CE-29BF-47F3-973A-E0F0187E430F"}`, cakewalk.Task{Request: &cakewalk.TaskRequest{TargetUserID: grace.ID}}},
		"a time without UTC": {`,"createdAt":"2026-11-23T07:44:03.5"`, cakewalk.Task{CreatedAt: time.Date(2026, 11, 23, 7, 44, 3, 5e8, time.UTC)}},
		"a time elsewhere":   {`,"createdAt":"2026-11-23T08:44:03+01:00"`, cakewalk.Task{CreatedAt: time.Date(2026, 11, 23, 7, 44, 3, 0, time.UTC)}},
		"half of a purpose":  {`,"request":{"requestPurpose":"` + long + `"}`, cakewalk.Task{Request: &cakewalk.TaskRequest{Purpose: long[:8192]}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.want.ID = taskA
			c := newClientAt(t, answering(t, 200, `{"data":{"id":"`+taskA+`"`+tc.members+`}}`), "k", "s")
			got, err := c.Task(t.Context(), taskA)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
