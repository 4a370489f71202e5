// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"fmt"

	"getcakewalk.io/access-operator/internal/provisioning"
)

func subjectVariables(s provisioning.Subject) variables {
	attributes := s.Attributes
	if attributes == nil {
		attributes = map[string]string{}
	}
	return variables{varSubjectID: s.ID, varAttributes: attributes, varRequest: s.Request}
}

// findAccount returns the subject's account, nil for none.
func (b *Backend) findAccount(ctx context.Context, v variables) (*found, error) {
	if b.account == nil {
		id, ok := v[varSubjectID].(string)
		if !ok || id == "" {
			return nil, provisioning.Permanent(provisioning.ReasonSubjectNotFound, fmt.Errorf("there is no subject"))
		}
		return &found{id: id, active: true}, nil
	}
	all, _, err := b.find(ctx, b.account, v, true)
	switch {
	case err != nil || len(all) == 0:
		return nil, err
	case len(all) > 1:
		return nil, provisioning.Permanent(provisioning.ReasonAmbiguousSubject,
			fmt.Errorf("%d accounts match the subject: which one is meant is not known", len(all)))
	}
	return &all[0], nil
}

// facts are what was seen of an entitlement and a user.
type facts struct {
	resource found
	// held also where pending.
	held, pending bool
	// member is the item that shows the user as a holder, nil for none.
	member any
	// holders are the ids of all holders, where they were looked for; others those of the others.
	holders, others []string
}

// look finds an entitlement and whether the user holds it; the user is nil where there is no account.
func (b *Backend) look(ctx context.Context, v variables, user *found, entitlement string) (facts, error) {
	v = v.with(varEntitlement, entitlement)
	f := facts{resource: found{id: entitlement}}
	if b.entitlement != nil {
		all, _, err := b.find(ctx, b.entitlement, v, true)
		switch {
		case err != nil:
			return f, err
		case len(all) == 0:
			return f, noEntitlement(entitlement)
		case len(all) > 1:
			return f, provisioning.Permanent(provisioning.ReasonAmbiguousEntitlement,
				fmt.Errorf("the target system has %d of %q: which one is meant is not known", len(all), entitlement))
		}
		f.resource = all[0]
	}
	v = v.with(varResourceID, f.resource.id).with(varResource, f.resource.item)
	if b.holders != nil {
		return b.lookAtHolders(ctx, v, user, entitlement, f)
	}
	if user == nil {
		return f, nil
	}
	all, _, err := b.find(ctx, b.membership, v.with(varUserID, user.id).with(varUserItem, user.item), false)
	if err != nil || len(all) == 0 {
		return f, err
	}
	f.held, f.pending, f.member = true, true, all[0].item
	for _, m := range all {
		f.pending = f.pending && m.pending
	}
	return f, nil
}

func (b *Backend) lookAtHolders(ctx context.Context, v variables, user *found, entitlement string, f facts) (facts, error) {
	all, missing, err := b.find(ctx, b.holders, v, true)
	if err != nil {
		return f, err
	}
	if missing {
		return f, noEntitlement(entitlement)
	}
	f.holders = make([]string, 0, len(all))
	for _, h := range all {
		f.holders = append(f.holders, h.id)
		if user != nil && h.id == user.id {
			f.held, f.pending, f.member = true, h.pending, h.item
		} else {
			f.others = append(f.others, h.id)
		}
	}
	return f, nil
}

func noEntitlement(entitlement string) error {
	return provisioning.Permanent(provisioning.ReasonEntitlementNotFound, fmt.Errorf("the target system has no %q", entitlement))
}

// membership is what the engine is told. What is pending is not in effect, and a removal must take it back all the same:
// it is not visible whether it is held.
func (f facts) membership(all bool) provisioning.Membership {
	m := provisioning.Membership{Presence: provisioning.Absent, Others: f.others, OthersKnown: all}
	switch {
	case f.pending:
		m.Presence = provisioning.NotVisible
	case f.held:
		m.Presence = provisioning.Present
	}
	return m
}

// variables are those of a change of an entitlement.
func (f facts) variables(v variables, entitlement string) variables {
	holders := f.holders
	if holders == nil {
		holders = []string{}
	}
	return v.with(varEntitlement, entitlement).with(varResourceID, f.resource.id).with(varResource, f.resource.item).
		with(varHolders, holders).with(varMember, f.member)
}
