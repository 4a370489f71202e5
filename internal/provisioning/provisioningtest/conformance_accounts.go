// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioningtest

import (
	"errors"
	"slices"
	"strings"

	"getcakewalk.io/access-operator/internal/provisioning"
)

func asPermanent(err error) (*provisioning.PermanentError, bool) {
	return errors.AsType[*provisioning.PermanentError](err)
}

// when returns why a case does not apply unless a condition holds.
func when(holds bool, why string) string {
	if holds {
		return ""
	}
	return why
}

// subjects are the cases about who is meant.
func (s *suite) subjects() []conformance {
	accounts := when(!s.traits.NoAccounts, "the target system knows no accounts")
	return []conformance{
		{name: "a grant to nobody is refused, a removal is done", unless: accounts, run: unknownSubject},
		{name: "two accounts for one subject are refused", unless: when(s.traits.Ambiguous != nil, "the target system cannot have two accounts for a subject"), run: ambiguousSubject},
		{name: "a subject in another case", run: otherCase},
		{name: "subjects with metacharacters", run: oddSubjects},
		{name: "entitlements with metacharacters", run: oddEntitlements},
		{name: "an entitlement that does not exist is named", unless: when(!s.traits.AnyEntitlement, "every entitlement exists"), run: unknownEntitlement},
	}
}

func unknownSubject(c *scene) {
	e, nobody := c.engine(), c.subject("nobody")
	c.refuses(e, nobody, c.goal(provisioning.Grant, editor), provisioning.ReasonSubjectNotFound)
	c.does(e, nobody, c.goal(provisioning.Remove, editor))
	c.does(e, nobody, c.goal(provisioning.Remove, provisioning.NoLevel))
	c.holders(c.editors, c.bob)
	c.account(nobody, provisioning.AccountAbsent)
}

func ambiguousSubject(c *scene) {
	two := c.traits.Ambiguous(c)
	e := c.engine()
	g := c.goal(provisioning.Grant, editor)
	g.CreateAccount = c.traits.Creates
	c.refuses(e, two, g, provisioning.ReasonAmbiguousSubject)
	c.refuses(e, two, c.goal(provisioning.Remove, provisioning.NoLevel), provisioning.ReasonAmbiguousSubject)
	c.holders(c.editors, c.bob)
}

func otherCase(c *scene) {
	e, loud := c.engine(), strings.ToUpper(c.ann)
	switch {
	case !c.traits.CaseSensitive:
		c.does(e, loud, c.goal(provisioning.Grant, editor), provisioning.AddEntitlement)
		c.holders(c.editors, c.ann, c.bob)
		c.does(e, c.ann, c.goal(provisioning.Grant, editor))
		c.does(e, loud, c.goal(provisioning.Remove, editor), provisioning.RemoveEntitlement)
		c.holders(c.editors, c.bob)
	case c.traits.NoAccounts:
		c.does(e, c.ann, c.goal(provisioning.Grant, editor), provisioning.AddEntitlement)
		c.does(e, loud, c.goal(provisioning.Remove, editor))
		c.holders(c.editors, c.ann, c.bob)
	default:
		c.refuses(e, loud, c.goal(provisioning.Grant, editor), provisioning.ReasonSubjectNotFound)
		c.holders(c.editors, c.bob)
	}
}

func oddSubjects(c *scene) {
	if len(c.traits.OddSubjects) == 0 {
		c.Fatal("the target names no odd subjects")
	}
	e := c.engine()
	for _, word := range c.traits.OddSubjects {
		odd := c.subject(word)
		if !c.traits.NoAccounts {
			_, err := c.provision(e, odd, c.goal(provisioning.Grant, editor))
			if _, refused := asPermanent(err); !refused {
				c.Errorf("a grant to nobody, %q: %v, want a permanent error", odd, err)
			}
			c.holders(c.editors, c.bob)
			c.target.AddAccounts(c, odd)
		}
		c.does(e, odd, c.goal(provisioning.Grant, editor), provisioning.AddEntitlement)
		c.holders(c.editors, odd, c.bob)
		c.does(c.engine(), odd, c.goal(provisioning.Grant, editor))
		c.does(e, odd, c.goal(provisioning.Remove, editor), provisioning.RemoveEntitlement)
		c.holders(c.editors, c.bob)
	}
}

func oddEntitlements(c *scene) {
	if len(c.traits.OddEntitlements) == 0 {
		c.Fatal("the target names no odd entitlements")
	}
	e := c.engine()
	for _, word := range c.traits.OddEntitlements {
		odd := c.entitlement(word)
		c.target.AddEntitlement(c, odd, c.bob)
		c.does(e, c.ann, only(provisioning.Grant, odd), provisioning.AddEntitlement)
		c.holders(odd, c.ann, c.bob)
		c.does(c.engine(), c.ann, only(provisioning.Grant, odd))
		c.does(e, c.ann, only(provisioning.Remove, odd), provisioning.RemoveEntitlement)
		c.holders(odd, c.bob)
	}
	c.holders(c.viewers, c.bob)
	c.holders(c.editors, c.bob)
}

