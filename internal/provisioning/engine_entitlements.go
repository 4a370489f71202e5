// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioning

import (
	"context"
	"fmt"
	"slices"
)

// concernsEntitlements tells the kinds that concern the entitlements themselves and no subject.
func concernsEntitlements(k Kind) bool { return k == Archive || k == Prepare }

func (e *Engine) planEntitlements(ctx context.Context, g Goal) ([]Change, error) {
	var plan []Change
	for _, entitlement := range g.mapped() {
		c, err := e.planEntitlement(ctx, g.Kind, entitlement)
		if err != nil {
			return nil, err
		}
		if c != nil {
			plan = append(plan, *c)
		}
	}
	return plan, nil
}

// planEntitlement returns the change that one entitlement needs, nil where it needs none.
func (e *Engine) planEntitlement(ctx context.Context, k Kind, entitlement string) (*Change, error) {
	if k == Prepare {
		creator, ok := e.Backend.(EntitlementCreator)
		if !ok {
			return nil, Permanent(ReasonNotSupported, fmt.Errorf("this backend creates no entitlements"))
		}
		exists := false
		err := e.call(ctx, "observe", func(ctx context.Context) (err error) {
			exists, err = creator.HasEntitlement(ctx, entitlement)
			return err
		})
		if err != nil || exists {
			return nil, err
		}
		return &Change{Action: CreateEntitlement, Entitlement: entitlement}, nil
	}
	emptier, ok := e.Backend.(EntitlementEmptier)
	if !ok {
		return nil, Permanent(ReasonNotSupported, fmt.Errorf("this backend cannot take an entitlement from everybody"))
	}
	count := 0
	err := e.call(ctx, "observe", func(ctx context.Context) (err error) { count, err = emptier.CountMembers(ctx, entitlement); return err })
	if err != nil || count == 0 {
		return nil, err
	}
	return &Change{Action: RemoveAllMembers, Entitlement: entitlement, Members: count}, nil
}

func (e *Engine) provisionEntitlements(ctx context.Context, g Goal, intend Intend) (Outcome, error) {
	plan, err := e.planEntitlements(ctx, g)
	if err != nil {
		return Outcome{}, err
	}
	done := Outcome{InEffect: notIn(plan, g.mapped())}
	done.Seen = func(c Change) string { return string(standing(c.Action, !done.InEffect(c))) }
	if len(plan) == 0 {
		return done, nil
	}
	if err := intend(ctx, Intent{Changes: plan, InEffect: done.InEffect, Seen: done.Seen}); err != nil {
		return done, err
	}
	done.Results = planned(plan)
	for i, c := range plan {
		if err := e.mayChange(ctx); err != nil {
			return done, err
		}
		e.noteRemoval(c, everything)
		sending, ids := collectRequestIDs(ctx)
		applyErr := e.call(sending, string(c.Action), func(ctx context.Context) error { return e.applyToEntitlement(ctx, c) })
		done.Results[i].Before, done.Results[i].RequestIDs = string(standing(c.Action, true)), ids()
		left, err := e.planEntitlement(ctx, g.Kind, c.Entitlement)
		if err != nil {
			return done, cmpErr(applyErr, err)
		}
		done.Results[i].After = string(standing(c.Action, left != nil))
		if left != nil {
			return done, cmpErr(applyErr, Retryable(fmt.Errorf("the target system accepted the change and does not show it: %s", describe(c))))
		}
		done.Results[i].State = Applied
	}
	return done, nil
}

// standing is what is seen of an entitlement where a change of it is needed or not: whether it exists, or has holders.
func standing(a Action, needed bool) Presence {
	if needed == (a == RemoveAllMembers) {
		return Present
	}
	return Absent
}

// notIn judges changes of mapped entitlements by a fresh plan: what need not be done is so.
func notIn(plan []Change, mapped []string) func(Change) bool {
	return func(c Change) bool {
		return slices.Contains(mapped, c.Entitlement) && !slices.ContainsFunc(plan, func(p Change) bool {
			return p.Action == c.Action && p.Entitlement == c.Entitlement
		})
	}
}

func (e *Engine) applyToEntitlement(ctx context.Context, c Change) error {
	if c.Action == CreateEntitlement {
		return e.Backend.(EntitlementCreator).CreateEntitlement(ctx, c.Entitlement) //nolint:errcheck,forcetypeassert // planEntitlement asserted it
	}
	return e.Backend.(EntitlementEmptier).RemoveAllMembers(ctx, c.Entitlement) //nolint:errcheck,forcetypeassert // planEntitlement asserted it
}
