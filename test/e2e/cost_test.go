// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/testenv"
)

// counted is a server in front of another that counts requests about users and groups by their method and kind.
type counted struct {
	mu    sync.Mutex
	asked map[string]int
}

func count(t *testing.T, behind string) (front string, c *counted) {
	t.Helper()
	target, err := url.Parse(behind)
	if err != nil {
		t.Fatal(err)
	}
	c = &counted{asked: map[string]int{}}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.RawQuery, "access-operator-probe") {
			c.mu.Lock()
			c.asked[r.Method+" "+strings.Split(r.URL.Path, "/")[1]]++
			c.mu.Unlock()
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, c
}

// take returns what was asked since it was last called.
func (c *counted) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := maps.Clone(c.asked)
	clear(c.asked)
	return asked
}

// What tasks cost is not a matter of time, so it is held exactly: what is written to the API server, and what the target
// system is asked.
func TestTasksCostNoMoreThanTheyMust(t *testing.T) {
	r := newRig(t)
	front, target := count(t, r.scim)
	c := r.connector("Slack", front, "scim")
	c.Spec.PermissionLevels = []accessv1alpha1.PermissionLevelMapping{{Default: new(true), Entitlements: []string{"one"}}}
	if err := r.Update(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.ready(c, accessv1alpha1.ReasonProbed)
	// What is found out of a server once is found out by the first task.
	first, id := event(accessv1alpha1.RequestTypeGrantAccess, "Slack", "first@example.com")
	r.deliver(first)
	r.until(id, accessv1alpha1.ReasonProvisioned)
	target.take()

	const tasks = 5
	cost := &cost{rig: r, want: testenv.Writes{}}
	cost.begin()
	for _, step := range []struct {
		name   string
		kind   string
		reason string
		// writes are those to the API server for each task, and asked what the target system is asked.
		writes testenv.Writes
		asked  map[string]int
	}{
		{
			"a new account and a membership", accessv1alpha1.RequestTypeGrantAccess, accessv1alpha1.ReasonProvisioned,
			testenv.Writes{"accesstasks": 1, "accesstasks/status": 2, "events": 2},
			map[string]int{"GET Users": 3, "GET Groups": 3, "POST Users": 1, "PATCH Groups": 1},
		},
		{
			"nothing to change", accessv1alpha1.RequestTypeGrantAccess, accessv1alpha1.ReasonAlreadyProvisioned,
			testenv.Writes{"accesstasks": 1, "accesstasks/status": 1, "events": 1},
			map[string]int{"GET Users": 1, "GET Groups": 1},
		},
		{
			"a removal", accessv1alpha1.RequestTypeRemoveAccess, accessv1alpha1.ReasonProvisioned,
			testenv.Writes{"accesstasks": 1, "accesstasks/status": 2, "events": 2},
			map[string]int{"GET Users": 2, "GET Groups": 2, "PATCH Groups": 1},
		},
	} {
		for n := range tasks {
			e, id := event(step.kind, "Slack", fmt.Sprintf("user%d@example.com", n))
			r.deliver(e)
			r.until(id, step.reason)
			// Announced again, it costs nothing.
			r.deliver(e)
		}
		cost.hold(step.name, step.writes, tasks)
		want := map[string]int{}
		for what, n := range step.asked {
			want[what] = n * tasks
		}
		if diff := cmp.Diff(want, target.take()); diff != "" {
			t.Errorf("%s, for %d tasks: %s", step.name, tasks, diff)
		}
	}
}

func TestReportedTasksCostNoMoreThanTheyMust(t *testing.T) {
	r := newTenant(t)
	r.start()
	first := r.request("first@example.com")
	r.delivers(r.namespace+"/cakewalk", r.cakewalk.Body(first))
	r.condition(first, accessv1alpha1.ConditionReported, accessv1alpha1.ReasonApproved)

	const tasks = 3
	cost := &cost{rig: r.rig, want: testenv.Writes{}}
	cost.begin()
	for n := range tasks {
		id := r.request(fmt.Sprintf("user%d@example.com", n))
		r.delivers(r.namespace+"/cakewalk", r.cakewalk.Body(id))
		r.condition(id, accessv1alpha1.ConditionReported, accessv1alpha1.ReasonApproved)
	}
	cost.hold("a new account and a membership, and Cakewalk told of it", testenv.Writes{"accesstasks": 1, "accesstasks/status": 3, "events": 2}, tasks)
}

// cost holds what is written to the API server about tasks to what they may cost.
type cost struct {
	*rig
	before, want testenv.Writes
}

func (c *cost) begin() {
	c.t.Helper()
	// The events of what was done before are there.
	last := testenv.Writes{}
	c.eventually("nothing is written any more", func() error {
		now := c.count()
		defer func() { last = now }()
		if !maps.Equal(now, last) {
			return fmt.Errorf("%v was written, and then %v", last, now)
		}
		time.Sleep(500 * time.Millisecond)
		return nil
	})
	c.before = last
}

// hold waits until as many tasks have cost what each may cost, since the beginning and with those before, and no more. What
// comes late counts at the next.
func (c *cost) hold(name string, each testenv.Writes, tasks int) {
	c.t.Helper()
	for what, n := range each {
		c.want[what] += n * tasks
	}
	c.eventually(name+" cost what they must", func() error {
		got := c.count().Since(c.before)
		for what, n := range got {
			if n > c.want[what] {
				c.t.Fatalf("%s: %d times %s was written since the beginning, where %d are needed", name, n, what, c.want[what])
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			return errors.New(diff)
		}
		return nil
	})
}

// count is what was written about tasks and in events until now.
func (c *cost) count() testenv.Writes {
	c.t.Helper()
	all, err := env.Written(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return testenv.Writes{"accesstasks": all["accesstasks"], "accesstasks/status": all["accesstasks/status"], "events": all["events"]}
}
