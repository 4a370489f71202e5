// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package scim

import (
	"context"
	"net/url"
	"slices"
	"sync"
	"time"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// capAt is what known servers cut lists of members at. A list of as many, or of a multiple, may be cut, unless the server
// was seen to show a longer one.
const capAt = 100

// membership tells what is seen of a user's membership; the user is nil where there is no account.
func (b *Backend) membership(ctx context.Context, u *user, g *group) (provisioning.Membership, error) {
	if u != nil && len(u.Groups) > 0 {
		b.visibility.sawGroups()
	}
	longest := b.visibility.sawMembers(len(g.Members))
	capped := len(g.Members) == longest && longest > 0 && longest%capAt == 0
	m := provisioning.Membership{Presence: provisioning.Absent, OthersKnown: b.visibility.members() && !capped}
	for _, id := range g.Members {
		if u != nil && id == u.ID {
			m.Presence = provisioning.Present
		} else {
			m.Others = append(m.Others, id)
		}
	}
	if u == nil || m.Presence == provisioning.Present {
		return m, nil
	}
	if slices.Contains(u.Groups, g.ID) {
		// The user is in the group, and the group does not list it: what it lists is not complete.
		m.Presence, m.OthersKnown = provisioning.Present, false
		return m, nil
	}
	visible, err := b.visible(ctx, capped)
	if err != nil || visible {
		m.OthersKnown = visible && b.visibility.members()
		return m, err
	}
	m.Presence, m.OthersKnown = provisioning.NotVisible, false
	// Some servers tell by a filter what they do not list. That they find nothing says nothing; nor does what they find
	// if they find the same with somebody whom nobody knows: then they ignore the filter.
	found, err := b.foundWithMember(ctx, g.ID, u.ID)
	if err == nil && found {
		var always bool
		if always, err = b.foundWithMember(ctx, g.ID, nobody); err == nil && !always {
			m.Presence = provisioning.Present
		}
	}
	if provisioning.Word(err) == "unavailable" {
		return m, err
	}
	// A server that does not take the filter refuses or fails: nothing is lost by that.
	return m, nil
}

// foundWithMember tells whether the server finds a group by a filter on its members.
func (b *Backend) foundWithMember(ctx context.Context, group, member string) (bool, error) {
	l, err := b.list(ctx, "/Groups", url.Values{"filter": {eq("id", group) + " and " + eq("members.value", member)}, "count": {"1"}})
	if err != nil {
		return false, err
	}
	for _, text := range l.Resources {
		if g, err := parseGroup(text); err == nil && g.ID == group {
			return true, nil
		}
	}
	return false, nil
}

// visibility remembers whether the server was ever seen to show memberships. An empty group of a server that shows
// members looks like any group of a server that does not.
type visibility struct {
	mu          sync.Mutex
	groupsShown bool
	looked      time.Time
	// longest is how many members the longest list had that was seen.
	longest int
}

// lookEvery is how often the server's groups are looked through for one that shows members.
const lookEvery = 5 * time.Minute

func (v *visibility) sawGroups() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.groupsShown = true
}

// sawMembers notes a list of members and returns how many the longest one had.
func (v *visibility) sawMembers(n int) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.longest = max(v.longest, n)
	return v.longest
}

// members tells whether groups were seen to show members.
func (v *visibility) members() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.longest > 0
}

func (v *visibility) any() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.longest > 0 || v.groupsShown
}

// due tells whether to look, and that somebody does now.
func (v *visibility) due() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if time.Since(v.looked) < lookEvery {
		return false
	}
	v.looked = time.Now()
	return true
}

// visible tells whether a user that is not seen as a member is known to be none.
func (b *Backend) visible(ctx context.Context, capped bool) (bool, error) {
	if capped {
		return false, nil
	}
	if b.visibility.any() {
		return true, nil
	}
	if !b.visibility.due() {
		return false, nil
	}
	l, err := b.list(ctx, "/Groups", url.Values{"count": {"20"}})
	if err != nil {
		return false, err
	}
	for _, text := range l.Resources {
		if g, err := parseGroup(text); err == nil && len(g.Members) > 0 {
			b.visibility.sawMembers(len(g.Members))
		}
	}
	return b.visibility.any(), nil
}
