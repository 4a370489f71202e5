// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package provisioningtest holds a target system in memory that fails on demand. It is for what a real server cannot be
// made to do; that a backend works is shown against real servers.
package provisioningtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// Fake is a target system in memory. The zero value is not usable: see New.
type Fake struct {
	// Fail is asked before every call; an error of it is the call's, and the call has no effect. Operations are check,
	// observe and the names of actions.
	Fail func(operation string, s provisioning.Subject) error
	// FailAfter is asked after every change that took effect: an error of it is the call's.
	FailAfter func(operation string, s provisioning.Subject) error
	// Drop makes the fake accept a change and do nothing.
	Drop func(c provisioning.Change) bool
	// Hidden makes memberships not visible.
	Hidden bool
	// LoseOthers makes every addition to a group lose its other members, as some servers do.
	LoseOthers bool

	mu       sync.Mutex
	accounts map[string]provisioning.AccountState
	groups   map[string]map[string]bool
	calls    []string
}

var (
	_ provisioning.Backend            = (*Fake)(nil)
	_ provisioning.EntitlementEmptier = (*Fake)(nil)
	_ provisioning.EntitlementCreator = (*Fake)(nil)
)

// New returns a target system with accounts, all active, and groups, all empty.
func New(accounts, groups []string) *Fake {
	f := &Fake{accounts: map[string]provisioning.AccountState{}, groups: map[string]map[string]bool{}}
	for _, a := range accounts {
		f.accounts[a] = provisioning.AccountActive
	}
	for _, g := range groups {
		f.groups[g] = map[string]bool{}
	}
	return f
}

// Set puts an account into a state.
func (f *Fake) Set(account string, state provisioning.AccountState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.accounts[account] = state
}

// Join puts accounts into a group.
func (f *Fake) Join(group string, accounts ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range accounts {
		f.groups[group][a] = true
	}
}

// DeleteGroup deletes a group.
func (f *Fake) DeleteGroup(group string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.groups, group)
}

// Members returns a group's members in their order.
func (f *Fake) Members(group string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.groups[group]))
}

// Account returns an account's state.
func (f *Fake) Account(account string) provisioning.AccountState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state(account)
}

// Groups returns the groups that exist, in their order.
func (f *Fake) Groups() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.groups))
}

// Changes returns the changes that took effect, in their order, as "<action> <entitlement> <subject>".
func (f *Fake) Changes() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *Fake) state(account string) provisioning.AccountState {
	if s, ok := f.accounts[account]; ok {
		return s
	}
	return provisioning.AccountAbsent
}

func (f *Fake) fail(ctx context.Context, operation string, s provisioning.Subject) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.Fail == nil {
		return nil
	}
	return f.Fail(operation, s)
}

// Check implements provisioning.Backend.
func (f *Fake) Check(ctx context.Context) error { return f.fail(ctx, "check", provisioning.Subject{}) }

// Observe implements provisioning.Backend.
func (f *Fake) Observe(ctx context.Context, s provisioning.Subject, entitlements []string) (provisioning.Access, error) {
	if err := f.fail(ctx, "observe", s); err != nil {
		return provisioning.Access{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := provisioning.Access{Account: f.state(s.ID), AccountID: s.ID, Entitlements: map[string]provisioning.Membership{}}
	for _, e := range entitlements {
		members, ok := f.groups[e]
		if !ok {
			return provisioning.Access{}, provisioning.Permanent(provisioning.ReasonEntitlementNotFound, fmt.Errorf("there is no group %q", e))
		}
		m := provisioning.Membership{Presence: provisioning.Absent, OthersKnown: true}
		for _, a := range slices.Sorted(maps.Keys(members)) {
			if a == s.ID {
				m.Presence = provisioning.Present
			} else {
				m.Others = append(m.Others, a)
			}
		}
		if f.Hidden {
			m = provisioning.Membership{Presence: provisioning.NotVisible}
		}
		seen.Entitlements[e] = m
	}
	return seen, nil
}

// Apply implements provisioning.Backend.
func (f *Fake) Apply(ctx context.Context, s provisioning.Subject, c provisioning.Change) error {
	if err := f.fail(ctx, string(c.Action), s); err != nil {
		return err
	}
	if f.Drop != nil && f.Drop(c) {
		return nil
	}
	f.mu.Lock()
	f.calls = append(f.calls, strings.Join(strings.Fields(fmt.Sprintf("%s %s %s", c.Action, c.Entitlement, s.ID)), " "))
	switch c.Action {
	case provisioning.CreateAccount, provisioning.ActivateAccount:
		f.accounts[s.ID] = provisioning.AccountActive
	case provisioning.DeactivateAccount:
		f.accounts[s.ID] = provisioning.AccountInactive
	case provisioning.DeleteAccount:
		delete(f.accounts, s.ID)
		for _, members := range f.groups {
			delete(members, s.ID)
		}
	case provisioning.AddEntitlement:
		if f.LoseOthers {
			clear(f.groups[c.Entitlement])
		}
		f.groups[c.Entitlement][s.ID] = true
	case provisioning.RemoveEntitlement:
		delete(f.groups[c.Entitlement], s.ID)
	case provisioning.RemoveAllMembers:
		clear(f.groups[c.Entitlement])
	case provisioning.CreateEntitlement:
		f.groups[c.Entitlement] = map[string]bool{}
	case provisioning.ExecuteTask:
	}
	f.mu.Unlock()
	if f.FailAfter != nil {
		return f.FailAfter(string(c.Action), s)
	}
	return nil
}

// CountMembers implements provisioning.EntitlementEmptier.
func (f *Fake) CountMembers(ctx context.Context, entitlement string) (int, error) {
	if err := f.fail(ctx, "observe", provisioning.Subject{}); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.groups[entitlement]), nil
}

// RemoveAllMembers implements provisioning.EntitlementEmptier.
func (f *Fake) RemoveAllMembers(ctx context.Context, entitlement string) error {
	return f.Apply(ctx, provisioning.Subject{}, provisioning.Change{Action: provisioning.RemoveAllMembers, Entitlement: entitlement})
}

// HasEntitlement implements provisioning.EntitlementCreator.
func (f *Fake) HasEntitlement(ctx context.Context, entitlement string) (bool, error) {
	if err := f.fail(ctx, "observe", provisioning.Subject{}); err != nil {
		return false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.groups[entitlement]
	return ok, nil
}

// CreateEntitlement implements provisioning.EntitlementCreator.
func (f *Fake) CreateEntitlement(ctx context.Context, entitlement string) error {
	return f.Apply(ctx, provisioning.Subject{}, provisioning.Change{Action: provisioning.CreateEntitlement, Entitlement: entitlement})
}
