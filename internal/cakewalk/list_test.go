// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
)

func TestTasksOf(t *testing.T) {
	for _, n := range []int{0, 1, 3, 4, 10} {
		f := cakewalktest.Start(t, cakewalktest.Options{PageSize: 3})
		f.AddUser(grace)
		f.AddTask(cakewalktest.Task{})
		var want []string
		for range n {
			want = append(want, f.AddTask(cakewalktest.Task{AssignedTo: []cakewalk.User{grace}}))
		}
		tasks, err := newClient(t, f).TasksOf(t.Context(), grace.ID)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, task := range tasks {
			got = append(got, task.ID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d tasks: -want +got:\n%s", n, diff)
		}
		for _, r := range f.Requests() {
			if !strings.HasPrefix(r.Path, "/api/v1/Tasks?") || !strings.Contains(r.Path, "userId="+grace.ID) {
				t.Errorf("asked for %s", r.Path)
			}
		}
	}
	f := cakewalktest.Start(t, cakewalktest.Options{})
	_, err := newClient(t, f).TasksOf(t.Context(), nowhere)
	wantFault(t, err, cakewalk.FaultNotFound, 404, "no such user")
}

func TestObjects(t *testing.T) {
	f := cakewalktest.Start(t, cakewalktest.Options{PageSize: 2})
	c := newClient(t, f)
	f.AddUser(grace)
	levels := []cakewalk.NamedObject{
		{ID: "5f7f2f0e-6a5f-4d7e-8f65-6b0a1f0f9d10", Name: "Viewer"},
		{ID: "5f7f2f0e-6a5f-4d7e-8f65-6b0a1f0f9d11", Name: "Editor"},
		{ID: "5f7f2f0e-6a5f-4d7e-8f65-6b0a1f0f9d12", Name: "Owner"},
	}
	app := cakewalk.NamedObject{ID: "b95160f2-1eec-4cf0-8f49-bb4f29936f5d", Name: "Google Workspace"}
	f.AddWorkApp(app, levels...)
	if got, err := c.User(t.Context(), grace.ID); err != nil || *got != grace {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := c.WorkApp(t.Context(), app.ID); err != nil || *got != app {
		t.Errorf("got %v, %v", got, err)
	}
	got, err := c.PermissionLevels(t.Context(), app.ID)
	if diff := cmp.Diff(levels, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	_, err = c.User(t.Context(), nowhere)
	wantFault(t, err, cakewalk.FaultNotFound, 404, "no such user")
	_, err = c.WorkApp(t.Context(), nowhere)
	wantFault(t, err, cakewalk.FaultNotFound, 404, "no such work app")
	_, err = c.PermissionLevels(t.Context(), nowhere)
	wantFault(t, err, cakewalk.FaultNotFound, 404, "no such work app")
}

// pages serves lists whose pages are made by a function of their number.
func pages(t *testing.T, page func(number int, r *http.Request) string) string {
	t.Helper()
	number := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, page(number, r))
		number++
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestLinksAreOnlyCursors(t *testing.T) {
	tests := map[string]string{
		"another host":    "https://evil.example/api/v1/Tasks?cursor=c%2Bx%3D%3D",
		"an inner path":   "/api/v1/OpenApiBFF/Tasks?cursor=c%2Bx==",
		"other arguments": "/Tasks?userId=" + nowhere + "&cursor=c%2Bx%3D%3D&admin=1",
		"a query alone":   "?cursor=c%2Bx==",
	}
	for name, link := range tests {
		t.Run(name, func(t *testing.T) {
			url := pages(t, func(number int, r *http.Request) string {
				if number == 0 {
					return fmt.Sprintf(`{"data":[],"links":{"next":%q}}`, link)
				}
				if r.URL.Path != "/Tasks" || r.URL.Query().Get("cursor") != "c+x==" || r.URL.Query().Get("userId") != grace.ID || len(r.URL.Query()) != 2 {
					t.Errorf("asked for %s", r.URL)
				}
				return `{"data":[{"id":"` + taskA + `"}],"links":{"self":"x"}}`
			})
			tasks, err := newClientAt(t, url, "k", "s").TasksOf(t.Context(), grace.ID)
			if err != nil || len(tasks) != 1 {
				t.Errorf("got %v, %v", tasks, err)
			}
		})
	}
}

func TestListsThatAreNone(t *testing.T) {
	tests := map[string]struct {
		page string
		want string
	}{
		"an object":               {`{"data":{}}`, "data must be an array"},
		"a task without an id":    {`{"data":[{"id":"` + taskA + `"},{"status":"x"}]}`, "data[1].id is required"},
		"an entry of null":        {`{"data":[null]}`, "data[0] must be an object"},
		"an entry that is a text": {`{"data":["x"]}`, "data[0] must be an object"},
		"a malformed member":      {`{"data":[{"id":"` + taskA + `","isActionStep":1}]}`, "data[0].isActionStep must be"},
		"links that are a text":   {`{"data":[],"links":{"next":7}}`, "links.next must be a string"},
		"a link without a cursor": {`{"data":[],"links":{"next":"/Tasks"}}`, "links.next must have a parameter cursor"},
		"a link that is no URL":   {`{"data":[],"links":{"next":"http://[::1"}}`, "links.next must be a URL"},
		"a long cursor":           {`{"data":[],"links":{"next":"?cursor=` + strings.Repeat("x", 5000) + `"}}`, "links.next must have"},
		"the same page for ever":  {`{"data":[],"links":{"next":"?cursor=x"}}`, "leads to a page that was already read"},
		"too many tasks":          {`{"data":[` + strings.Repeat("{},", 10_000) + `{}]}`, "is too long"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := newClientAt(t, answering(t, 200, tc.page), "k", "s").TasksOf(t.Context(), grace.ID)
			wantFault(t, err, cakewalk.FaultAway, 200, "list_tasks", tc.want)
		})
	}
}

func TestAListWithoutEndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := cakewalktest.New(cakewalktest.Options{PageSize: 1, MaxPerMinute: -1})
		for range 101 {
			f.AddTask(cakewalktest.Task{AssignedTo: []cakewalk.User{grace}})
		}
		c := inProcess(t, f, nil)
		_, err := c.TasksOf(t.Context(), grace.ID)
		wantFault(t, err, cakewalk.FaultAway, 0, "more than 100 pages")
		f.Remove(f.TaskIDs()[0])
		if tasks, err := c.TasksOf(t.Context(), grace.ID); err != nil || len(tasks) != 100 {
			t.Errorf("%d tasks, %v", len(tasks), err)
		}
	})
}
