// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package scim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// script answers requests by "<method> <path>?<filter>"; the first key that is a prefix of the request counts. What was
// asked is kept.
type script struct {
	t       *testing.T
	answers []answer
	asked   []string
	bodies  []string
}

type answer struct {
	request string
	status  int
	body    string
	header  http.Header
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	request := r.Method + " " + r.URL.Path + "?" + r.URL.Query().Get("filter") + " " + r.URL.Query().Get("startIndex")
	s.asked = append(s.asked, strings.TrimRight(request, "? "))
	s.bodies = append(s.bodies, string(body))
	for _, a := range s.answers {
		if strings.HasPrefix(request, a.request) {
			maps.Copy(w.Header(), a.header)
			w.WriteHeader(a.status)
			fmt.Fprint(w, a.body)
			return
		}
	}
	s.t.Errorf("unexpected request %s", request)
	w.WriteHeader(http.StatusTeapot)
}

func backend(t *testing.T, answers ...answer) (*Backend, *script) {
	t.Helper()
	s := &script{t: t, answers: answers}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	client := httpclient.New(httpclient.Options{Authentication: httpclient.Bearer("hunter2")})
	t.Cleanup(client.Close)
	return New(Options{BaseURL: server.URL + "/", Client: client}), s
}

func listOf(resources ...string) string {
	return fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":%d,"Resources":[%s]}`, len(resources), strings.Join(resources, ","))
}

func members(ids ...string) string {
	list := []string{}
	for _, id := range ids {
		list = append(list, fmt.Sprintf(`{"value":%q}`, id))
	}
	return "[" + strings.Join(list, ",") + "]"
}

func many(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("u%d", i)
	}
	return ids
}

const annUser = `{"id":"1","userName":"Ann@example.com","active":true}`

var ann = provisioning.Subject{ID: "ann@example.com"}

func user1(body string) answer { return answer{request: "GET /Users", status: 200, body: body} }

func editors(body string) answer {
	return answer{request: `GET /Groups?displayName eq "editors"`, status: 200, body: listOf(body)}
}