func unknownEntitlement(c *scene) {
	missing := c.entitlement("missing")
	err := c.refuses(c.engine(), c.ann, only(provisioning.Grant, missing), provisioning.ReasonEntitlementNotFound)
	if err == nil || !strings.Contains(err.Error(), missing) {
		c.Errorf("%v: does not name %q", err, missing)
	}
}

// accounts are the cases about the accounts themselves.
func (s *suite) accounts() []conformance {
	return []conformance{
		{name: "a grant creates the account", unless: when(s.traits.Creates, "the backend creates no accounts"), run: createAccount},
		{name: "a removal deactivates the account and a grant activates it", unless: when(s.traits.Deactivates, "the backend deactivates no accounts"), run: deactivateAccount},
		{name: "a removal deletes the account", unless: when(s.traits.Deletes, "the backend deletes no accounts"), run: deleteAccount},
	}
}

func createAccount(c *scene) {
	e, cyd := c.engine(), c.subject("cyd")
	g := c.goal(provisioning.Grant, editor)
	g.CreateAccount = true
	c.does(e, cyd, g, provisioning.CreateAccount, provisioning.AddEntitlement)
	c.account(cyd, provisioning.AccountActive)
	c.holders(c.editors, cyd, c.bob)
	c.does(c.engine(), cyd, g)
	for _, word := range c.traits.OddSubjects {
		odd := c.subject("new" + word)
		c.does(e, odd, g, provisioning.CreateAccount, provisioning.AddEntitlement)
		c.account(odd, provisioning.AccountActive)
		c.does(e, odd, c.goal(provisioning.Remove, editor), provisioning.RemoveEntitlement)
	}
	c.holders(c.editors, cyd, c.bob)
}

func deactivateAccount(c *scene) {
	e := c.engine()
	c.does(e, c.ann, c.goal(provisioning.Grant, editor), provisioning.AddEntitlement)
	g := c.goal(provisioning.Remove, provisioning.NoLevel)
	g.OnRemove = provisioning.ThenDeactivate
	c.does(e, c.ann, g, provisioning.RemoveEntitlement, provisioning.DeactivateAccount)
	c.account(c.ann, provisioning.AccountInactive)
	c.holders(c.editors, c.bob)
	c.does(e, c.ann, g)
	c.does(e, c.ann, c.goal(provisioning.Grant, viewer), provisioning.ActivateAccount, provisioning.AddEntitlement)
	c.account(c.ann, provisioning.AccountActive)
	c.account(c.bob, provisioning.AccountActive)
}

func deleteAccount(c *scene) {
	e := c.engine()
	c.does(e, c.ann, c.goal(provisioning.Grant, editor), provisioning.AddEntitlement)
	g := c.goal(provisioning.Remove, provisioning.NoLevel)
	g.OnRemove = provisioning.ThenDelete
	c.does(e, c.ann, g, provisioning.RemoveEntitlement, provisioning.DeleteAccount)
	c.account(c.ann, provisioning.AccountAbsent)
	c.holders(c.editors, c.bob)
	c.does(e, c.ann, g)
	c.account(c.bob, provisioning.AccountActive)
}

// everybody are the cases that concern an entitlement and no subject.
func (*suite) everybody() []conformance {
	return []conformance{
		{name: "an archive empties what is mapped and nothing else", run: archive},
		{name: "what is missing is prepared", run: prepare},
		// The last, since what it leaves behind makes some servers slow.
		{name: "2,000 other members are left alone", run: otherMembers},
	}
}

func archive(c *scene) {
	e := c.engine()
	if _, ok := e.Backend.(provisioning.EntitlementEmptier); !ok {
		c.Log("does not apply: the backend empties no entitlements")
		return
	}
	people := make([]string, 120)
	for i := range people {
		people[i] = c.subject("q" + strings.Repeat("x", i%3) + string(rune('a'+i%26)) + string(rune('a'+i/26)))
	}
	slices.Sort(people)
	people = slices.Compact(people)
	c.addAccounts(people...)
	full := c.entitlement("full")
	c.target.AddEntitlement(c, full, people...)
	c.does(e, "", only(provisioning.Archive, full), provisioning.RemoveAllMembers)
	c.holders(full)
	c.does(e, "", only(provisioning.Archive, full))
	c.holders(c.editors, c.bob)
	c.does(e, c.ann, only(provisioning.Grant, full), provisioning.AddEntitlement)
	c.holders(full, c.ann)
}

func prepare(c *scene) {
	e := c.engine()
	if _, ok := e.Backend.(provisioning.EntitlementCreator); !ok {
		c.Log("does not apply: the backend creates no entitlements")
		return
	}
	fresh := c.entitlement("fresh")
	c.does(e, "", only(provisioning.Prepare, fresh), provisioning.CreateEntitlement)
	c.holders(fresh)
	c.does(e, "", only(provisioning.Prepare, fresh))
	c.does(c.engine(), c.ann, only(provisioning.Grant, fresh), provisioning.AddEntitlement)
	c.holders(fresh, c.ann)
	c.does(e, "", c.goal(provisioning.Prepare, provisioning.NoLevel))
	c.holders(c.editors, c.bob)
}
