// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpapi_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/httpapi"
)

const secret = "hunter2"

// operations are those of a small API, as tests change them.
func operations() httpapi.Operations {
	return httpapi.Operations{
		Check: &httpapi.Request{Method: "GET", Path: "/check"},
		Observe: httpapi.Observe{
			Account: &httpapi.Lookup{Request: httpapi.Request{Method: "GET", Path: "/users/{subject.id}"}},
			Holders: &httpapi.Lookup{Request: httpapi.Request{Method: "GET", Path: "/groups/{entitlement}/members"}},
		},
		AddEntitlement:    []httpapi.Request{{Method: "PUT", Path: "/groups/{entitlement}/members/{user.id}"}},
		RemoveEntitlement: []httpapi.Request{{Method: "DELETE", Path: "/groups/{entitlement}/members/{user.id}"}},
	}
}

func newBackend(t *testing.T, address string, ops httpapi.Operations) *httpapi.Backend {
	t.Helper()
	c := httpclient.New(httpclient.Options{Authentication: httpclient.Bearer(secret), Timeout: time.Second})
	t.Cleanup(c.Close)
	b, err := httpapi.New(httpapi.Options{BaseURL: address, Client: c, Operations: ops})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// answers serves answers by "METHOD path?query", and keeps what was asked. An answer is "<status> <body>".
type answers struct {
	*testing.T
	url string
	by  map[string]string

	mu    sync.Mutex
	asked []string
}

func serve(t *testing.T, by map[string]string) *answers {
	t.Helper()
	a := &answers{T: t, by: by}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	a.url = s.URL
	return a
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	asked := strings.TrimSpace(r.Method + " " + r.URL.RequestURI() + " " + string(body))
	a.mu.Lock()
	a.asked = append(a.asked, asked)
	a.mu.Unlock()
	answer, ok := a.by[asked]
	if !ok {
		a.Errorf("nobody expects %s", asked)
	}
	if link, rest, ok := strings.Cut(answer, "\n"); ok {
		w.Header().Set("Link", strings.ReplaceAll(link, "{url}", a.url))
		answer = rest
	}
	var status int
	_, text, _ := strings.Cut(answer, " ")
	if _, err := fmt.Sscan(answer, &status); err != nil {
		a.Error(err)
	}
	w.WriteHeader(status)
	fmt.Fprint(w, text)
}

func observe(t *testing.T, b *httpapi.Backend, id string) (provisioning.Access, error) {
	t.Helper()
	return b.Observe(t.Context(), provisioning.Subject{ID: id}, []string{"editors"})
}

func TestObserve(t *testing.T) {
	const account, members = "GET /users/ann", "GET /groups/editors/members"
	tests := map[string]struct {
		change  func(*httpapi.Operations)
		answers map[string]string

		want     provisioning.Access
		wantWord string
		wantSays string
	}{
		"an account and its membership": {
			answers: map[string]string{account: `200 {"id":1}`, members: `200 [{"id":1},{"id":2}]`},
			want:    access(provisioning.AccountActive, "1", provisioning.Present, "2"),
		},
		"no account": {
			answers: map[string]string{account: `404 {}`, members: `200 [{"id":2}]`},
			want:    access(provisioning.AccountAbsent, "", provisioning.Absent, "2"),
		},
		"an id with many digits keeps them": {
			answers: map[string]string{account: `200 {"id":9007199254740993}`, members: `200 [{"id":9007199254740992}]`},
			want:    access(provisioning.AccountActive, "9007199254740993", provisioning.Absent, "9007199254740992"),
		},
		"an account that is not active": {
			change:  func(o *httpapi.Operations) { o.Observe.Account.Active = "!item.off" },
			answers: map[string]string{account: `200 {"id":"a","off":true}`, members: `200 []`},
			want:    access(provisioning.AccountInactive, "a", provisioning.Absent),
		},
		"more than one value in a body": {
			answers:  map[string]string{account: `404 {}`, members: `200 {"id":1}{"id":2}`},
			wantWord: "unavailable", wantSays: "not JSON",
		},
		"two accounts": {
			answers:  map[string]string{account: `200 [{"id":1},{"id":2}]`},
			wantWord: "permanent", wantSays: "2 accounts match",
		},
		"the same account twice": {
			answers: map[string]string{account: `200 [{"id":1},{"id":1}]`, members: `200 []`},
			want:    access(provisioning.AccountActive, "1", provisioning.Absent),
		},
		"what does not match does not count": {
			change:  func(o *httpapi.Operations) { o.Observe.Account.Match = "item.name == subject.id" },
			answers: map[string]string{account: `200 [{"id":1,"name":"anna"},{"id":2,"name":"ann"}]`, members: `200 []`},
			want:    access(provisioning.AccountActive, "2", provisioning.Absent),
		},
		"a group that is not there": {
			answers:  map[string]string{account: `200 {"id":1}`, members: `404 {}`},
			wantWord: "permanent", wantSays: `has no "editors"`,
		},
		"something pending is not in effect, and is not nothing": {
			change:  func(o *httpapi.Operations) { o.Observe.Holders.Pending = "item.invited" },
			answers: map[string]string{account: `200 {"id":1}`, members: `200 [{"id":1,"invited":true}]`},
			want:    access(provisioning.AccountActive, "1", provisioning.NotVisible),
		},
		"a page in HTML is not an empty list": {
			answers:  map[string]string{account: `200 <html>`},
			wantWord: "unavailable", wantSays: "not JSON",
		},
		"no body is not an empty list": {
			answers:  map[string]string{account: `200 `},
			wantWord: "unavailable", wantSays: "neither an object nor a list",
		},
		"a list that is missing is not an empty one": {
			change:   func(o *httpapi.Operations) { o.Observe.Account.Items = "response.body.users" },
			answers:  map[string]string{account: `200 {"people":[]}`},
			wantWord: "unavailable", wantSays: "no such key: users",
		},
		"an item without an id": {
			answers:  map[string]string{account: `200 {"name":"ann"}`},
			wantWord: "unavailable", wantSays: "observe.account.id",
		},
		"refused credentials": {
			answers:  map[string]string{account: `401 {"message":"bad token hunter2"}`},
			wantWord: "unavailable", wantSays: "bad token [redacted]",
		},
		"who may not read": {answers: map[string]string{account: `403 {}`}, wantWord: "unavailable", wantSays: "may not read"},
		"too many":         {answers: map[string]string{account: `429 {}`}, wantWord: "retryable", wantSays: "429"},
		"a failure":        {answers: map[string]string{account: `502 <html>`}, wantWord: "retryable", wantSays: "502"},
		"a strange answer": {answers: map[string]string{account: `418 {"error":{"message":"teapot"}}`}, wantWord: "permanent", wantSays: "418: teapot"},
		"a redirect":       {answers: map[string]string{account: `301 {}`}, wantWord: "unavailable", wantSays: "redirects"},
		"an error with 200": {
			change:   func(o *httpapi.Operations) { o.Observe.Account.Answers.Done = "response.body.ok" },
			answers:  map[string]string{account: `200 {"ok":false,"error":"internal"}`},
			wantWord: "permanent", wantSays: "internal",
		},
		"an error with 200 that the connector knows": {
			change: func(o *httpapi.Operations) {
				o.Observe.Account.Answers = httpapi.Answers{Done: "response.body.ok", Retryable: `response.body.error == "internal"`}
			},
			answers:  map[string]string{account: `200 {"ok":false,"error":"internal"}`},
			wantWord: "retryable",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ops := operations()
			if tc.change != nil {
				tc.change(&ops)
			}
			got, err := observe(t, newBackend(t, serve(t, tc.answers).url, ops), "ann")
			if tc.wantWord != "" {
				if provisioning.Word(err) != tc.wantWord || !strings.Contains(err.Error(), tc.wantSays) || strings.Contains(err.Error(), secret) {
					t.Errorf("%v, want %s %s", err, tc.wantWord, tc.wantSays)
				}
				return
			}
			if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
				t.Error(err, diff)
			}
		})
	}
}

