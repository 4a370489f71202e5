// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioning

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// State says what became of a planned change.
type State string

const (
	// Planned means that the change was decided and has not been seen to be in effect. It may or may not have been sent.
	Planned State = "Planned"
	// Applied means that the change was seen to be in effect.
	Applied State = "Applied"
	// Unverifiable means that the target system accepted the change and cannot show it.
	Unverifiable State = "Unverifiable"
)

// Result is a planned change and what became of it.
type Result struct {
	// Change is what was planned.
	Change Change
	// State is what became of it.
	State State
	// Before and After are what was seen of what it changes: a Presence of an entitlement, an AccountState of the account.
	// After is empty where the target system was not observed afterwards.
	Before, After string
	// RequestIDs are the target system's names for the requests that made the change, as far as it names them.
	RequestIDs []string
}

// Outcome is what Provision did.
type Outcome struct {
	// Results are the planned changes in their order; empty where the goal was reached already.
	Results []Result
	// InEffect tells of a change that an earlier call planned whether it is seen to be in effect now. Nil where nothing
	// could be observed.
	InEffect func(Change) bool
	// Seen tells what is seen now of what a change is about. Nil where nothing could be observed.
	Seen func(Change) string
	// Message is what an Executor says of its success; empty where it says nothing.
	Message string
}

// Verified tells whether everything that was changed was also seen.
func (o Outcome) Verified() bool {
	return !slices.ContainsFunc(o.Results, func(r Result) bool { return r.State != Applied })
}

// Intent is what is about to be done.
type Intent struct {
	// Changes is the whole plan, in its order.
	Changes []Change
	// InEffect tells of a change that an earlier call planned whether it is seen to be in effect now.
	InEffect func(Change) bool
	// Seen tells what is seen now of what a change is about, as Result.Before does.
	Seen func(Change) string
}

// Intend is told the intent before the first change is made. If it returns an error, nothing is changed and Provision
// returns that error: a plan that could not be recorded is not carried out.
type Intend func(ctx context.Context, intent Intent) error

// Engine brings access to a goal in one target system: it observes, plans, applies and observes again. Several calls may
// run at the same time. It repeats nothing by itself: a call that ends with an error is made again by its caller, and
// goes on from what is then observed.
type Engine struct {
	// Backend speaks to the target system. Nil where an Executor is set.
	Backend Backend
	// Executor carries out whole tasks where the target system cannot be observed: then Execute is called, and Provision
	// is not. Nil where a Backend is set.
	Executor Executor
	// Ledger is shared by all engines of one target system; nil remembers nothing.
	Ledger *Ledger
	// Allowed is asked before every call that changes something: an error of it ends the work at once, and is returned.
	// Nil allows everything.
	Allowed func() error
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Called is told of every call to the backend: the operation (check, observe or an Action), how long it took and its
	// error. Nil tells nobody.
	Called func(operation string, took time.Duration, err error)
	// Calling is told before every call to the backend, which is made in the context that it returns, and of its error
	// after it. Nil tells nobody.
	Calling func(ctx context.Context, operation string) (calling context.Context, called func(error))
}

// Plan observes and returns what Provision, or Execute, would change now. It changes nothing.
func (e *Engine) Plan(ctx context.Context, s Subject, g Goal) ([]Change, error) {
	if e.Executor != nil {
		return wholeTask(), nil
	}
	if concernsEntitlements(g.Kind) {
		return e.planEntitlements(ctx, g)
	}
	seen, err := e.observe(ctx, s, g.Scope())
	if err != nil {
		return nil, err
	}
	plan, err := Plan(g, seen)
	return flatten(plan), err
}

