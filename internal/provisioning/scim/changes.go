// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package scim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"getcakewalk.io/access-operator/internal/provisioning"
)

const (
	patchSchema = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	userSchema  = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupSchema = "urn:ietf:params:scim:schemas:core:2.0:Group"
	// maxOperations is how many operations one request holds; some servers take no more.
	maxOperations = 100
)

type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

type reference struct {
	Value string `json:"value"`
}

func patch(operations ...operation) any {
	return map[string]any{"schemas": []string{patchSchema}, "Operations": operations}
}

// Apply implements provisioning.Backend.
func (b *Backend) Apply(ctx context.Context, s provisioning.Subject, c provisioning.Change) error {
	if c.Action == provisioning.CreateAccount {
		return b.write(ctx, http.MethodPost, "/Users", newUser(s))
	}
	id, err := b.userID(ctx, s)
	if err != nil {
		return err
	}
	path := "/Users/" + url.PathEscape(id)
	switch c.Action {
	case provisioning.ActivateAccount, provisioning.DeactivateAccount:
		if id == "" {
			return gone()
		}
		return b.write(ctx, http.MethodPatch, path, patch(operation{Op: "replace", Path: "active", Value: c.Action == provisioning.ActivateAccount}))
	case provisioning.DeleteAccount:
		b.ids.drop("user " + s.ID)
		if id == "" {
			return nil
		}
		err := b.write(ctx, http.MethodDelete, path, nil)
		if statusOf(err) == http.StatusNotFound {
			return nil
		}
		return err
	case provisioning.AddEntitlement:
		if id == "" {
			return gone()
		}
		return b.patchGroup(ctx, c.Entitlement, operation{Op: "add", Path: "members", Value: []reference{{id}}})
	case provisioning.RemoveEntitlement:
		if id == "" {
			return nil
		}
		err := b.patchGroup(ctx, c.Entitlement, removal(id))
		if a, ok := errors.AsType[*answerError](err); ok && a.status == http.StatusBadRequest && strings.EqualFold(a.scim.ScimType, "noTarget") {
			// RFC 7644 section 3.5.2.2: nothing matches the path. So it is already.
			return nil
		}
		return err
	default:
		return provisioning.Permanent(provisioning.ReasonNotSupported, fmt.Errorf("no such change: %s", c.Action))
	}
}

func removal(id string) operation {
	return operation{Op: "remove", Path: "members[" + eq("value", id) + "]"}
}

// gone is the error of an account that was there a moment ago.
func gone() error {
	return provisioning.Retryable(errors.New("the account is gone since it was observed"))
}

// userID returns the id of the subject's account, empty for none.
func (b *Backend) userID(ctx context.Context, s provisioning.Subject) (string, error) {
	if id, ok := b.ids.get("user " + s.ID); ok {
		return id, nil
	}
	u, err := b.findUser(ctx, s.ID)
	if err != nil || u == nil {
		return "", err
	}
	return u.ID, nil
}

func (b *Backend) patchGroup(ctx context.Context, entitlement string, operations ...operation) error {
	id, ok := b.ids.get("group " + entitlement)
	if !ok {
		g, err := b.findGroup(ctx, entitlement)
		if err != nil {
			return err
		}
		id = g.ID
	}
	return b.write(ctx, http.MethodPatch, "/Groups/"+url.PathEscape(id), patch(operations...))
}

// newUser is the User of a subject. Attributes with a dot are sub-attributes; `email`, `emails` and `phoneNumbers` are
// multi-valued and get one primary value. A subject that looks like an email address is its account's email, too, unless
// another is given.
func newUser(s provisioning.Subject) map[string]any {
	u := map[string]any{"schemas": []string{userSchema}, "userName": s.ID, "active": true}
	for name, value := range s.Attributes {
		parent, child, nested := strings.Cut(name, ".")
		switch {
		case name == "email" || name == "emails":
			u["emails"] = primary(value)
		case name == "phoneNumbers":
			u[name] = primary(value)
		case nested:
			sub, ok := u[parent].(map[string]any)
			if !ok {
				sub = map[string]any{}
				u[parent] = sub
			}
			sub[child] = value
		default:
			u[name] = value
		}
	}
	if at := strings.IndexByte(s.ID, '@'); u["emails"] == nil && at > 0 && at < len(s.ID)-1 {
		u["emails"] = primary(s.ID)
	}
	// What identifies the account comes from the subject alone.
	u["schemas"], u["userName"], u["active"] = []string{userSchema}, s.ID, true
	return u
}

func primary(value string) []map[string]any {
	return []map[string]any{{"value": value, "type": "work", "primary": true}}
}

// CountMembers implements provisioning.EntitlementEmptier.
func (b *Backend) CountMembers(ctx context.Context, entitlement string) (int, error) {
	g, err := b.findGroup(ctx, entitlement)
	if err != nil {
		return 0, err
	}
	if len(g.Members) > 0 {
		b.visibility.sawMembers(len(g.Members))
		return len(g.Members), nil
	}
	if _, err := b.visible(ctx, false); err != nil {
		return 0, err
	}
	if !b.visibility.members() {
		return 0, provisioning.Permanent(provisioning.ReasonNotSupported,
			errors.New("the server shows no members of any group, so that they cannot be removed: do it by hand"))
	}
	return 0, nil
}

// RemoveAllMembers implements provisioning.EntitlementEmptier. It ends at the first member that it sees again, so that a
// server that keeps its members is not asked for ever.
func (b *Backend) RemoveAllMembers(ctx context.Context, entitlement string) error {
	removed := map[string]bool{}
	for {
		g, err := b.findGroup(ctx, entitlement)
		if err != nil || len(g.Members) == 0 {
			return err
		}
		if slices.ContainsFunc(g.Members, func(id string) bool { return removed[id] }) {
			return provisioning.Retryable(fmt.Errorf("the server accepts the removal of members of %q and keeps them", entitlement))
		}
		var operations []operation
		for _, id := range g.Members[:min(len(g.Members), maxOperations)] {
			removed[id] = true
			operations = append(operations, removal(id))
		}
		if err := b.patchGroup(ctx, entitlement, operations...); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// HasEntitlement implements provisioning.EntitlementCreator.
func (b *Backend) HasEntitlement(ctx context.Context, entitlement string) (bool, error) {
	if b.groupsByID {
		_, err := b.getGroup(ctx, entitlement, entitlement)
		if wrong, ok := errors.AsType[*provisioning.PermanentError](err); ok && wrong.Reason == provisioning.ReasonEntitlementNotFound {
			return false, nil
		}
		return err == nil, err
	}
	found, err := b.groupsNamed(ctx, entitlement)
	return len(found) == 1, err
}

// CreateEntitlement implements provisioning.EntitlementCreator.
func (b *Backend) CreateEntitlement(ctx context.Context, entitlement string) error {
	if b.groupsByID {
		return provisioning.Permanent(provisioning.ReasonNotSupported,
			fmt.Errorf("the group with the id %q does not exist, and ids are given by the server: create the group by hand", entitlement))
	}
	return b.write(ctx, http.MethodPost, "/Groups", map[string]any{"schemas": []string{groupSchema}, "displayName": entitlement})
}
