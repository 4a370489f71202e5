// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

const taskID = "7ac60a4b-4b4d-4fc1-988c-f95254591f06"

func payload(tb testing.TB, name string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// task is an event with these members of data after a good taskId.
func task(members string) string {
	if members != "" {
		members = "," + members
	}
	return `{"eventType":"action_task.actionable","data":{"taskId":"` + taskID + `"` + members + `}}`
}

// request is an event with these members of requestMetadata after a good requestType.
func request(members string) string {
	if members != "" {
		members = "," + members
	}
	return task(`"requestMetadata":{"requestType":"GrantAccessRequest"` + members + `}`)
}

func taskEvent(task ActionTask) Event {
	task.TaskID = taskID
	return Event{Type: EventActionTaskActionable, Task: &task}
}

func TestDecodePayloads(t *testing.T) {
	super := User{ID: "c1b264ce-29bf-47f3-973a-e0f0187e430f", Email: "superadmin@getcakewalk.io", FullName: "superadmin"}
	admin := User{ID: "1934ea57-962f-41de-bf2c-ba2c288e7f68", Email: "admin@getcakewalk.io", FullName: "admin"}
	app := NamedObject{ID: "b95160f2-1eec-4cf0-8f49-bb4f29936f5d", Name: "Google Workspace"}
	tests := map[string]struct {
		file string
		want []Event
	}{
		"the single object of 2025": {
			file: "grant-2025-single-object.json",
			want: []Event{taskEvent(ActionTask{Request: &RequestMetadata{
				Type: "GrantAccessRequest", RequestedBy: &super, ReviewedBy: []User{super}, TargetWorkApp: &app, TargetUser: &admin,
			}})},
		},
		"a test event": {
			file: "test.json",
			want: []Event{{Type: EventTest, Test: true}},
		},
		"a batch": {
			file: "batch.json",
			want: []Event{
				{Index: 0, Type: EventActionTaskActionable, Task: &ActionTask{
					TaskID: "0b0f1e57-4c52-4a0e-9a55-0d7f0b6c2a11", AssignedTo: []User{super},
					Request: &RequestMetadata{
						Type: "GrantAccessRequest", RequestedBy: &admin, ReviewedBy: []User{super}, TargetWorkApp: &app,
						PermissionLevel: &NamedObject{ID: "5f7f2f0e-6a5f-4d7e-8f65-6b0a1f0f9d10", Name: "Editor"}, TargetUser: &admin,
					},
				}},
				{Index: 1, Type: EventActionTaskActionable, Task: &ActionTask{
					TaskID: "3d2b8a34-0c0e-4a71-9b06-3c9d1f0a7e22",
					Request: &RequestMetadata{
						Type: "RemoveAccessRequest", RequestedBy: &super, TargetWorkApp: &app, TargetUser: &admin,
						TriggeredByUsersGroup: &NamedObject{ID: "a3f1c2d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d", Name: "Engineering"},
					},
				}},
				{Index: 2, Type: EventActionTaskActionable, Task: &ActionTask{TaskID: "9e8d7c6b-5a49-4837-a625-14f3e2d1c0b3"}},
				{Index: 3, Type: EventTest, Test: true},
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Decode(payload(t, tc.file), 10)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestDecodeRefusesBodies(t *testing.T) {
	body := func(err error) bool { _, ok := errors.AsType[*BodyError](err); return ok }
	tests := map[string]struct {
		body        string
		wantTooMany bool
	}{
		"an empty body":                        {body: ""},
		"white space":                          {body: " \n\t"},
		"null":                                 {body: "null"},
		"a string":                             {body: `"action_task.actionable"`},
		"a number":                             {body: "1"},
		"true":                                 {body: "true"},
		"truncated":                            {body: `[{"eventType":"te`},
		"truncated after an element":           {body: `[{"eventType":"test"}`},
		"data after an array":                  {body: `[]x`},
		"a second document":                    {body: `[] []`},
		"a second object":                      {body: `{"eventType":"test"}{"eventType":"test"}`},
		"no JSON":                              {body: "eventType=test"},
		"a comma too many":                     {body: `[{"eventType":"test"},]`},
		"a byte order mark":                    {body: "\ufeff[]"},
		"not UTF-8":                            {body: "[{\"eventType\":\"te\xffst\"}]"},
		"a control character in a string":      {body: "[{\"eventType\":\"te\nst\"}]"},
		"a NUL after the document":             {body: "[]\x00"},
		"a hundred thousand levels of nesting": {body: strings.Repeat("[", 100_000)},
		"nesting that is closed again":         {body: strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)},
		"more events than allowed":             {body: "[" + strings.Repeat(`{"eventType":"test"},`, 3) + `{"eventType":"test"}]`, wantTooMany: true},
		"more elements than allowed, no events": {
			body: "[" + strings.Repeat("0,", 100_000) + "0]", wantTooMany: true,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			events, err := Decode([]byte(tc.body), 3)
			if err == nil {
				t.Fatalf("accepted as %d events", len(events))
			}
			_, tooMany := errors.AsType[*TooManyEventsError](err)
			if tooMany != tc.wantTooMany || body(err) == tc.wantTooMany {
				t.Errorf("got error %T: %v", err, err)
			}
		})
	}
}

func TestDecodeFindsWhatIsMalformed(t *testing.T) {
	tests := map[string]struct {
		body string
		want FieldError
	}{
		"an empty object":                  {`{}`, FieldError{"eventType", "is required"}},
		"an event type of null":            {`{"eventType":null}`, FieldError{"eventType", "is required"}},
		"an empty event type":              {`{"eventType":""}`, FieldError{"eventType", "is required"}},
		"an event type in other case":      {`{"EventType":"test"}`, FieldError{"eventType", "is required"}},
		"a number as event type":           {`{"eventType":1}`, FieldError{"eventType", "must be a string"}},
		"an element that is a number":      {`[1]`, FieldError{"", "must be an object"}},
		"an element that is null":          {`[null]`, FieldError{"", "must be an object"}},
		"an element that is an array":      {`[[]]`, FieldError{"", "must be an object"}},
		"a number out of range":            {`[{"eventType":"test","x":1e999}]`, FieldError{"", "holds a number that is out of range"}},
		"no data":                          {`{"eventType":"action_task.actionable"}`, FieldError{"data", "is required"}},
		"data of null":                     {`{"eventType":"action_task.actionable","data":null}`, FieldError{"data", "is required"}},
		"data that is an array":            {`{"eventType":"action_task.actionable","data":[]}`, FieldError{"data", "must be an object"}},
		"no taskId":                        {`{"eventType":"action_task.actionable","data":{}}`, FieldError{"data.taskId", "is required"}},
		"a taskId that is a number":        {`{"eventType":"action_task.actionable","data":{"taskId":7}}`, FieldError{"data.taskId", "must be a string"}},
		"a taskId that is no UUID":         {`{"eventType":"action_task.actionable","data":{"taskId":"../../secrets"}}`, FieldError{"data.taskId", "must be a UUID"}},
		"a taskId with braces":             {`{"eventType":"action_task.actionable","data":{"taskId":"{` + taskID + `}"}}`, FieldError{"data.taskId", "must be a UUID"}},
		"a taskId with a dash elsewhere":   {`{"eventType":"action_task.actionable","data":{"taskId":"7ac60a4b4-b4d-4fc1-988c-f95254591f06"}}`, FieldError{"data.taskId", "must be a UUID"}},
		"a taskId with another letter":     {`{"eventType":"action_task.actionable","data":{"taskId":"7ac60a4b-4b4d-4fc1-988c-f95254591f0g"}}`, FieldError{"data.taskId", "must be a UUID"}},
		"eventType twice":                  {`{"eventType":"test","eventType":"action_task.actionable"}`, FieldError{"eventType", "must not be there twice"}},
		"taskId twice":                     {task(`"taskId":"x"`), FieldError{"data.taskId", "must not be there twice"}},
		"taskId twice, once with escapes":  {task(`"task\u0049d":"` + taskID + `"`), FieldError{"data.taskId", "must not be there twice"}},
		"an email twice, deep inside":      {request(`"reviewedBy":[{},{"email":"a","email":"b"}]`), FieldError{"data.requestMetadata.reviewedBy[1].email", "must not be there twice"}},
		"an unknown member twice":          {task(`"new":{"x":1,"x":1}`), FieldError{"data.new.x", "must not be there twice"}},
		"assignedTo that is an object":     {task(`"assignedTo":{}`), FieldError{"data.assignedTo", "must be an array"}},
		"an assignee that is a string":     {task(`"assignedTo":[{},"a@b.c"]`), FieldError{"data.assignedTo[1]", "must be an object"}},
		"too many assignees":               {task(`"assignedTo":[` + strings.Repeat("{},", maxUsers) + `{}]`), FieldError{"data.assignedTo", "is too long, must have at most 256 entries"}},
		"too many reviewers":               {request(`"reviewedBy":[` + strings.Repeat("{},", maxUsers) + `{}]`), FieldError{"data.requestMetadata.reviewedBy", "is too long, must have at most 256 entries"}},
		"requestMetadata that is a string": {task(`"requestMetadata":"x"`), FieldError{"data.requestMetadata", "must be an object"}},
		"empty requestMetadata":            {task(`"requestMetadata":{}`), FieldError{"data.requestMetadata.requestType", "is required"}},
		"a requestType of null":            {task(`"requestMetadata":{"requestType":null}`), FieldError{"data.requestMetadata.requestType", "is required"}},
		"an empty requestType":             {task(`"requestMetadata":{"requestType":""}`), FieldError{"data.requestMetadata.requestType", "is required"}},
		"a requestType that is a number":   {task(`"requestMetadata":{"requestType":1}`), FieldError{"data.requestMetadata.requestType", "must be a string"}},
		"a long requestType":               {task(`"requestMetadata":{"requestType":"` + strings.Repeat("x", maxType+1) + `"}`), FieldError{"data.requestMetadata.requestType", "is too long, must be at most 128 characters"}},
		"a requestType with a line break":  {task(`"requestMetadata":{"requestType":"a\nb"}`), FieldError{"data.requestMetadata.requestType", "must not hold control characters or U+FFFD"}},
		"an email that is a number":        {request(`"targetUser":{"email":1}`), FieldError{"data.requestMetadata.targetUser.email", "must be a string"}},
		"an email with a NUL":              {request(`"targetUser":{"email":"a\u0000@b.c"}`), FieldError{"data.requestMetadata.targetUser.email", "must not hold control characters or U+FFFD"}},
		"an email with a lone surrogate":   {request(`"targetUser":{"email":"a\ud800@b.c"}`), FieldError{"data.requestMetadata.targetUser.email", "must not hold control characters or U+FFFD"}},
		"an email that is too long":        {request(`"targetUser":{"email":"` + strings.Repeat("é", maxEmail+1) + `"}`), FieldError{"data.requestMetadata.targetUser.email", "is too long, must be at most 1024 characters"}},
		"an id that is too long":           {request(`"targetWorkApp":{"id":"` + strings.Repeat("x", maxID+1) + `"}`), FieldError{"data.requestMetadata.targetWorkApp.id", "is too long, must be at most 128 characters"}},
		"an id with a lone surrogate":      {request(`"targetWorkApp":{"id":"\udfff"}`), FieldError{"data.requestMetadata.targetWorkApp.id", "must not hold control characters or U+FFFD"}},
		"a name that is too long":          {request(`"permissionLevel":{"name":"` + strings.Repeat("😀", maxName+1) + `"}`), FieldError{"data.requestMetadata.permissionLevel.name", "is too long, must be at most 16384 characters"}},
		"a full name that is an object":    {request(`"requestedBy":{"fullName":{}}`), FieldError{"data.requestMetadata.requestedBy.fullName", "must be a string"}},
		"a group that is a list":           {request(`"triggeredByUsersGroup":[]`), FieldError{"data.requestMetadata.triggeredByUsersGroup", "must be an object"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			events, err := Decode([]byte(tc.body), 3)
			if err != nil {
				t.Fatal(err)
			}
			if len(events) != 1 || events[0].Err == nil {
				t.Fatalf("not refused: %+v", events)
			}
			if diff := cmp.Diff(tc.want, *events[0].Err); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if events[0].Task != nil || events[0].Test {
				t.Error("a malformed event has a task too")
			}
		})
	}
}

func TestDecodeTolerates(t *testing.T) {
	long := strings.Repeat("😀", maxName)
	meta := func(m RequestMetadata) Event {
		m.Type = "GrantAccessRequest"
		return taskEvent(ActionTask{Request: &m})
	}
	tests := map[string]struct {
		body string
		want []Event
	}{
		"an empty array":                     {"[]", []Event{}},
		"an empty array in white space":      {" [ ] \n", []Event{}},
		"an object in white space":           {"\r\n {\"eventType\":\"test\"}\t", []Event{{Type: EventTest, Test: true}}},
		"a test event with other data":       {`[{"eventType":"test","data":[1,2]}]`, []Event{{Type: EventTest, Test: true}}},
		"an unknown event type":              {`[{"eventType":"user.created","data":7}]`, []Event{{Type: "user.created"}}},
		"unknown members":                    {task(`"new":{"x":[1,{}]}`), []Event{taskEvent(ActionTask{})}},
		"requestMetadata of null":            {task(`"requestMetadata":null,"assignedTo":null`), []Event{taskEvent(ActionTask{})}},
		"an unknown requestType":             {task(`"requestMetadata":{"requestType":"Weird Request/2"}`), []Event{taskEvent(ActionTask{Request: &RequestMetadata{Type: "Weird Request/2"}})}},
		"members of null":                    {request(`"reviewedBy":null,"requestedBy":null,"targetWorkApp":null,"permissionLevel":null,"targetUser":null,"triggeredByUsersGroup":null`), []Event{meta(RequestMetadata{})}},
		"empty objects and texts are absent": {request(`"reviewedBy":[{},null,{"id":"","email":null}],"requestedBy":{},"targetWorkApp":{"id":"","name":""},"targetUser":{"role":"x"}`), []Event{meta(RequestMetadata{})}},
		"other ids than UUIDs":               {request(`"targetWorkApp":{"id":"App-7"}`), []Event{meta(RequestMetadata{TargetWorkApp: &NamedObject{ID: "App-7"}})}},
		"UUIDs in upper case": {
			strings.Replace(request(`"targetUser":{"id":"C1B264CE-29BF-47F3-973A-E0F0187E430F","email":"A@B.C"}`), taskID, strings.ToUpper(taskID), 1),
			[]Event{meta(RequestMetadata{TargetUser: &User{ID: "c1b264ce-29bf-47f3-973a-e0f0187e430f", Email: "A@B.C"}})},
		},
		"metacharacters of other languages in an email": {
			request(`"targetUser":{"email":"*)(uid=*'; DROP TABLE x;-- \" or userName sw \"a{{user}}${x}"}`),
			[]Event{meta(RequestMetadata{TargetUser: &User{Email: `*)(uid=*'; DROP TABLE x;-- " or userName sw "a{{user}}${x}`}})},
		},
		"control characters and broken surrogates in names": {
			request(`"targetWorkApp":{"name":"a\u0000\n\ud800"}`),
			[]Event{meta(RequestMetadata{TargetWorkApp: &NamedObject{Name: "a\x00\n\ufffd"}})},
		},
		"the longest name counts characters, not bytes": {
			request(`"targetWorkApp":{"name":"` + long + `"}`),
			[]Event{meta(RequestMetadata{TargetWorkApp: &NamedObject{Name: long}})},
		},
		"a member in other case is another member": {task(`"TASKID":"x"`), []Event{taskEvent(ActionTask{})}},
		"a good event after a malformed one": {
			`[7,` + task("") + `]`,
			[]Event{{Err: &FieldError{Message: "must be an object"}}, {Index: 1, Type: EventActionTaskActionable, Task: &ActionTask{TaskID: taskID}}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Decode([]byte(tc.body), 3)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, name := range []string{"batch.json", "grant-2025-single-object.json", "test.json"} {
		f.Add(payload(f, name))
	}
	f.Add([]byte(`{}`))
	f.Add([]byte(`[1,null,{"eventType":"x","eventType":"y"}]`))
	f.Add([]byte(request(`"targetUser":{"id":"\ud800","email":"x"}`)))
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := Decode(body, 4)
		parts, partsErr := decodeParts(body, 4)
		if diff := cmp.Diff(parts, events); diff != "" || (err == nil) != (partsErr == nil) {
			t.Fatalf("read in one pass and in parts: %v, %v: %s", err, partsErr, diff)
		}
		if err != nil {
			if len(events) > 0 {
				t.Fatal("events beside an error")
			}
			return
		}
		if len(events) > 4 {
			t.Fatalf("%d events", len(events))
		}
		for i, event := range events {
			if event.Index != i {
				t.Fatalf("event %d has the index %d", i, event.Index)
			}
			if event.Task != nil && (event.Err != nil || event.Test) || event.Test && event.Err != nil {
				t.Fatalf("event %d is several things at once", i)
			}
			if event.Task != nil {
				if err := checkTask(event.Task); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// checkTask checks the bounds of the AccessTask's schema, which the API server enforces.
func checkTask(task *ActionTask) error {
	if !isUUID(task.TaskID) || task.TaskID != strings.ToLower(task.TaskID) {
		return fmt.Errorf("taskId %q", task.TaskID)
	}
	users := task.AssignedTo
	var names []NamedObject
	if len(task.AssignedTo) > 256 {
		return fmt.Errorf("%d assignees", len(task.AssignedTo))
	}
	if r := task.Request; r != nil {
		if n := utf8.RuneCountInString(r.Type); n < 1 || n > 128 {
			return fmt.Errorf("a requestType of %d characters", n)
		}
		if len(r.ReviewedBy) > 256 {
			return fmt.Errorf("%d reviewers", len(r.ReviewedBy))
		}
		users = append(slices.Clip(users), r.ReviewedBy...)
		for _, user := range []*User{r.RequestedBy, r.TargetUser} {
			if user != nil {
				users = append(users, *user)
			}
		}
		for _, object := range []*NamedObject{r.TargetWorkApp, r.PermissionLevel, r.TriggeredByUsersGroup} {
			if object != nil {
				names = append(names, *object)
			}
		}
	}
	for _, user := range users {
		if user == (User{}) {
			return errors.New("a user without any member")
		}
		if utf8.RuneCountInString(user.ID) > 128 || utf8.RuneCountInString(user.Email) > 1024 || utf8.RuneCountInString(user.FullName) > 16384 {
			return errors.New("a user beyond the bounds")
		}
		if strings.ContainsAny(user.ID+user.Email, "\x00\n\ufffd") {
			return errors.New("a user with control characters")
		}
	}
	for _, object := range names {
		if object == (NamedObject{}) {
			return errors.New("an object without any member")
		}
		if utf8.RuneCountInString(object.ID) > 128 || utf8.RuneCountInString(object.Name) > 16384 {
			return errors.New("an object beyond the bounds")
		}
	}
	return nil
}
