// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

// Package integration runs backends against real servers of other people's making, and judges by what those have stored.
package integration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/scim"
)

const token = "integration-token"

// server is a Node.js server in the folder of its name.
type server struct {
	t    *testing.T
	url  string
	scim string
}

// startServer installs a server's packages, starts it, and stops it when the test ends. What is missing fails the test.
func startServer(t *testing.T, name, path string) *server {
	t.Helper()
	dir := install(t, name)
	cmd := exec.Command("node", "server.mjs")
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), "TOKEN="+token), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal("starting node, which these tests need: ", err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), "listening on "); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return &server{t: t, url: url, scim: url + path}
		}
	}
	t.Fatalf("%s ended without listening", name)
	return nil
}

// install copies a server into bin/integration and installs its packages there, once per lockfile.
func install(t *testing.T, name string) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "bin", "integration", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	current := true
	for _, file := range []string{"package.json", "package-lock.json", "server.mjs"} {
		text, err := os.ReadFile(filepath.Join(name, file))
		if err != nil {
			t.Fatal(err)
		}
		old, err := os.ReadFile(filepath.Join(dir, file))
		if err == nil && string(old) == string(text) {
			continue
		}
		current = current && file == "server.mjs"
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, ".installed")); err == nil && current {
		return dir
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci, which these tests need: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, ".installed"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// state is what a server has stored.
type state struct {
	// Users tells by userName whether a user is active.
	Users map[string]bool
	// Groups are the userNames of the members, as often as they are stored, by displayName.
	Groups map[string][]string
}

// stateOf asks a server, by a way that is not SCIM, what it has stored.
func stateOf(tb testing.TB, url string) state {
	tb.Helper()
	var got state
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, url+"/state", nil)
	if err != nil {
		tb.Fatal(err)
	}
	send(tb, req, &got)
	for _, members := range got.Groups {
		slices.Sort(members)
	}
	return got
}

// state is what the server has stored.
func (s *server) state() state {
	s.t.Helper()
	return stateOf(s.t, s.url)
}

// post sends JSON.
func post(tb testing.TB, url string, body any) {
	tb.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		tb.Fatal(err)
	}
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	send(tb, req, nil)
}

// send sends a request, which must succeed, and reads JSON.
func send(tb testing.TB, req *http.Request, into any) {
	tb.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		tb.Fatalf("%s %s: %s %s (%v)", req.Method, req.URL, res.Status, answer, err)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			tb.Fatal(err)
		}
	}
}

// call sends JSON as SCIM does and reads JSON.
func (s *server) call(method, url string, body, into any) {
	s.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, url, bytes.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/scim+json")
	send(s.t, req, into)
}

// fill makes users and groups by plain requests, not by the code under test.
func (s *server) fill(users []string, groups map[string][]string) {
	s.t.Helper()
	ids := map[string]string{}
	var made struct{ ID string }
	for _, name := range users {
		s.call(http.MethodPost, s.scim+"/Users", map[string]any{
			"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "userName": name, "active": true,
			"name": map[string]string{"givenName": "A", "familyName": "B"}, "emails": []map[string]any{{"value": name, "primary": true}},
		}, &made)
		ids[name] = made.ID
	}
	for name, members := range groups {
		s.call(http.MethodPost, s.scim+"/Groups", map[string]any{
			"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Group"}, "displayName": name,
		}, &made)
		for _, m := range members {
			s.call(http.MethodPatch, s.scim+"/Groups/"+made.ID, map[string]any{
				"schemas":    []string{"urn:ietf:params:scim:api:messages:2.0:PatchOp"},
				"Operations": []map[string]any{{"op": "add", "path": "members", "value": []map[string]string{{"value": ids[m]}}}},
			}, nil)
		}
	}
}

// engine returns an engine for the server.
func (s *server) engine(withToken string) *provisioning.Engine {
	client := httpclient.New(httpclient.Options{Authentication: httpclient.Bearer(withToken)})
	s.t.Cleanup(client.Close)
	return &provisioning.Engine{Backend: scim.New(scim.Options{BaseURL: s.scim, Client: client}), Ledger: &provisioning.Ledger{}}
}

// provision brings a subject to a goal and returns what was changed, as "<action> <entitlement> <state>".
func provision(t *testing.T, e *provisioning.Engine, subject string, g provisioning.Goal) ([]string, error) {
	t.Helper()
	g.Levels = [][]string{{"members"}, {"editors"}}
	out, err := e.Provision(t.Context(), provisioning.Subject{ID: subject, Attributes: map[string]string{"displayName": subject, "name.givenName": "Ann", "name.familyName": "Bee"}}, g,
		func(context.Context, provisioning.Intent) error { return nil })
	var all []string
	for _, r := range out.Results {
		all = append(all, fmt.Sprintf("%s %s %s", r.Change.Action, r.Change.Entitlement, r.State))
	}
	return all, err
}
