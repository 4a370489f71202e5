// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioningtest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// RunConformance drives a target's backend through the engine and judges it by what the server then holds. Every backend
// passes it. It logs what does not apply to the target.
func RunConformance(t *testing.T, target Target) {
	s := &suite{target: target, traits: target.Traits()}
	if s.traits.Subject == nil {
		s.traits.Subject = func(word string) string { return word + "@example.com" }
	}
	if s.traits.Entitlement == nil {
		s.traits.Entitlement = func(word string) string { return word }
	}
	for _, c := range slices.Concat(s.memberships(), s.subjects(), s.accounts(), s.interruptions(), s.faults(), s.credentials(), s.everybody()) {
		t.Run(c.name, func(t *testing.T) {
			if c.unless != "" {
				t.Log("does not apply: ", c.unless)
				return
			}
			c.run(s.scene(t))
		})
	}
}

// suite runs cases against one target, each with accounts and entitlements of its own.
type suite struct {
	target Target
	traits Traits
	scenes int
}

// conformance is one case.
type conformance struct {
	name string
	// unless says why the case does not apply to the target; empty where it does.
	unless string
	run    func(*scene)
}

// scene is the stage of one case: ann holds nothing, bob holds both entitlements, and nothing may happen to bob.
type scene struct {
	*testing.T
	*suite
	number           int
	ann, bob         string
	viewers, editors string
}

const (
	viewer = 0
	editor = 1
)

func (s *suite) scene(t *testing.T) *scene {
	s.scenes++
	c := &scene{T: t, suite: s, number: s.scenes}
	c.ann, c.bob = c.subject("ann"), c.subject("bob")
	c.viewers, c.editors = c.entitlement("viewers"), c.entitlement("editors")
	if !s.traits.NoAccounts {
		s.target.AddAccounts(t, c.ann, c.bob)
	}
	s.target.AddEntitlement(t, c.viewers, c.bob)
	s.target.AddEntitlement(t, c.editors, c.bob)
	return c
}

// subject makes a subject of this scene's own.
func (c *scene) subject(word string) string {
	return c.traits.Subject(fmt.Sprintf("%s%d", word, c.number))
}

// entitlement makes the name of an entitlement of this scene's own.
func (c *scene) entitlement(word string) string {
	return c.traits.Entitlement(fmt.Sprintf("%s%d", word, c.number))
}

// addAccount makes accounts where the target has any.
func (c *scene) addAccounts(subjects ...string) {
	c.Helper()
	if !c.traits.NoAccounts {
		c.target.AddAccounts(c, subjects...)
	}
}

// engine returns an engine as a process has that was just started.
func (c *scene) engine() *provisioning.Engine {
	c.Helper()
	return &provisioning.Engine{Backend: c.target.Backend(c), Ledger: &provisioning.Ledger{}}
}

// goal is one of the scene's levels, viewers below editors.
func (c *scene) goal(kind provisioning.Kind, level int) provisioning.Goal {
	return provisioning.Goal{Kind: kind, Levels: [][]string{{c.viewers}, {c.editors}}, Level: level}
}

// only is a goal about one entitlement.
func only(kind provisioning.Kind, entitlement string) provisioning.Goal {
	return provisioning.Goal{Kind: kind, Levels: [][]string{{entitlement}}}
}

// patience bounds one call of the engine. It is much longer than a request may take.
const patience = time.Minute

// provision brings a subject to a goal and returns what was planned, as "<action> <state>", and the error. It fails the
// test where the error shows a secret, or where the time of the call was used up: requests have their own.
func (c *scene) provision(e *provisioning.Engine, subject string, g provisioning.Goal) ([]string, error) {
	c.Helper()
	return c.provisionIn(c.Context(), e, subject, g)
}

func (c *scene) provisionIn(ctx context.Context, e *provisioning.Engine, subject string, g provisioning.Goal) ([]string, error) {
	c.Helper()
	call, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := e.Provision(call, provisioning.Subject{ID: subject, Attributes: c.traits.Attributes}, g,
		func(context.Context, provisioning.Intent) error { return nil })
	if ctx.Err() == nil && call.Err() != nil {
		c.Errorf("%s of %s used up the time of the whole call: a request has no end of its own", g.Kind, subject)
	}
	c.holdsNoSecret(err)
	var changes []string
	for _, r := range out.Results {
		changes = append(changes, fmt.Sprintf("%s %s", r.Change.Action, r.State))
	}
	return changes, err
}

// holdsNoSecret fails the test where an error shows one.
func (c *scene) holdsNoSecret(err error) {
	c.Helper()
	if err == nil || c.traits.Secrets == nil {
		return
	}
	for _, secret := range c.traits.Secrets() {
		if secret != "" && strings.Contains(err.Error(), secret) {
			c.Errorf("an error shows a secret: %v", err)
		}
	}
}

// does provisions and expects changes, all in effect, and no error.
func (c *scene) does(e *provisioning.Engine, subject string, g provisioning.Goal, want ...provisioning.Action) {
	c.Helper()
	changes, err := c.provision(e, subject, g)
	if err != nil {
		c.Errorf("%s of %s: %v", g.Kind, subject, err)
	}
	var all []string
	for _, action := range want {
		all = append(all, fmt.Sprintf("%s %s", action, provisioning.Applied))
	}
	if diff := cmp.Diff(all, changes); diff != "" {
		c.Errorf("%s of %s changes -want +got\n%s", g.Kind, subject, diff)
	}
}

// refuses provisions and expects a *provisioning.PermanentError with one of the reasons, and returns it.
func (c *scene) refuses(e *provisioning.Engine, subject string, g provisioning.Goal, reasons ...string) error {
	c.Helper()
	_, err := c.provision(e, subject, g)
	if wrong, ok := asPermanent(err); !ok || !slices.Contains(reasons, wrong.Reason) {
		c.Errorf("%s of %s: %v, want a permanent error: %v", g.Kind, subject, err, reasons)
	}
	return err
}

// holders expects who holds an entitlement, each once.
func (c *scene) holders(entitlement string, want ...string) {
	c.Helper()
	got := c.target.Holders(c, entitlement)
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(append([]string{}, want...), append([]string{}, got...)); diff != "" {
		c.Errorf("holders of %s -want +got\n%s", entitlement, diff)
	}
}

// account expects the state of an account.
func (c *scene) account(subject string, want provisioning.AccountState) {
	c.Helper()
	if got := c.target.Account(c, subject); got != want {
		c.Errorf("the account of %s is %s, want %s", subject, got, want)
	}
}
