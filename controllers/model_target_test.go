// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/provisioningtest"
)

// faultKind is what befalls a call of backend or store.
type faultKind int

const (
	// failsBefore is an error of a call that had no effect.
	failsBefore faultKind = iota
	// failsAfter is an error of a call that had its effect.
	failsAfter
	// timesOutBefore and timesOutAfter end the whole visit's time.
	timesOutBefore
	timesOutAfter
	// lies is success without an effect.
	lies
	// closes is an answer that closes the connector; slows one that asks for fewer requests.
	closes
	slows
	// crashesBefore and crashesAfter end the process.
	crashesBefore
	crashesAfter
	faultKinds
)

// call makes one call of a visit, with what befalls it.
func (w *world) call(ctx context.Context, operation string, effect func() error) error {
	v := visitOf(ctx)
	v.pause()
	if err := ctx.Err(); err != nil {
		return err
	}
	kind, befallen := w.nextFault()
	if !befallen {
		err := effect()
		v.pause()
		return err
	}
	w.note("fault %d befalls %s of %s", kind, operation, v.task)
	switch kind {
	case crashesBefore:
		w.crash(v)
	case failsBefore:
		return fail(operation, "before")
	case timesOutBefore:
		v.cancel()
		return ctx.Err()
	case closes:
		if operation != "write" && operation != "ask" {
			return provisioning.Unavailable(provisioning.ReasonUnauthorized, errors.New("401"))
		}
		return fail(operation, "before")
	case slows:
		if operation != "write" && operation != "ask" {
			return &provisioning.RetryableError{After: 3 * time.Second, RateLimited: true, Err: errors.New("429")}
		}
		return fail(operation, "before")
	case lies:
		if operation != "write" && operation != "ask" && operation != "observe" {
			return nil
		}
		return fail(operation, "before")
	case failsAfter, timesOutAfter, crashesAfter, faultKinds:
	}
	err := effect()
	v.pause()
	switch {
	case err != nil || kind == failsAfter:
		return errors.Join(err, fail(operation, "after"))
	case kind == crashesAfter:
		w.crash(v)
	case kind == timesOutAfter:
		v.cancel()
	}
	return ctx.Err()
}

func fail(operation, when string) error {
	if operation == "write" {
		return errStore(when)
	}
	return provisioning.Retryable(fmt.Errorf("failed %s", when))
}

// crash ends the process of a visit, from inside it: the world ends the visits once control is back.
func (w *world) crash(v *visit) {
	v.process.dead = true
	v.pause()
	panic(errCrash)
}

// modelTargets gives a process its view of the target systems.
type modelTargets struct{ process *process }

func (t *modelTargets) Engine(_ context.Context, c *accessv1alpha1.Connector) (*provisioning.Engine, error) {
	w := t.process.world
	if w.mutation.gatesForget {
		for _, g := range t.process.reconciler.Gates.gates {
			clear(g.begun)
		}
	}
	return &provisioning.Engine{
		Backend: &modelBackend{world: w, app: c.Name, fake: w.targets[c.Name]},
		Ledger:  t.process.ledgers[c.Name],
		Now:     w.clock.Now,
	}, nil
}

func (*modelTargets) Subject(_ context.Context, _ *accessv1alpha1.Connector, r *accessv1alpha1.AccessRequest) (provisioning.Subject, error) {
	return provisioning.Subject{ID: r.TargetUser.Email}, nil
}

func (*modelTargets) Kind(*accessv1alpha1.Connector) string { return "scim" }

func (*modelTargets) Revision(context.Context, *accessv1alpha1.Connector) (string, error) {
	return "", nil
}

func (*modelTargets) Forget(types.NamespacedName) {}

// modelBackend is a target system that hands control back at every call, fails where it is to, and holds every change
// against what is right at that moment.
type modelBackend struct {
	world *world
	app   string
	fake  *provisioningtest.Fake
}

func (b *modelBackend) Check(context.Context) error { return nil }

func (b *modelBackend) Observe(ctx context.Context, s provisioning.Subject, entitlements []string) (provisioning.Access, error) {
	v := visitOf(ctx)
	var seen provisioning.Access
	err := b.world.call(ctx, "observe", func() (err error) {
		seen, err = b.fake.Observe(ctx, s, entitlements)
		return err
	})
	if err != nil {
		return provisioning.Access{}, err
	}
	if b.world.mutation.seesItsWishes {
		for _, c := range v.claimed {
			wish(&seen, c)
		}
	}
	v.seen = &seen
	if v.held == nil {
		v.held = new(b.world.stateOf(b.app, s.ID))
	}
	return seen, nil
}