func TestObserve(t *testing.T) {
	const anywhere = "GET /Groups"
	tests := map[string]struct {
		answers     []answer
		wantAccount provisioning.AccountState
		want        provisioning.Membership
		wantReason  string // of an error
	}{
		"a member among others": {
			answers:     []answer{user1(listOf(annUser)), editors(`{"id":"g","displayName":"editors","members":` + members("2", "1") + `}`)},
			wantAccount: provisioning.AccountActive,
			want:        provisioning.Membership{Presence: provisioning.Present, Others: []string{"2"}, OthersKnown: true},
		},
		"a member that is stored twice is one": {
			answers:     []answer{user1(listOf(annUser)), editors(`{"id":"g","displayName":"editors","members":` + members("2", "1", "2", "1") + `}`)},
			wantAccount: provisioning.AccountActive,
			want:        provisioning.Membership{Presence: provisioning.Present, Others: []string{"2"}, OthersKnown: true},
		},
		"no member, others are": {
			answers:     []answer{user1(listOf(annUser)), editors(`{"id":"g","displayName":"editors","members":` + members("2") + `}`)},
			wantAccount: provisioning.AccountActive,
			want:        provisioning.Membership{Presence: provisioning.Absent, Others: []string{"2"}, OthersKnown: true},
		},
		"a list without members is read again one by one": {
			answers: []answer{
				user1(listOf(annUser)), editors(`{"id":"g/1","displayName":"editors"}`),
				{request: "GET /Groups/g/1", status: 200, body: `{"id":"g/1","displayName":"editors","members":` + members("1") + `}`},
			},
			wantAccount: provisioning.AccountActive,
			want:        provisioning.Membership{Presence: provisioning.Present, OthersKnown: true},
		},
		"a server that shows no members anywhere": {
			answers: []answer{
				user1(listOf(annUser)), editors(`{"id":"g","displayName":"editors","members":[]}`),
				{request: `GET /Groups?id eq "g" and members.value eq "1"`, status: 200, body: listOf()},
				{request: anywhere, status: 200, body: listOf(`{"id":"h","members":[]}`)},
			},
			wantAccount: provisioning.AccountActive,
			want:        provisioning.Membership{Presence: provisioning.NotVisible},
		},
		"a server that shows members elsewhere has an empty group here": {
			answers: []answer{
				user1(listOf(annUser)), editors(`{"id":"g","displayName":"editors"}`),
				{request: "GET /Groups/g", status: 200, body: `{"id":"g","displayName":"editors"}`},
				{request: anywhere, status: 200, body: listOf(`{"id":"h","members":` + members("7") + `}`)},
			},
			wantAccount: provisioning.AccountActive,
			want:        provisioning.Membership{Presence: provisioning.Absent, OthersKnown: true},
		},
		"a server that tells by a filter what it does not list": {
			answers: []answer{
				user1(listOf(annUser)), editors(`{"id":"g","displayName":"editors","members":[]}`),
				{request: `GET /Groups?id eq "g" and members.value eq "1"`, status: 200, body: listOf(`{"id":"g"}`)},
				{request: anywhere, status: 200, body: listOf()},
			},
			wantAccount: provisioning.AccountActive,
			want:        provisioning.Membership{Presence: provisioning.Present},
		},
		"a server that ignores such a filter tells nothing by it": {
			answers: []answer{
				user1(listOf(annUser)), editors(`{"id":"g","displayName":"editors","members":[]}`),
				{request: anywhere, status: 200, body: listOf(`{"id":"g","members":[]}`)},
			},
			wantAccount: provisioning.AccountActive,
			want:        provisioning.Membership{Presence: provisioning.NotVisible},
		},
		"a list that may be cut says nothing about who is not on it": {
			answers: []answer{
				user1(listOf(annUser)), editors(`{"id":"g","displayName":"editors","members":` + members(many(100)...) + `}`),
				{request: `GET /Groups?id eq "g" and members.value eq "1"`, status: 400, body: `{"scimType":"invalidFilter"}`},
			},
			wantAccount: provisioning.AccountActive,
			want:        provisioning.Membership{Presence: provisioning.NotVisible, Others: many(100)},
		},
		"a server that fails at such a filter tells nothing": {
			answers: []answer{
				user1(listOf(annUser)), editors(`{"id":"g","displayName":"editors","members":[]}`),
				{request: `GET /Groups?id eq "g"`, status: 501},
				{request: anywhere, status: 200, body: listOf()},
			},
			wantAccount: provisioning.AccountActive,
			want:        provisioning.Membership{Presence: provisioning.NotVisible},
		},
		"a server that fails at the second such filter tells nothing": {
			answers: []answer{
				user1(listOf(annUser)), editors(`{"id":"g","displayName":"editors","members":[]}`),
				{request: `GET /Groups?id eq "g" and members.value eq "1"`, status: 200, body: listOf(`{"id":"g"}`)},
				{request: `GET /Groups?id eq "g"`, status: 500},
				{request: anywhere, status: 200, body: listOf()},
			},
			wantAccount: provisioning.AccountActive,
			want:        provisioning.Membership{Presence: provisioning.NotVisible},
		},
		"a user's own groups count": {
			answers: []answer{
				user1(listOf(`{"id":"1","userName":"ann@example.com","groups":` + members("g") + `}`)),
				editors(`{"id":"g","displayName":"editors","members":[]}`),
			},
			wantAccount: provisioning.AccountActive,
			want:        provisioning.Membership{Presence: provisioning.Present},
		},
		"no account": {
			answers:     []answer{user1(listOf()), editors(`{"id":"g","displayName":"editors","members":` + members("2") + `}`)},
			wantAccount: provisioning.AccountAbsent,
			want:        provisioning.Membership{Presence: provisioning.Absent, Others: []string{"2"}, OthersKnown: true},
		},
		"an inactive account": {
			answers:     []answer{user1(listOf(`{"id":"1","userName":"ann@example.com","active":false}`)), editors(`{"id":"g","displayName":"editors","members":` + members("1") + `}`)},
			wantAccount: provisioning.AccountInactive,
			want:        provisioning.Membership{Presence: provisioning.Present, OthersKnown: true},
		},
		"active as other clients store it": {
			answers:     []answer{user1(listOf(`{"id":"1","userName":"ann@example.com","active":"False"}`)), editors(`{"id":"g","displayName":"editors","members":` + members("1") + `}`)},
			wantAccount: provisioning.AccountInactive,
			want:        provisioning.Membership{Presence: provisioning.Present, OthersKnown: true},
		},
		"a server that does not filter is paged through": {
			answers: []answer{
				{request: `GET /Users?userName eq "ann@example.com" 2`, status: 200, body: `{"totalResults":3,"Resources":[` + annUser + `]}`},
				{request: `GET /Users?userName eq "ann@example.com" 3`, status: 200, body: `{"totalResults":3,"Resources":[{"id":"3","userName":"cyd"}]}`},
				user1(`{"totalResults":3,"Resources":[{"id":"2","userName":"bob"}]}`),
				editors(`{"id":"g","displayName":"editors","members":` + members("1") + `}`),
			},
			wantAccount: provisioning.AccountActive,
			want:        provisioning.Membership{Presence: provisioning.Present, OthersKnown: true},
		},
		"a server that compares with regard to case is looked through": {
			answers: []answer{
				{request: `GET /Users?userName eq "ann@example.com"`, status: 200, body: listOf()},
				{request: `GET /Users?userName eq "ANN@EXAMPLE.COM"`, status: 200, body: listOf()},
				{request: "GET /Users? 2", status: 200, body: listOf()},
				{request: "GET /Users? ", status: 200, body: listOf(annUser)},
				editors(`{"id":"g","displayName":"editors","members":` + members("1") + `}`),
			},
			wantAccount: provisioning.AccountActive,
			want:        provisioning.Membership{Presence: provisioning.Present, OthersKnown: true},
		},
		"a server that compares without regard to case is not": {
			answers: []answer{
				{request: `GET /Users?userName eq "ann@example.com"`, status: 200, body: listOf()},
				{request: `GET /Users?userName eq "BOB"`, status: 200, body: listOf(`{"id":"2","userName":"bob"}`)},
				{request: "GET /Users? ", status: 200, body: `{"totalResults":100000,"Resources":[{"id":"2","userName":"bob"}]}`},
				editors(`{"id":"g","displayName":"editors","members":` + members("2") + `}`),
			},
			wantAccount: provisioning.AccountAbsent,
			want:        provisioning.Membership{Presence: provisioning.Absent, Others: []string{"2"}, OthersKnown: true},
		},
		"a server that does not list its users is taken at the standard's word": {
			answers: []answer{
				{request: `GET /Users?userName eq "ann@example.com"`, status: 200, body: listOf()},
				{request: "GET /Users? ", status: 400, body: `{"scimType":"tooMany"}`},
				editors(`{"id":"g","displayName":"editors","members":` + members("2") + `}`),
			},
			wantAccount: provisioning.AccountAbsent,
			want:        provisioning.Membership{Presence: provisioning.Absent, Others: []string{"2"}, OthersKnown: true},
		},
		"one that compares with regard to case and has too many is an error": {
			answers: []answer{
				{request: `GET /Users?userName eq "ann@example.com"`, status: 200, body: listOf()},
				{request: `GET /Users?userName eq "BOB"`, status: 200, body: listOf()},
				{request: "GET /Users? ", status: 200, body: `{"totalResults":1000000,"Resources":[{"id":"2","userName":"bob"}]}`},
			},
			wantReason: provisioning.ReasonRefused,
		},
		"two users of the name are ambiguous": {
			answers:    []answer{user1(listOf(annUser, `{"id":"2","userName":"ANN@example.com"}`))},
			wantReason: provisioning.ReasonAmbiguousSubject,
		},
		"a server that never ends is not looked through": {
			answers:    []answer{user1(`{"totalResults":1000000,"Resources":[{"id":"2","userName":"bob"}]}`)},
			wantReason: provisioning.ReasonRefused,
		},
		"no such group": {
			answers:    []answer{user1(listOf(annUser)), {request: anywhere, status: 200, body: listOf(`{"id":"g","displayName":"Editors","members":[]}`)}},
			wantReason: provisioning.ReasonEntitlementNotFound,
		},
		"two groups of the name": {
			answers: []answer{user1(listOf(annUser)), {
				request: anywhere, status: 200,
				body: listOf(`{"id":"g","displayName":"editors","members":[]}`, `{"id":"h","displayName":"editors","members":[]}`),
			}},
			wantReason: provisioning.ReasonAmbiguousEntitlement,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b, _ := backend(t, tc.answers...)
			seen, err := b.Observe(t.Context(), ann, []string{"editors"})
			if tc.wantReason != "" {
				var wrong *provisioning.PermanentError
				if !errors.As(err, &wrong) || wrong.Reason != tc.wantReason {
					t.Errorf("error %v, want %s", err, tc.wantReason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if seen.Account != tc.wantAccount {
				t.Errorf("account %s, want %s", seen.Account, tc.wantAccount)
			}
			if diff := cmp.Diff(tc.want, seen.Entitlements["editors"]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whoever is not on a list that is not whole may be there: a removal must not take such a user for gone.
func TestNobodyIsAbsentByAListThatIsNotWhole(t *testing.T) {
	tests := map[string]string{
		"the first page again and again, without a filter": `{"totalResults":3,"Resources":[{"id":"2","userName":"bob"}]}`,
		"no filter and no count":                           `{"Resources":[{"id":"2","userName":"bob"}]}`,
		"a count without what it counts":                   `{"totalResults":1,"Resources":[]}`,
		"a count alone":                                    `{"totalResults":1}`,
	}
	for name, list := range tests {
		t.Run(name, func(t *testing.T) {
			b, _ := backend(t, user1(list))
			seen, err := b.Observe(t.Context(), ann, nil)
			if provisioning.Word(err) != "retryable" {
				t.Errorf("%+v, error %v", seen, err)
			}
		})
	}
	b, _ := backend(t, user1(`{"totalResults":0}`))
	if seen, err := b.Observe(t.Context(), ann, nil); err != nil || seen.Account != provisioning.AccountAbsent {
		t.Errorf("an empty list without Resources: %+v, error %v", seen, err)
	}
}

func TestAnswersToReads(t *testing.T) {
	tests := map[string]struct {
		answer answer
		word   string
		reason string
		after  time.Duration
	}{
		"credentials are refused":      {answer: answer{status: 401, body: `{"detail":"hunter2 is wrong"}`}, word: "unavailable", reason: provisioning.ReasonUnauthorized},
		"credentials may not read":     {answer: answer{status: 403}, word: "unavailable", reason: provisioning.ReasonAccessForbidden},
		"a wrong address":              {answer: answer{status: 404}, word: "unavailable", reason: provisioning.ReasonEndpointNotFound},
		"a page":                       {answer: answer{status: 200, body: "<html>"}, word: "unavailable", reason: provisioning.ReasonEndpointNotFound},
		"another protocol":             {answer: answer{status: 200, body: `{"users":[]}`}, word: "unavailable", reason: provisioning.ReasonEndpointNotFound},
		"nothing":                      {answer: answer{status: 204}, word: "unavailable", reason: provisioning.ReasonEndpointNotFound},
		"a filter that is not taken":   {answer: answer{status: 400, body: `{"scimType":"invalidFilter"}`}, word: "permanent", reason: provisioning.ReasonRefused},
		"a rate limit":                 {answer: answer{status: 429, header: http.Header{"Retry-After": {"7"}}}, word: "retryable", after: 7 * time.Second},
		"a rate limit without a delay": {answer: answer{status: 429}, word: "retryable"},
		"a rate limit for a day":       {answer: answer{status: 429, header: http.Header{"Retry-After": {"86400"}}}, word: "retryable", after: time.Hour},
		"a delay that is none":         {answer: answer{status: 503, header: http.Header{"Retry-After": {"soon"}}}, word: "retryable"},
		"a server that is down":        {answer: answer{status: 503, header: http.Header{"Retry-After": {"9"}}}, word: "retryable", after: 9 * time.Second},
		"a server that fails":          {answer: answer{status: 500, body: "panic: hunter2"}, word: "retryable"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.answer.request = "GET /Users"
			b, _ := backend(t, tc.answer)
			err := b.Check(t.Context())
			judge(t, err, tc.word, tc.reason)
			if retryable, ok := errors.AsType[*provisioning.RetryableError](err); ok && (retryable.After != tc.after || retryable.RateLimited != (tc.answer.status == 429)) {
				t.Errorf("%+v", retryable)
			}
		})
	}
}

func judge(t *testing.T, err error, word, reason string) {
	t.Helper()
	if got := provisioning.Word(err); got != word {
		t.Errorf("%s (%v), want %s", got, err, word)
	}
	if wrong, ok := errors.AsType[*provisioning.PermanentError](err); ok && wrong.Reason != reason {
		t.Errorf("reason %s, want %s", wrong.Reason, reason)
	}
	if wrong, ok := errors.AsType[*provisioning.UnavailableError](err); ok && wrong.Reason != reason {
		t.Errorf("reason %s, want %s", wrong.Reason, reason)
	}
	if err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error holds the token: %v", err)
	}
}

func TestAnswersToWrites(t *testing.T) {
	const patchGroup, patchUser, deleteUser = "PATCH /Groups/g", "PATCH /Users/1", "DELETE /Users/1"
	tests := map[string]struct {
		action provisioning.Action
		answer answer
		word   string
		reason string
	}{
		"200":                               {provisioning.AddEntitlement, answer{request: patchGroup, status: 200}, "ok", ""},
		"204":                               {provisioning.AddEntitlement, answer{request: patchGroup, status: 204}, "ok", ""},
		"202":                               {provisioning.AddEntitlement, answer{request: patchGroup, status: 202}, "ok", ""},
		"refused credentials":               {provisioning.AddEntitlement, answer{request: patchGroup, status: 401}, "unavailable", provisioning.ReasonUnauthorized},
		"credentials may not write":         {provisioning.AddEntitlement, answer{request: patchGroup, status: 403, body: `{"detail":"no hunter2"}`}, "permanent", provisioning.ReasonForbidden},
		"the group vanished":                {provisioning.AddEntitlement, answer{request: patchGroup, status: 404}, "retryable", ""},
		"a conflict":                        {provisioning.AddEntitlement, answer{request: patchGroup, status: 409}, "retryable", ""},
		"a version that is old":             {provisioning.AddEntitlement, answer{request: patchGroup, status: 412}, "retryable", ""},
		"a refusal":                         {provisioning.AddEntitlement, answer{request: patchGroup, status: 400, body: `{"scimType":"invalidValue","detail":"hunter2"}`}, "permanent", provisioning.ReasonRefused},
		"a failure of the server, also 501": {provisioning.AddEntitlement, answer{request: patchGroup, status: 501}, "retryable", ""},
		"nothing to remove":                 {provisioning.RemoveEntitlement, answer{request: patchGroup, status: 400, body: `{"scimType":"noTarget"}`}, "ok", ""},
		"a removal that is refused":         {provisioning.RemoveEntitlement, answer{request: patchGroup, status: 400}, "permanent", provisioning.ReasonRefused},
		"an account that exists":            {provisioning.CreateAccount, answer{request: "POST /Users", status: 409, body: `{"scimType":"uniqueness"}`}, "retryable", ""},
		"an account is made":                {provisioning.CreateAccount, answer{request: "POST /Users", status: 201}, "ok", ""},
		"an account is activated":           {provisioning.ActivateAccount, answer{request: patchUser, status: 200}, "ok", ""},
		"an account is deactivated":         {provisioning.DeactivateAccount, answer{request: patchUser, status: 200}, "ok", ""},
		"an account is deleted":             {provisioning.DeleteAccount, answer{request: deleteUser, status: 204}, "ok", ""},
		"an account is deleted already":     {provisioning.DeleteAccount, answer{request: deleteUser, status: 404}, "ok", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b, _ := backend(t, tc.answer, user1(listOf(annUser)), editors(`{"id":"g","displayName":"editors","members":[]}`))
			c := provisioning.Change{Action: tc.action}
			if tc.action == provisioning.AddEntitlement || tc.action == provisioning.RemoveEntitlement {
				c.Entitlement = "editors"
			}
			judge(t, b.Apply(t.Context(), ann, c), tc.word, tc.reason)
		})
	}
}

// What is sent is what every server that was tried understands alike.
func TestWhatIsSent(t *testing.T) {
	odd := provisioning.Subject{ID: `x" or userName pr or userName eq "\`, Attributes: map[string]string{"displayName": `Ann "A" 😀`, "name.givenName": "Ann", "userName": "eve", "active": "no"}}
	tests := map[string]struct {
		subject provisioning.Subject
		change  provisioning.Change
		asked   string
		body    string
	}{
		"an addition": {
			ann,
			provisioning.Change{Action: provisioning.AddEntitlement, Entitlement: "editors"},
			"PATCH /Groups/g",
			`{"Operations":[{"op":"add","path":"members","value":[{"value":"1"}]}],"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"]}`,
		},
		"a removal": {
			ann,
			provisioning.Change{Action: provisioning.RemoveEntitlement, Entitlement: "editors"},
			"PATCH /Groups/g",
			`{"Operations":[{"op":"remove","path":"members[value eq \"1\"]"}],"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"]}`,
		},
		"a deactivation": {
			ann,
			provisioning.Change{Action: provisioning.DeactivateAccount},
			"PATCH /Users/1",
			`{"Operations":[{"op":"replace","path":"active","value":false}],"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"]}`,
		},
		"an account": {
			ann,
			provisioning.Change{Action: provisioning.CreateAccount},
			"POST /Users",
			`{"active":true,"emails":[{"primary":true,"type":"work","value":"ann@example.com"}],"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ann@example.com"}`,
		},
		"an account whose attributes cannot change who it is": {
			odd,
			provisioning.Change{Action: provisioning.CreateAccount},
			"POST /Users",
			`{"active":true,"displayName":"Ann \"A\" 😀","name":{"givenName":"Ann"},"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"x\" or userName pr or userName eq \"\\"}`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b, s := backend(t, user1(listOf(annUser)), editors(`{"id":"g","displayName":"editors","members":[]}`), answer{request: "P", status: 200})
			if err := b.Apply(t.Context(), tc.subject, tc.change); err != nil {
				t.Fatal(err)
			}
			if got := s.asked[len(s.asked)-1]; got != tc.asked {
				t.Errorf("asked %s, want %s", got, tc.asked)
			}
			if diff := cmp.Diff(tc.body, s.bodies[len(s.bodies)-1]); diff != "" {
				t.Error(diff)
			}
		})
	}
	b, s := backend(t, user1(listOf()))
	if _, err := b.Observe(t.Context(), odd, nil); err != nil {
		t.Fatal(err)
	}
	if want := `GET /Users?userName eq "x\" or userName pr or userName eq \"\\"`; s.asked[0] != want {
		t.Errorf("asked %s, want %s", s.asked[0], want)
	}
}

func TestAGroupIsEmptiedInBoundedRequests(t *testing.T) {
	left := many(250)
	var sizes []int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch {
			var p struct{ Operations []operation }
			if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
				t.Error(err)
			}
			sizes = append(sizes, len(p.Operations))
			left = left[len(p.Operations):]
			return
		}
		fmt.Fprint(w, listOf(`{"id":"g","displayName":"editors","members":`+members(left...)+`}`))
	}))
	t.Cleanup(server.Close)
	b := New(Options{BaseURL: server.URL, Client: httpclient.New(httpclient.Options{})})
	if n, err := b.CountMembers(t.Context(), "editors"); n != 250 || err != nil {
		t.Error(n, err)
	}
	if err := b.RemoveAllMembers(t.Context(), "editors"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{100, 100, 50}, sizes); diff != "" {
		t.Error(diff)
	}
}

func TestAGroupThatKeepsItsMembersIsNotEmptiedForEver(t *testing.T) {
	for _, n := range []int{2, capAt, 3 * capAt} {
		b, s := backend(t, editors(`{"id":"g","displayName":"editors","members":`+members(many(n)...)+`}`), answer{request: "PATCH", status: 204})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err := b.RemoveAllMembers(ctx, "editors")
		cancel()
		if retryable, ok := errors.AsType[*provisioning.RetryableError](err); !ok || retryable.Unreachable || len(s.asked) > 4 {
			t.Errorf("%d members: %d requests, error %v", n, len(s.asked), err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{listOf(annUser), annUser, `{"id":"g","members":` + members("1") + `}`, `{"members":{"value":"x"}}`, `[]`, `{"totalResults":-1}`, `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if u, err := parseUser(text); err == nil && u.ID == "" {
			t.Error("a user without an id")
		}
		if g, err := parseGroup(text); err == nil {
			seen := map[string]bool{}
			for _, m := range g.Members {
				if m == "" || seen[m] {
					t.Errorf("member %q is empty or there twice", m)
				}
				seen[m] = true
			}
		}
		if l, err := parseList(text); err == nil && l == nil {
			t.Error("no list and no error")
		}
	})
}

func FuzzQuote(f *testing.F) {
	f.Add(`a" or b eq "\`)
	f.Fuzz(func(t *testing.T, s string) {
		q := quote(s)
		inside := q[1 : len(q)-1]
		for i := 0; i < len(inside); i++ {
			switch inside[i] {
			case '\\':
				i++
			case '"':
				t.Fatalf("%q ends early: %s", s, q)
			}
		}
	})
}