// Provision brings the target system to the goal. An error says that the goal is not known to be reached; Outcome then
// says how far it came. Provision returns the error words of this package, ctx's error, or what intend returned.
func (e *Engine) Provision(ctx context.Context, s Subject, g Goal, intend Intend) (Outcome, error) {
	if concernsEntitlements(g.Kind) {
		return e.provisionEntitlements(ctx, g, intend)
	}
	seen, err := e.observe(ctx, s, g.Scope())
	if err != nil {
		return Outcome{}, err
	}
	done := Outcome{InEffect: inEffect(seen), Seen: shown(seen)}
	plan, err := Plan(g, seen)
	if err != nil || len(plan) == 0 {
		return done, cmpErr(err, stillHeld(g, seen))
	}
	all := flatten(plan)
	if err := intend(ctx, Intent{Changes: all, InEffect: done.InEffect, Seen: done.Seen}); err != nil {
		return done, err
	}
	done.Results = planned(all)
	next := 0
	for _, step := range plan {
		if seen, err = e.take(ctx, s, g, step, seen, done.Results[next:next+len(step)]); err != nil {
			return done, err
		}
		next += len(step)
	}
	return done, stillHeld(g, seen)
}

// stillHeld is the error of a removal after which the subject has the access by another way, which the connector does
// not map and so may not touch. By a mapped one it is meant: that is another level.
func stillHeld(g Goal, seen Access) error {
	if g.Kind != Remove || seen.Account == AccountAbsent {
		return nil
	}
	mapped := g.mapped()
	for _, e := range g.Asked() {
		for _, by := range seen.Entitlements[e].Inherited {
			if !slices.Contains(mapped, by) {
				return Permanent(ReasonInherited, fmt.Errorf(
					"the subject still has %q through %q, which this connector does not map and leaves alone: remove it by hand", e, by))
			}
		}
	}
	return nil
}

// take applies one step and verifies it. What counts is what is seen afterwards, also after an error: a request that
// timed out may have been carried out, and servers answer a change that is already so in every possible way.
func (e *Engine) take(ctx context.Context, s Subject, g Goal, step Step, before Access, results []Result) (Access, error) {
	var applyErr error
	sent := 0
	for i, c := range step {
		results[i].Before = shown(before)(c)
	}
	for i, c := range step {
		if err := e.mayChange(ctx); err != nil {
			return before, err
		}
		e.noteRemoval(c, idIn(before, c.Entitlement))
		sending, ids := collectRequestIDs(ctx)
		applyErr = e.call(sending, string(c.Action), func(ctx context.Context) error { return e.Backend.Apply(ctx, s, c) })
		results[i].RequestIDs = ids()
		if applyErr != nil {
			break
		}
		sent++
	}
	var unavailable *UnavailableError
	if errors.As(applyErr, &unavailable) || interrupted(ctx) {
		return before, joined(applyErr, ctx.Err())
	}
	after, err := e.observe(ctx, s, g.Scope())
	if err != nil {
		return before, joined(applyErr, err)
	}
	var missing error
	for i, c := range step {
		results[i].After = shown(after)(c)
		switch effect(c, after) {
		case Present:
			results[i].State = Applied
		case NotVisible:
			if i < sent {
				results[i].State = Unverifiable
				continue
			}
			missing = cmpErr(missing, applyErr)
		case Absent:
			missing = cmpErr(missing, cmpErr(applyErr, Retryable(fmt.Errorf("the target system accepted the change and does not show it: %s", describe(c)))))
		}
	}
	if err := e.checkOthers(step, before, after); err != nil {
		return after, err
	}
	return after, missing
}

// mayChange tells whether something may be changed now: the caller is there and allows it.
func (e *Engine) mayChange(ctx context.Context) error {
	if interrupted(ctx) {
		return ctx.Err()
	}
	if e.Allowed != nil {
		return e.Allowed()
	}
	return nil
}

// joined joins two errors in one line.
func joined(first, second error) error {
	if first == nil || second == nil {
		return cmpErr(first, second)
	}
	return fmt.Errorf("%w; then %w", first, second)
}

// cmpErr returns the first of two errors that is one.
func cmpErr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// idIn is the subject's id among the holders of an entitlement, or the account's where none is meant.
func idIn(seen Access, entitlement string) string {
	if self := seen.Entitlements[entitlement].Self; self != "" {
		return self
	}
	return seen.AccountID
}

// noteRemoval tells the ledger before the change is sent: another task may look between the change and its answer.
func (e *Engine) noteRemoval(c Change, accountID string) {
	switch c.Action {
	case RemoveEntitlement:
		e.Ledger.note(c.Entitlement, accountID, e.now())
	case DeleteAccount, DeactivateAccount:
		e.Ledger.note(everything, accountID, e.now())
	case RemoveAllMembers:
		e.Ledger.note(c.Entitlement, everything, e.now())
	case CreateAccount, ActivateAccount, AddEntitlement, CreateEntitlement, ExecuteTask:
	}
}