func access(account provisioning.AccountState, id string, p provisioning.Presence, others ...string) provisioning.Access {
	return provisioning.Access{Account: account, AccountID: id, Entitlements: map[string]provisioning.Membership{
		"editors": {Presence: p, Others: others, OthersKnown: true},
	}}
}

func TestValuesStayInTheirSegment(t *testing.T) {
	tests := map[string]struct {
		path, id string

		want      string
		wantWrong string
	}{
		"an email":                      {path: "/users/{subject.id}", id: "ann@example.com", want: "/users/ann@example.com"},
		"slashes, question marks":       {path: "/users/{subject.id}", id: "a/b?c#d%2f", want: "/users/a%2Fb%3Fc%23d%252f"},
		"part of a segment":             {path: "/u-{subject.id}.json", id: "..", want: "/u-...json"},
		"a brace in a string":           {path: `/users/{subject.id + "}{" + '\''}/x`, id: "a", want: "/users/a%7D%7B%27/x"},
		"a map":                         {path: `/users/{ {"a": {"b": subject.id}}["a"]["b"] }`, id: "a", want: "/users/a"},
		"two dots":                      {path: "/users/{subject.id}/x", id: "..", wantWrong: `".."`},
		"one dot":                       {path: "/users/{subject.id}/x", id: ".", wantWrong: `"."`},
		"nothing":                       {path: "/users/{subject.attributes[?'x'].orValue('')}", id: "a", wantWrong: "empty string"},
		"an expression that goes wrong": {path: "/users/{subject.attributes['x']}", id: "a", wantWrong: "no such key"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ops := operations()
			ops.Observe.Account.Path = tc.path
			a := serve(t, map[string]string{"GET " + tc.want: "404 {}", "GET /groups/editors/members": "200 []"})
			_, err := observe(t, newBackend(t, a.url, ops), tc.id)
			if tc.wantWrong != "" {
				if provisioning.Word(err) != "permanent" || !strings.Contains(err.Error(), tc.wantWrong) || len(a.asked) > 0 {
					t.Errorf("%v after %v", err, a.asked)
				}
			} else if err != nil || a.asked[0] != "GET "+tc.want {
				t.Error(err, a.asked)
			}
		})
	}
}