// wish makes an observation show a change.
func wish(seen *provisioning.Access, c provisioning.Change) {
	switch c.Action {
	case provisioning.AddEntitlement, provisioning.RemoveEntitlement:
		m := seen.Entitlements[c.Entitlement]
		m.Presence = provisioning.Present
		if c.Action == provisioning.RemoveEntitlement {
			m.Presence = provisioning.Absent
		}
		seen.Entitlements[c.Entitlement] = m
	case provisioning.CreateAccount, provisioning.ActivateAccount:
		seen.Account = provisioning.AccountActive
	case provisioning.DeactivateAccount:
		seen.Account = provisioning.AccountInactive
	case provisioning.DeleteAccount:
		seen.Account = provisioning.AccountAbsent
	default:
	}
}

func (b *modelBackend) Apply(ctx context.Context, s provisioning.Subject, c provisioning.Change) error {
	v := visitOf(ctx)
	b.world.judgeChange(v, b.app, s.ID, c)
	v.changing = true
	defer func() { v.changing = false }()
	err := b.world.call(ctx, string(c.Action), func() error {
		v.changing = false
		b.world.changed(v, b.app, s.ID, c)
		return b.fake.Apply(ctx, s, c)
	})
	if b.world.mutation.seesItsWishes {
		v.claimed = append(v.claimed, c)
	}
	return err
}

func (b *modelBackend) CountMembers(ctx context.Context, entitlement string) (int, error) {
	count := 0
	err := b.world.call(ctx, "observe", func() (err error) {
		count, err = b.fake.CountMembers(ctx, entitlement)
		return err
	})
	if err == nil {
		visitOf(ctx).counted[entitlement] = count
	}
	return count, err
}

func (b *modelBackend) RemoveAllMembers(ctx context.Context, entitlement string) error {
	return b.Apply(ctx, provisioning.Subject{}, provisioning.Change{Action: provisioning.RemoveAllMembers, Entitlement: entitlement})
}

// judgeChange holds a change that is about to be made against what is right at that moment.
func (w *world) judgeChange(v *visit, app, person string, c provisioning.Change) {
	is := func(change accessv1alpha1.TaskChange) bool {
		return string(change.Action) == string(c.Action) && change.Entitlement == c.Entitlement && change.State == accessv1alpha1.ChangePlanned
	}
	if !w.store.planned(v.task, is, !v.process.old) {
		w.fail("%s: %s %s of %s is made and not on record as planned", v.task, c.Action, c.Entitlement, person)
	}
	t := w.facts[v.task]
	if t.app != app || c.Action != provisioning.RemoveAllMembers && modelPeople[t.person] != person || !slices.Contains(t.mayDo(w), c) {
		w.fail("%s: %s %q of %q in %s is none of what the task asks for", v.task, c.Action, c.Entitlement, person, app)
	}
	if c.Action == provisioning.RemoveAllMembers {
		if v.counted[c.Entitlement] == 0 {
			w.fail("%s: %s of %q, which nobody was seen to hold", v.task, c.Action, c.Entitlement)
		}
		return
	}
	there := false
	switch m := v.seen.Entitlements[c.Entitlement].Presence; c.Action {
	case provisioning.AddEntitlement:
		there = m == provisioning.Present
	case provisioning.RemoveEntitlement:
		there = m == provisioning.Absent
	case provisioning.CreateAccount, provisioning.ActivateAccount:
		there = v.seen.Account == provisioning.AccountActive
	case provisioning.DeactivateAccount:
		there = v.seen.Account == provisioning.AccountInactive
	case provisioning.DeleteAccount:
		there = v.seen.Account == provisioning.AccountAbsent
	default:
	}
	// A plan of two steps goes on where another leader made the second one meanwhile: that does no harm.
	if there && !v.process.old && !w.disordered[app] {
		w.fail("%s: %s %q of %q is made, and was so when it was looked", v.task, c.Action, c.Entitlement, person)
	}
	if c.Action == provisioning.AddEntitlement && t.kind == provisioning.ChangeLevel {
		now := w.stateOf(app, person)
		if extra := now.held &^ (v.held.held | levelBits(t.level)); extra != 0 && !v.process.old {
			w.fail("%s: %q holds more than the old and the new level: %04b", v.task, person, extra)
		}
	}
}

// changed notes a change that has its effect now.
func (w *world) changed(v *visit, app, person string, c provisioning.Change) {
	w.note("%s: %s", v.task, strings.Join(strings.Fields(fmt.Sprint(c.Action, " ", c.Entitlement, " ", person, " in ", app)), " "))
	if v.process.old {
		if v.process.granted--; v.process.granted < 0 {
			w.fail("%s is changed by a process that does not lead", v.task)
		}
		// Two processes changed something at once, which nothing can put in order: the end is not judged.
		w.disordered[app] = true
	}
}