// checkOthers looks for holders of the step's entitlements who vanished while the step was taken, other than by another
// task. A target system that loses members when one is added must not be given another change.
func (e *Engine) checkOthers(step Step, before, after Access) error {
	for _, c := range step {
		if c.Entitlement == "" {
			continue
		}
		was, is := before.Entitlements[c.Entitlement], after.Entitlements[c.Entitlement]
		if !was.OthersKnown || !is.OthersKnown {
			continue
		}
		left := make(map[string]bool, len(is.Others))
		for _, id := range is.Others {
			left[id] = true
		}
		var vanished []string
		for _, id := range was.Others {
			if !left[id] && !e.Ledger.has(c.Entitlement, id) {
				vanished = append(vanished, id)
			}
		}
		if len(vanished) > 0 {
			return Permanent(ReasonOthersVanished, fmt.Errorf(
				"%d other members of %q vanished while this change was made (ids %v); nothing more is changed until a person has looked",
				len(vanished), c.Entitlement, vanished[:min(len(vanished), 5)]))
		}
	}
	return nil
}

// effect tells whether a change is seen to be in effect: Present, Absent, or NotVisible.
func effect(c Change, seen Access) Presence {
	is := func(b bool) Presence {
		if b {
			return Present
		}
		return Absent
	}
	switch c.Action {
	case CreateAccount, ActivateAccount:
		return is(seen.Account == AccountActive)
	case DeactivateAccount:
		return is(seen.Account != AccountActive)
	case DeleteAccount:
		return is(seen.Account == AccountAbsent)
	case AddEntitlement:
		return seen.Entitlements[c.Entitlement].Presence
	case RemoveEntitlement:
		switch seen.Entitlements[c.Entitlement].Presence {
		case Present:
			return Absent
		case NotVisible:
			return is(seen.Account == AccountAbsent).orNotVisible()
		default:
			return Present
		}
	default:
		return Absent
	}
}

// inEffect judges changes by one observation.
func inEffect(seen Access) func(Change) bool {
	return func(c Change) bool { return effect(c, seen) == Present }
}

// shown tells what an observation shows of what a change is about.
func shown(seen Access) func(Change) string {
	return func(c Change) string {
		if c.Entitlement == "" {
			return string(seen.Account)
		}
		return string(seen.Entitlements[c.Entitlement].Presence)
	}
}

// orNotVisible turns Absent into NotVisible.
func (p Presence) orNotVisible() Presence {
	if p == Absent {
		return NotVisible
	}
	return p
}

func (e *Engine) observe(ctx context.Context, s Subject, scope []string) (Access, error) {
	var seen Access
	err := e.call(ctx, "observe", func(ctx context.Context) (err error) {
		seen, err = e.Backend.Observe(ctx, s, scope)
		return err
	})
	return seen, err
}

// Check tells whether the target system can be used.
func (e *Engine) Check(ctx context.Context) error {
	return e.call(ctx, "check", e.check)
}

func (e *Engine) call(ctx context.Context, operation string, f func(context.Context) error) error {
	start := e.now()
	called := func(error) {}
	if e.Calling != nil {
		ctx, called = e.Calling(ctx, operation)
	}
	err := f(ctx)
	called(err)
	if e.Called != nil {
		e.Called(operation, e.now().Sub(start), err)
	}
	return err
}

func (e *Engine) now() time.Time {
	if e.Now == nil {
		return time.Now()
	}
	return e.Now()
}

func flatten(plan []Step) []Change {
	var all []Change
	for _, s := range plan {
		all = append(all, s...)
	}
	return all
}

func planned(changes []Change) []Result {
	results := make([]Result, len(changes))
	for i, c := range changes {
		results[i] = Result{Change: c, State: Planned}
	}
	return results
}

func describe(c Change) string {
	if c.Entitlement == "" {
		return string(c.Action)
	}
	return fmt.Sprintf("%s %q", c.Action, c.Entitlement)
}