func TestNewNamesMistakes(t *testing.T) {
	tests := map[string]struct {
		change func(*httpapi.Operations)
		want   string
	}{
		"a misspelt member":  {func(o *httpapi.Operations) { o.Observe.Account.Path = "/users/{subject.ident}" }, "operations.observe.account.path: line 1, column 1: undeclared reference to 'subject'"},
		"what is known here": {func(o *httpapi.Operations) { o.Observe.Account.Path = "/users/{user.id}" }, "known here are cursor, request, subject.attributes, subject.id"},
		"a second line":      {func(o *httpapi.Operations) { o.Observe.Holders.Items = "response.body\n  .filter(i, i.x ==)" }, "operations.observe.holders.items: line 2, column"},
		"a wrong type":       {func(o *httpapi.Operations) { o.AddEntitlement[0].When = "user.id" }, "operations.addEntitlement[0].when: line 1, column 1: must yield a bool, not string"},
		"a request's member": {func(o *httpapi.Operations) { o.AddEntitlement[0].Body = "{'by': request.requestedBy.mail}" }, "undefined field 'mail'"},
		"an open brace":      {func(o *httpapi.Operations) { o.Observe.Account.Path = "/users/{subject.id" }, "column 8: a brace without its other"},
		"a closing brace":    {func(o *httpapi.Operations) { o.Observe.Account.Path = "/users/x}" }, "a brace without its other"},
		"dots in a path":     {func(o *httpapi.Operations) { o.Observe.Account.Path = "/users/../{subject.id}" }, "must not have an empty segment"},
		"a query in a path":  {func(o *httpapi.Operations) { o.Observe.Account.Path = "/users?id={subject.id}" }, "parameters belong in `query`"},
		"when of a fact":     {func(o *httpapi.Operations) { o.Observe.Account.When = "true" }, "belongs to changes only"},
		"when of a check":    {func(o *httpapi.Operations) { o.Check.When = "true" }, "operations.check.when: belongs to changes only"},
		"both ways":          {func(o *httpapi.Operations) { o.Observe.Membership = o.Observe.Holders }, "exactly one of holders and membership"},
		"deactivation that is not seen": {
			func(o *httpapi.Operations) { o.DeactivateAccount = []httpapi.Request{{Method: "POST", Path: "/x"}} }, "operations.observe.account.active: must be given",
		},
		"creation that is not seen": {
			func(o *httpapi.Operations) {
				o.CreateAccount = []httpapi.Request{{Method: "POST", Path: "/x"}}
				o.Observe.Account = nil
			}, "operations.observe.account: must be given",
		},
		"holders that nobody lists": {
			func(o *httpapi.Operations) {
				o.Observe.Membership, o.Observe.Holders = o.Observe.Holders, nil
				o.AddEntitlement[0].Body = "holders + [user.id]"
			}, "uses `holders`",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ops := operations()
			tc.change(&ops)
			_, err := httpapi.New(httpapi.Options{BaseURL: "http://localhost", Operations: ops})
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

func TestApply(t *testing.T) {
	const account, members, put = "GET /users/ann", "GET /groups/editors/members", "PUT /groups/editors/members/1"
	without := func(answer string) map[string]string {
		return map[string]string{account: `200 {"id":1}`, members: `200 [{"id":2}]`, put: answer}
	}
	tests := map[string]struct {
		change  func(*httpapi.Operations)
		answers map[string]string
		action  provisioning.Action

		wantLast string
		wantWord string
		wantSays string
	}{
		"an addition":          {answers: without("204 "), action: provisioning.AddEntitlement, wantLast: put, wantWord: "ok"},
		"what is so already":   {answers: map[string]string{account: `200 {"id":2}`, members: `200 [{"id":2}]`}, action: provisioning.AddEntitlement, wantLast: members, wantWord: "ok"},
		"a removal of nothing": {answers: without(""), action: provisioning.RemoveEntitlement, wantLast: members, wantWord: "ok"},
		"who may not":          {answers: without("403 {}"), action: provisioning.AddEntitlement, wantLast: put, wantWord: "permanent", wantSays: "may not make this change"},
		"a conflict":           {answers: without("409 {}"), action: provisioning.AddEntitlement, wantLast: put, wantWord: "retryable"},
		"a refusal":            {answers: without(`422 {"message":"no seat"}`), action: provisioning.AddEntitlement, wantLast: put, wantWord: "permanent", wantSays: "no seat"},
		"refused credentials":  {answers: without(`401 {}`), action: provisioning.AddEntitlement, wantLast: put, wantWord: "unavailable"},
		"pending": {
			change:  func(o *httpapi.Operations) { o.AddEntitlement[0].Answers.Pending = "response.status == 202" },
			answers: without(`202 {"message":"on its way"}`), action: provisioning.AddEntitlement, wantLast: put, wantWord: "pending", wantSays: "on its way",
		},
		"already done by the connector's word": {
			change: func(o *httpapi.Operations) {
				o.AddEntitlement[0].Answers.AlreadyDone = `response.body.code == "exists"`
			},
			answers: without(`400 {"code":"exists"}`), action: provisioning.AddEntitlement, wantLast: put, wantWord: "ok",
		},
		"a request that does not apply": {
			change:  func(o *httpapi.Operations) { o.AddEntitlement[0].When = "member != null" },
			answers: without(""), action: provisioning.AddEntitlement, wantLast: members, wantWord: "ok",
		},
		"a body, with what was asked for": {
			change: func(o *httpapi.Operations) {
				o.AddEntitlement[0].Body = `{"id": user.item.id, "for": request.targetWorkApp.name, "all": holders}`
			},
			answers: map[string]string{account: `200 {"id":1}`, members: `200 [{"id":2}]`, put + ` {"all":["2"],"for":"Slack","id":1}`: "200 {}"},
			action:  provisioning.AddEntitlement, wantLast: put + ` {"all":["2"],"for":"Slack","id":1}`, wantWord: "ok",
		},
		"a query that is empty is left out": {
			change: func(o *httpapi.Operations) {
				o.AddEntitlement[0].Query = map[string]string{"a": `"x&y"`, "b": `request.requestedBy.email`}
			},
			answers: map[string]string{account: `200 {"id":1}`, members: `200 [{"id":2}]`, put + `?a=x%26y`: "200 {}"},
			action:  provisioning.AddEntitlement, wantLast: put + "?a=x%26y", wantWord: "ok",
		},
		"a header with two lines": {
			change: func(o *httpapi.Operations) {
				o.AddEntitlement[0].Headers = map[string]string{"X-For": `subject.id + "\r\nX-Admin: yes"`}
			},
			answers: without(""), action: provisioning.AddEntitlement, wantLast: members, wantWord: "permanent", wantSays: "headers[X-For]",
		},
		"what the connector does not say": {action: provisioning.DeleteAccount, wantWord: "permanent", wantSays: "no request for DeleteAccount"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ops := operations()
			if tc.change != nil {
				tc.change(&ops)
			}
			a := serve(t, tc.answers)
			s := provisioning.Subject{ID: "ann", Request: provisioning.Request{TargetWorkApp: provisioning.Named{Name: "Slack"}}}
			err := newBackend(t, a.url, ops).Apply(t.Context(), s, provisioning.Change{Action: tc.action, Entitlement: "editors"})
			last := ""
			if len(a.asked) > 0 {
				last = a.asked[len(a.asked)-1]
			}
			if provisioning.Word(err) != tc.wantWord || last != tc.wantLast || tc.wantSays != "" && !strings.Contains(err.Error(), tc.wantSays) {
				t.Errorf("%v, last %q; want %s %s, last %q", err, last, tc.wantWord, tc.wantSays, tc.wantLast)
			}
		})
	}
}

func TestPagination(t *testing.T) {
	const first = "GET /groups/editors/members"
	page := func(p httpapi.Page) *httpapi.Pagination { return &httpapi.Pagination{Page: &p} }
	tests := map[string]struct {
		how     *httpapi.Pagination
		items   string
		answers map[string]string

		want     []string
		wantWord string
		wantSays string
	}{
		"Link": {
			how: &httpapi.Pagination{Link: true},
			answers: map[string]string{
				first:           "<{url}/self>; rel=\"self\", <{url}/more?x=1>; title=\"a, b\"; rel=\"next last\"\n200 [{\"id\":\"a\"}]",
				"GET /more?x=1": `200 [{"id":"b"}]`,
			},
			want: []string{"a", "b"},
		},
		"Link to elsewhere": {
			how: &httpapi.Pagination{Link: true}, answers: map[string]string{first: "<https://elsewhere.example.com/x>; rel=\"next\"\n200 []"},
			wantWord: "unavailable", wantSays: "not below baseURL",
		},
		"a cursor": {
			how: &httpapi.Pagination{Cursor: `response.body.?next.orValue("")`, CursorParameter: "after"}, items: "response.body.all",
			answers: map[string]string{first: `200 {"all":[{"id":"a"}],"next":"x y"}`, first + "?after=x+y": `200 {"all":[{"id":"b"}]}`},
			want:    []string{"a", "b"},
		},
		"a cursor that stays": {
			how: &httpapi.Pagination{Cursor: `"x"`, CursorParameter: "after"}, answers: map[string]string{first: `200 []`, first + "?after=x": `200 []`},
			wantWord: "unavailable", wantSays: "stays the same",
		},
		"pages": {
			how:     page(httpapi.Page{Parameter: "page", First: 1, SizeParameter: "n", Size: 1}),
			answers: map[string]string{first + "?n=1&page=1": `200 [{"id":"a"}]`, first + "?n=1&page=2": `200 [{"id":"b"}]`, first + "?n=1&page=3": `200 []`},
			want:    []string{"a", "b"},
		},
		"pages that are all alike": {
			how:      page(httpapi.Page{Parameter: "page", First: 1}),
			answers:  map[string]string{first + "?page=1": `200 [{"id":"a"}]`, first + "?page=2": `200 [{"id":"a"}]`},
			wantWord: "retryable", wantSays: "does not page",
		},
		"items, one read twice": {
			how:     page(httpapi.Page{Parameter: "first", ByItems: true}),
			answers: map[string]string{first + "?first=0": `200 [{"id":"a"},{"id":"b"}]`, first + "?first=1": `200 [{"id":"b"},{"id":"c"}]`, first + "?first=2": `200 [{"id":"c"}]`},
			want:    []string{"a", "b", "c"},
		},
		"items that moved while they were read": {
			how:      page(httpapi.Page{Parameter: "first", ByItems: true}),
			answers:  map[string]string{first + "?first=0": `200 [{"id":"a"},{"id":"b"}]`, first + "?first=1": `200 [{"id":"d"}]`},
			wantWord: "retryable", wantSays: "changed while it was read",
		},
		"too many pages": {
			how:      &httpapi.Pagination{Page: &httpapi.Page{Parameter: "page"}, MaxPages: 2},
			answers:  map[string]string{first + "?page=0": `200 [{"id":"a"}]`, first + "?page=1": `200 [{"id":"b"}]`},
			wantWord: "permanent", wantSays: "more than 2 pages",
		},
		"a page that is gone": {
			how: &httpapi.Pagination{Page: &httpapi.Page{Parameter: "page"}}, answers: map[string]string{first + "?page=0": `200 [{"id":"a"}]`, first + "?page=1": `404 {}`},
			wantWord: "retryable", wantSays: "ended in the middle",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ops := operations()
			ops.Observe.Holders.Pagination, ops.Observe.Holders.Items = tc.how, tc.items
			tc.answers["GET /users/ann"] = "404 {}"
			got, err := observe(t, newBackend(t, serve(t, tc.answers).url, ops), "ann")
			if tc.wantWord != "" {
				if provisioning.Word(err) != tc.wantWord || !strings.Contains(err.Error(), tc.wantSays) {
					t.Errorf("%v, want %s %s", err, tc.wantWord, tc.wantSays)
				}
				return
			}
			if diff := cmp.Diff(tc.want, got.Entitlements["editors"].Others); err != nil || diff != "" {
				t.Error(err, diff)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	tests := map[string]struct{ answer, word, reason string }{
		"good":         {"200 {}", "ok", ""},
		"bad password": {"401 {}", "unavailable", provisioning.ReasonUnauthorized},
		"may not":      {"403 {}", "unavailable", provisioning.ReasonAccessForbidden},
		"wrong path":   {"404 {}", "unavailable", provisioning.ReasonEndpointNotFound},
		"wrong method": {"405 {}", "unavailable", provisioning.ReasonEndpointNotFound},
		"failure":      {"500 {}", "retryable", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := newBackend(t, serve(t, map[string]string{"GET /check": tc.answer}).url, operations()).Check(t.Context())
			var unavailable *provisioning.UnavailableError
			if provisioning.Word(err) != tc.word || errors.As(err, &unavailable) && unavailable.Reason != tc.reason {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("without a request of its own", func(t *testing.T) {
		ops := operations()
		ops.Check = nil
		if err := newBackend(t, serve(t, map[string]string{"GET /users/access-operator-probe": "404 {}"}).url, ops).Check(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestALinkStaysBelowTheBaseURL(t *testing.T) {
	for _, link := range []string{"{url}/other", "/apix", "{url}/api/../other", "{url}/api/%2e%2e/other", "//elsewhere.example.com/api/x", "http://user@{url}/api/x"} {
		a := serve(t, map[string]string{"GET /api/users/ann": "404 {}", "GET /api/groups/editors/members": "<" + link + ">; rel=next\n200 []"})
		ops := operations()
		ops.Observe.Holders.Pagination = &httpapi.Pagination{Link: true}
		if _, err := observe(t, newBackend(t, a.url+"/api", ops), "ann"); provisioning.Word(err) != "unavailable" || !strings.Contains(err.Error(), "not below baseURL") {
			t.Errorf("%s: %v", link, err)
		}
	}
}

// TestWholeListsAreWrittenOneAtATime: a change that writes all holders must not undo another's.
func TestWholeListsAreWrittenOneAtATime(t *testing.T) {
	var mu sync.Mutex
	members := ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPut {
			body, _ := io.ReadAll(r.Body)
			members = strings.Trim(string(body), `"`)
			return
		}
		if id, ok := strings.CutPrefix(r.URL.Path, "/users/"); ok {
			fmt.Fprintf(w, `{"id":%q}`, id)
			return
		}
		fmt.Fprintf(w, `%q`, members)
	}))
	t.Cleanup(s.Close)
	ops := operations()
	ops.Observe.Holders.Items, ops.Observe.Holders.ID = `response.body == "" ? [] : response.body.split(",")`, "item"
	ops.AddEntitlement = []httpapi.Request{{Method: "PUT", Path: "/groups/{entitlement}/members", Body: `(holders + [user.id]).join(",")`}}
	b := newBackend(t, s.URL, ops)
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			if err := b.Apply(t.Context(), provisioning.Subject{ID: fmt.Sprint("p", i)}, provisioning.Change{Action: provisioning.AddEntitlement, Entitlement: "editors"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := len(strings.Split(members, ",")); got != 10 {
		t.Errorf("%d of 10 are left: %s", got, members)
	}
}
