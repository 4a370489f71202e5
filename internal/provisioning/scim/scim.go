// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scim provisions accounts and group memberships in a SCIM 2.0 service provider (RFC 7643, RFC 7644). A subject
// is a User by its userName, an entitlement is a Group by its displayName or its id.
//
// It sends what every server that was tried understands alike: one member per addition, with the path `members`; removals
// by the path `members[value eq "..."]`; never PUT, never an addition without a path, never a replacement of members,
// which some servers answer by losing everybody else.
package scim

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// Options say which service provider is spoken to.
type Options struct {
	// BaseURL is the base of the endpoints, without the resource type, for example https://example.com/scim/v2.
	BaseURL string
	// Client sends the requests.
	Client *httpclient.Client
	// GroupsByID takes entitlements for the ids of groups; else they are displayNames.
	GroupsByID bool
}

// Backend is a provisioning.Backend. It may be used by several goroutines.
type Backend struct {
	base       string
	client     *httpclient.Client
	groupsByID bool

	ids        ids
	visibility visibility
	userNames  caseRegard
}

var (
	_ provisioning.Backend            = (*Backend)(nil)
	_ provisioning.EntitlementEmptier = (*Backend)(nil)
	_ provisioning.EntitlementCreator = (*Backend)(nil)
)

// New returns a Backend.
func New(o Options) *Backend {
	return &Backend{base: strings.TrimRight(o.BaseURL, "/"), client: o.Client, groupsByID: o.GroupsByID}
}

// nobody is a userName, and an id, that no user has.
const nobody = "access-operator-probe"

// Check implements provisioning.Backend. It looks for a user whom nobody has, which takes the same right and the same
// filter as looking for one.
func (b *Backend) Check(ctx context.Context) error {
	_, err := b.list(ctx, "/Users", url.Values{"filter": {eq("userName", nobody)}, "count": {"1"}})
	return err
}

// Observe implements provisioning.Backend.
func (b *Backend) Observe(ctx context.Context, s provisioning.Subject, entitlements []string) (provisioning.Access, error) {
	u, err := b.findUser(ctx, s.ID)
	if err != nil {
		return provisioning.Access{}, err
	}
	seen := provisioning.Access{Account: provisioning.AccountAbsent, Entitlements: make(map[string]provisioning.Membership, len(entitlements))}
	if u != nil {
		seen.Account, seen.AccountID = provisioning.AccountActive, u.ID
		if !u.Active {
			seen.Account = provisioning.AccountInactive
		}
		b.ids.keep("user "+s.ID, u.ID)
	}
	for _, e := range entitlements {
		g, err := b.findGroup(ctx, e)
		if err != nil {
			return provisioning.Access{}, err
		}
		b.ids.keep("group "+e, g.ID)
		if seen.Entitlements[e], err = b.membership(ctx, u, g); err != nil {
			return provisioning.Access{}, err
		}
	}
	return seen, nil
}

// findUser returns the one user with a name, nil for none.
func (b *Backend) findUser(ctx context.Context, name string) (*user, error) {
	matches := func(u *user) bool { return strings.EqualFold(u.UserName, name) }
	found, err := find(ctx, b, "/Users", eq("userName", name), parseUser, matches)
	if err == nil && len(found) == 0 {
		found, err = b.findInAnyCase(ctx, name, matches)
	}
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if len(found) > 1 {
		return nil, provisioning.Permanent(provisioning.ReasonAmbiguousSubject,
			fmt.Errorf("%d users have the userName of the subject, without regard to case: which one is meant is not known", len(found)))
	}
	return found[0], nil
}

// findGroup returns the one group of an entitlement, with its members as far as the server shows them.
func (b *Backend) findGroup(ctx context.Context, entitlement string) (*group, error) {
	if b.groupsByID {
		return b.getGroup(ctx, entitlement, entitlement)
	}
	found, err := b.groupsNamed(ctx, entitlement)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, notFound(entitlement)
	}
	if g := found[0]; g.MembersShown {
		return g, nil
	}
	// Lists may leave members out.
	return b.getGroup(ctx, found[0].ID, entitlement)
}

// groupsNamed returns the group of a displayName, none if there is none.
func (b *Backend) groupsNamed(ctx context.Context, name string) ([]*group, error) {
	found, err := find(ctx, b, "/Groups", eq("displayName", name), parseGroup, func(g *group) bool { return g.DisplayName == name })
	if err != nil {
		return nil, err
	}
	if len(found) > 1 {
		return nil, provisioning.Permanent(provisioning.ReasonAmbiguousEntitlement,
			fmt.Errorf("%d groups have the displayName %q: use their ids (groupIdentifier: ID)", len(found), name))
	}
	return found, nil
}

func (b *Backend) getGroup(ctx context.Context, id, entitlement string) (*group, error) {
	text, err := b.read(ctx, "/Groups/"+url.PathEscape(id), nil)
	if statusOf(err) == http.StatusNotFound {
		return nil, notFound(entitlement)
	}
	if err != nil {
		return nil, err
	}
	g, err := parseGroup(text)
	if err != nil {
		return nil, unreadable(err)
	}
	return g, nil
}

func notFound(entitlement string) error {
	return provisioning.Permanent(provisioning.ReasonEntitlementNotFound, fmt.Errorf("the target system has no group %q", entitlement))
}

// ids remembers for a moment which ids an observation found, so that the change that follows it need not look again.
type ids struct {
	mu   sync.Mutex
	kept map[string]keptID
}

type keptID struct {
	id   string
	when time.Time
}

const (
	// idsFor is how long an id is used. A stale one does no harm: what counts is observed afterwards, by name.
	idsFor = 15 * time.Second
	// maxIDs is how many are kept.
	maxIDs = 1024
)

func (i *ids) keep(name, id string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.kept == nil || len(i.kept) >= maxIDs {
		i.kept = map[string]keptID{}
	}
	i.kept[name] = keptID{id, time.Now()}
}

func (i *ids) get(name string) (string, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	k, ok := i.kept[name]
	return k.id, ok && time.Since(k.when) < idsFor
}

func (i *ids) drop(name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.kept, name)
}
