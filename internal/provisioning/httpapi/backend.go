// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"getcakewalk.io/access-operator/internal/expression"
	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// probe is whom a check without a request of its own looks for.
const probe = "access-operator-probe"

// Backend provisions through a REST API. It may be used by several goroutines.
type Backend struct {
	base   string
	client *httpclient.Client

	check                                     *request
	account, entitlement, holders, membership *lookup
	changes                                   map[provisioning.Action][]request

	// turn is held by a change that writes a whole list of holders, from reading it until it is written.
	turn chan struct{}
}

var _ provisioning.Backend = (*Backend)(nil)

// Check implements provisioning.Backend.
func (b *Backend) Check(ctx context.Context) error {
	if b.check == nil {
		_, err := b.findAccount(ctx, subjectVariables(provisioning.Subject{ID: probe}))
		return err
	}
	a, err := b.send(ctx, b.check, variables{}, "", nil)
	if err != nil {
		return err
	}
	seen := a.seen(variables{})
	what := b.check.judge(ctx, a, seen)
	err = b.failure(ctx, b.check, a, seen, what, false)
	if what == notFound || what == refused {
		return provisioning.Unavailable(provisioning.ReasonEndpointNotFound, fmt.Errorf("is the base URL right? %s", err.Error()))
	}
	return err
}

// Observe implements provisioning.Backend.
func (b *Backend) Observe(ctx context.Context, s provisioning.Subject, entitlements []string) (provisioning.Access, error) {
	v := subjectVariables(s)
	user, err := b.findAccount(ctx, v)
	if err != nil {
		return provisioning.Access{}, err
	}
	seen := provisioning.Access{Account: provisioning.AccountAbsent, Entitlements: make(map[string]provisioning.Membership, len(entitlements))}
	if user != nil {
		seen.AccountID, seen.Account = user.id, provisioning.AccountInactive
		if user.active {
			seen.Account = provisioning.AccountActive
		}
	}
	for _, e := range entitlements {
		m, err := b.look(ctx, v, user, e)
		if err != nil {
			return provisioning.Access{}, err
		}
		seen.Entitlements[e] = m.membership(b.holders != nil)
	}
	return seen, nil
}

// Apply implements provisioning.Backend. It looks before it sends: what is so already is left alone.
func (b *Backend) Apply(ctx context.Context, s provisioning.Subject, c provisioning.Change) error {
	requests := b.changes[c.Action]
	if len(requests) == 0 {
		return provisioning.Permanent(provisioning.ReasonNotSupported, fmt.Errorf("the connector does not say how: http.operations has no request for %s", c.Action))
	}
	for i := range requests {
		if requests[i].uses(varHolders) {
			select {
			case b.turn <- struct{}{}:
				defer func() { <-b.turn }()
			case <-ctx.Done():
				return ctx.Err()
			}
			break
		}
	}
	v, err := b.prepare(ctx, s, c)
	if v == nil || err != nil {
		return err
	}
	for i := range requests {
		if err := b.change(ctx, &requests[i], v); err != nil {
			return err
		}
	}
	return nil
}

// change sends one request of a change.
func (b *Backend) change(ctx context.Context, r *request, v variables) error {
	if r.when != nil {
		if yes, err := r.when.Bool(ctx, v); err != nil {
			return wrong(r.name+".when", err)
		} else if !yes {
			return nil
		}
	}
	a, err := b.send(ctx, r, v, "", nil)
	if err != nil {
		return err
	}
	seen := a.seen(v)
	return b.failure(ctx, r, a, seen, r.judge(ctx, a, seen), true)
}

// prepare looks at what a change is about, and returns the variables of its requests, nil where there is nothing to do.
func (b *Backend) prepare(ctx context.Context, s provisioning.Subject, c provisioning.Change) (variables, error) {
	v := subjectVariables(s)
	user, err := b.findAccount(ctx, v)
	if err != nil {
		return nil, err
	}
	if c.Action == provisioning.CreateAccount {
		if user != nil {
			return nil, nil
		}
		return v, nil
	}
	if user == nil {
		if c.Action == provisioning.DeleteAccount || c.Action == provisioning.DeactivateAccount || c.Action == provisioning.RemoveEntitlement {
			return nil, nil
		}
		return nil, provisioning.Permanent(provisioning.ReasonSubjectNotFound, errors.New("the target system has no account for the subject"))
	}
	v = v.with(varUserID, user.id).with(varUserItem, user.item)
	switch c.Action {
	case provisioning.ActivateAccount, provisioning.DeactivateAccount:
		if user.active == (c.Action == provisioning.ActivateAccount) {
			return nil, nil
		}
	case provisioning.AddEntitlement, provisioning.RemoveEntitlement:
		m, err := b.look(ctx, subjectVariables(s), user, c.Entitlement)
		if err != nil {
			return nil, err
		}
		if c.Action == provisioning.AddEntitlement && m.pending {
			return nil, &provisioning.PendingError{After: lookAgain, Err: fmt.Errorf("%q waits in the target system, as an invitation does until it is accepted", c.Entitlement)}
		}
		if m.held == (c.Action == provisioning.AddEntitlement) {
			return nil, nil
		}
		return m.variables(v, c.Entitlement), nil
	default:
	}
	return v, nil
}

// uses tells whether a request reads a variable.
func (r *request) uses(variable string) bool {
	reads := func(p *expression.Program) bool { return p != nil && p.Uses(variable) }
	return reads(r.when) || reads(r.body) ||
		slices.ContainsFunc(r.path.parts, func(p part) bool { return reads(p.program) }) ||
		slices.ContainsFunc(slices.Concat(r.query, r.headers), func(n named) bool { return reads(n.program) })
}
