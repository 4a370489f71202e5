// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalktest

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const maxBody = 1 << 20

// answer is what the API answers.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ServeHTTP implements http.Handler: the Open API and the public keys.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return
	}
	entry, limited := f.note(r, body)
	fault := f.fault(r)
	if fault != nil && !fault.before(r) {
		// The connection ends without an answer.
		panic(http.ErrAbortHandler)
	}
	var a answer
	switch {
	case limited != nil:
		a = *limited
	case fault != nil && fault.answers():
		a = fault.answer()
	default:
		a = f.handle(r, body)
	}
	f.mu.Lock()
	entry.Status = a.status
	f.mu.Unlock()
	if fault != nil && fault.LoseAnswer {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// handle answers a request that is within the limit.
func (f *Fake) handle(r *http.Request, body []byte) answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	same := func(header, want string) bool {
		return subtle.ConstantTimeCompare([]byte(r.Header.Get(header)), []byte(want)) == 1
	}
	if !same("X-API-KEY", f.key) || !same("X-API-SECRET", f.secret) {
		return problem(http.StatusUnauthorized, "Unauthorized", "Invalid or missing API key.")
	}
	if r.URL.Path == keysPath && r.Method == http.MethodGet {
		return f.keys()
	}
	path, ok := strings.CutPrefix(r.URL.Path, basePath+"/")
	if !ok {
		// What the server behind the API says of a path that it does not know.
		return answer{status: http.StatusNotFound}
	}
	if r.Method != http.MethodGet && f.readOnly {
		return problem(http.StatusForbidden, "Forbidden", "The API key is read-only.")
	}
	parts := strings.Split(path, "/")
	switch route := r.Method + " " + route(parts); route {
	case "GET Tasks":
		return f.listTasks(r)
	case "GET Tasks/*":
		if t := f.tasks[strings.ToLower(parts[1])]; t != nil {
			return record(r, toTask(t))
		}
	case "POST Tasks/*/Approve":
		return f.act(parts[1], StatusApproved, body)
	case "POST Tasks/*/Decline":
		return f.act(parts[1], StatusDeclined, body)
	case "GET Users/*":
		if u, ok := f.users[strings.ToLower(parts[1])]; ok {
			return record(r, wireUserDetailed{wireUser: toUser(u), RoleName: "User"})
		}
	case "GET WorkApps/*":
		if a := f.apps[strings.ToLower(parts[1])]; a != nil {
			return record(r, wireWorkApp{ID: strings.ToLower(parts[1]), Name: a.name})
		}
	case "GET WorkApps/*/PermissionLevels":
		if a := f.apps[strings.ToLower(parts[1])]; a != nil {
			levels := make([]any, len(a.levels))
			for i, l := range a.levels {
				levels[i] = wireLevel{ID: l.ID, Name: l.Name, Description: l.Name, IsDefault: i == 0}
			}
			return f.page(r, levels)
		}
	default:
		return answer{status: http.StatusNotFound}
	}
	return problem(http.StatusNotFound, "Not Found", "")
}

// route writes * for ids.
func route(parts []string) string {
	parts = slices.Clone(parts)
	if len(parts) > 1 {
		parts[1] = "*"
	}
	return strings.Join(parts, "/")
}

// act closes a task over the API: once.
func (f *Fake) act(id, status string, body []byte) answer {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return problem(http.StatusBadRequest, "Bad Request", "The body is not a JSON object.")
	}
	t := f.tasks[strings.ToLower(id)]
	switch {
	case t == nil:
		return problem(http.StatusNotFound, "Not Found", "")
	case !t.open():
		return problem(http.StatusConflict, "Conflict", "The task is already "+strings.ToLower(t.Status)+".")
	}
	t.close(status, nil, f.now())
	t.ClosedByAPI, t.ClosingBody = true, string(body)
	return answer{status: http.StatusNoContent}
}

func (f *Fake) listTasks(r *http.Request) answer {
	user := strings.ToLower(r.URL.Query().Get("userId"))
	if user == "" {
		return problem(http.StatusBadRequest, "Bad Request", "userId is required.")
	}
	if _, ok := f.users[user]; !ok {
		return problem(http.StatusNotFound, "Not Found", "")
	}
	var tasks []any
	for _, id := range f.order {
		t := f.tasks[id]
		for _, u := range t.AssignedTo {
			if u.ID == user {
				tasks = append(tasks, toTask(t))
				break
			}
		}
	}
	return f.page(r, tasks)
}

// page answers one page of a list. The link to the next is that of an inner path, as in Cakewalk's documentation: only
// its cursor may be used.
func (f *Fake) page(r *http.Request, items []any) answer {
	from := 0
	if cursor := r.URL.Query().Get("cursor"); cursor != "" {
		text, bad := base64.StdEncoding.DecodeString(cursor)
		number, ok := strings.CutPrefix(string(text), "from=")
		var err error
		if from, err = strconv.Atoi(number); bad != nil || err != nil || !ok || from < 0 || from > len(items) {
			return problem(http.StatusBadRequest, "Bad Request", "The cursor is not valid.")
		}
	}
	to := min(from+f.options.PageSize, len(items))
	links := wireLinks{Self: r.URL.Path}
	if to < len(items) {
		links.Next = new(strings.Replace(r.URL.Path, basePath, basePath+"/OpenApiBFF", 1) + "?cursor=" +
			base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "from=%d", to)))
	}
	return jsonAnswer(http.StatusOK, "application/json", map[string]any{"data": append([]any{}, items[from:to]...), "links": links})
}

func record(r *http.Request, data any) answer {
	return jsonAnswer(http.StatusOK, "application/json", map[string]any{"data": data, "links": wireLinks{Self: r.URL.Path}})
}

func problem(status int, title, detail string) answer {
	return jsonAnswer(status, "application/problem+json", wireProblem{
		Type: fmt.Sprintf("https://tools.ietf.org/html/rfc9110#status.%d", status), Title: title, Status: status, Detail: detail,
	})
}

func jsonAnswer(status int, contentType string, value any) answer {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return answer{status: status, header: http.Header{"Content-Type": {contentType}}, body: text}
}
