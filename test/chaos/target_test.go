// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// bystander is in all groups of a target from the start, and no request is about him.
const bystander = "bob@example.com"

// mapped are the groups that permission levels map. Sets of them are bits in this order.
var mapped = []string{"read", "write", "admin"}

// unmapped is a group that no level maps, with the bystander and half of the crowd.
const unmapped = "staff"

// levels are the permission levels, with the groups that they map.
var levels = []struct {
	name   string
	groups uint8
}{{"Reader", 0b001}, {"Editor", 0b011}, {"Admin", 0b100}}

// target is a SCIM server and a Connector for it.
type target struct {
	t   *testing.T
	url string
	// read is closed when all that the server printed was read.
	read chan struct{}

	mu      sync.Mutex
	changes []change
}

// change is a change of a group's members, as the server noted it.
type change struct {
	group, user string
	added       bool
}

// newTarget starts a SCIM server in which the bystander and members are in the unmapped group, and makes its Connector.
func newTarget(r *rig, members []string) *target {
	r.t.Helper()
	g := &target{t: r.t, read: make(chan struct{})}
	args := []string{"--log-changes", "--delay", "10ms", "--user", bystander}
	for _, m := range members {
		args = append(args, "--user", m)
	}
	for _, name := range mapped {
		args = append(args, "--group", name+"="+bystander)
	}
	args = append(args, "--group", unmapped+"="+strings.Join(append([]string{bystander}, members...), ","))
	server := exec.CommandContext(context.Background(), program("scimserver"), args...)
	out, err := server.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = server.Process.Kill()
		<-g.read
		_ = server.Wait()
	})
	listening := make(chan string, 1)
	go func() {
		defer close(g.read)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if address, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
				listening <- address
				continue
			}
			g.note(lines.Text())
		}
		close(listening)
	}()
	if g.url = <-listening; g.url == "" {
		r.t.Fatal("the SCIM server does not listen")
	}
	r.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "scim"}, StringData: map[string]string{"token": "token"}})
	c := &accessv1alpha1.Connector{ObjectMeta: metav1.ObjectMeta{Name: "chat"}}
	c.Spec.Match.WorkApps = []accessv1alpha1.WorkAppMatch{{ID: appID}}
	for _, l := range levels {
		c.Spec.PermissionLevels = append(c.Spec.PermissionLevels, accessv1alpha1.PermissionLevelMapping{Name: l.name, Entitlements: names(l.groups)})
	}
	c.Spec.Lifecycle.CreateAccount = new(true)
	c.Spec.Limits = accessv1alpha1.ConnectorLimits{RequestsPerSecond: 1000, Burst: 1000, MaxConcurrent: 8}
	c.Spec.SCIM = &accessv1alpha1.SCIMBackend{BaseURL: g.url, Authentication: accessv1alpha1.HTTPAuthentication{
		Bearer: &accessv1alpha1.BearerAuthentication{TokenSecretRef: accessv1alpha1.SecretKeyReference{Name: "scim", Key: "token"}},
	}}
	r.create(c)
	return g
}

// names are the names of a set of mapped groups.
func names(groups uint8) (all []string) {
	for i, name := range mapped {
		if groups&(1<<i) != 0 {
			all = append(all, name)
		}
	}
	return all
}

// patched is a line of the server about a change of a group's members that was made.
var patched = regexp.MustCompile(`^PATCH \S+/Groups/(\S+) 2\d\d (.*)$`)

// filtered is the path of a member in a change.
var filtered = regexp.MustCompile(`^members\[value eq "([^"]*)"\]$`)

// note reads a line of the server's.
func (g *target) note(line string) {
	found := patched.FindStringSubmatch(line)
	if found == nil {
		return
	}
	var body struct {
		Operations []struct {
			Op, Path string
			Value    []struct{ Value string }
		}
	}
	if err := json.Unmarshal([]byte(found[2]), &body); err != nil {
		g.t.Errorf("the SCIM server printed %q: %v", line, err)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, o := range body.Operations {
		if member := filtered.FindStringSubmatch(o.Path); member != nil {
			g.changes = append(g.changes, change{group: found[1], user: member[1]})
		}
		for _, v := range o.Value {
			g.changes = append(g.changes, change{group: found[1], user: v.Value, added: true})
		}
	}
}

// access is who is in which groups.
type access struct {
	// groups are the mapped groups of everybody, by userName.
	groups map[string]uint8
	// staff are the members of the unmapped group.
	staff map[string]bool
	// changes are those of mapped groups, in their order, by userName.
	changes map[string][]step
}

// step is a change of mapped groups: which came, or which went.
type step struct{ came, went uint8 }

// access asks the server, and reads what it noted.
func (g *target) access() access {
	g.t.Helper()
	var users, groups struct {
		Resources []struct {
			ID, UserName, DisplayName string
			Members                   []struct{ Value string }
		}
	}
	for path, into := range map[string]any{"/Users?count=1000": &users, "/Groups": &groups} {
		if err := g.get(path, into); err != nil {
			g.t.Fatal(err)
		}
	}
	a := access{groups: map[string]uint8{}, staff: map[string]bool{}, changes: map[string][]step{}}
	userNames, bits := map[string]string{}, map[string]uint8{}
	for _, u := range users.Resources {
		userNames[u.ID], a.groups[u.UserName] = u.UserName, 0
	}
	for _, group := range groups.Resources {
		for i, name := range mapped {
			if name == group.DisplayName {
				bits[group.ID] = 1 << i
			}
		}
		seen := map[string]bool{}
		for _, m := range group.Members {
			if seen[m.Value] || userNames[m.Value] == "" {
				g.t.Errorf("%s has the member %q twice, or it is nobody", group.DisplayName, m.Value)
			}
			seen[m.Value] = true
			a.groups[userNames[m.Value]] |= bits[group.ID]
			if group.DisplayName == unmapped {
				a.staff[userNames[m.Value]] = true
			}
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.changes {
		s := step{went: bits[c.group]}
		if c.added {
			s = step{came: bits[c.group]}
		}
		a.changes[userNames[c.user]] = append(a.changes[userNames[c.user]], s)
	}
	return a
}

func (g *target) get(path string, into any) error {
	request, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, g.url+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, response.Status)
	}
	return json.NewDecoder(response.Body).Decode(into)
}
