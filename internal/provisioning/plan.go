// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioning

import (
	"fmt"
	"slices"
)

// Kind is what is to be brought about.
type Kind string

const (
	// Grant makes the account active and the level's entitlements present; other entitlements stay.
	Grant Kind = "Grant"
	// ChangeLevel makes exactly the level's entitlements present among the mapped ones.
	ChangeLevel Kind = "ChangeLevel"
	// Remove makes the level's entitlements absent, or all mapped ones where no level is named.
	Remove Kind = "Remove"
	// Archive makes every mapped entitlement one without holders.
	Archive Kind = "Archive"
	// Prepare makes every mapped entitlement exist.
	Prepare Kind = "Prepare"
)

// OnRemove says what a removal does to an account that holds no mapped entitlement any more.
type OnRemove string

const (
	// LeaveAccount leaves the account as it is.
	LeaveAccount OnRemove = "LeaveAccount"
	// ThenDeactivate deactivates the account.
	ThenDeactivate OnRemove = "ThenDeactivate"
	// ThenDelete deletes the account.
	ThenDelete OnRemove = "ThenDelete"
)

// NoLevel is the Goal.Level of a removal of all access, and of the kinds that concern no level.
const NoLevel = -1

// Goal is the wanted state.
type Goal struct {
	// Kind is what is to be brought about.
	Kind Kind
	// Levels are the entitlements of each level, from the least powerful to the most. Together they are the mapped
	// entitlements; no other is ever touched.
	Levels [][]string
	// Level is the index in Levels of the level that is asked for, or NoLevel.
	Level int
	// CreateAccount allows to create a missing account.
	CreateAccount bool
	// OnRemove says what a removal does to the account.
	OnRemove OnRemove
}

// mapped returns every mapped entitlement once, in the order of the levels.
func (g Goal) mapped() []string {
	var all []string
	for _, level := range g.Levels {
		for _, e := range level {
			if !slices.Contains(all, e) {
				all = append(all, e)
			}
		}
	}
	return all
}

func (g Goal) level() []string {
	if g.Level == NoLevel {
		return nil
	}
	return g.Levels[g.Level]
}

// Scope returns the entitlements that must be observed to plan for the goal: no more requests are made than it takes.
func (g Goal) Scope() []string {
	if g.Kind == Grant || (g.Kind == Remove && g.Level != NoLevel && g.OnRemove == LeaveAccount) {
		return g.level()
	}
	return g.mapped()
}

// A Step is a group of changes that is verified before the next group begins.
type Step []Change

// Plan returns the steps from what was observed to the goal, none where it is reached. It is for the kinds that concern
// a subject: Grant, ChangeLevel and Remove. An entitlement that is not visible is set again, since a change that is
// already so does no harm.
func Plan(g Goal, seen Access) ([]Step, error) {
	switch g.Kind {
	case Grant:
		return planGrant(g, seen)
	case ChangeLevel:
		return planChangeLevel(g, seen)
	case Remove:
		return planRemove(g, seen), nil
	default:
		return nil, Permanent(ReasonNotSupported, fmt.Errorf("no plan for %s", g.Kind))
	}
}

func planGrant(g Goal, seen Access) ([]Step, error) {
	account, err := planAccount(g, seen)
	if err != nil {
		return nil, err
	}
	if seen.Account == AccountInactive {
		account = Step{{Action: ActivateAccount}}
	}
	return steps(account, additions(g.level(), seen)), nil
}

// planChangeLevel orders additions and removals so that the subject never holds more than the old and the new level
// together, and never longer than needed: upwards the new level comes first, so that no access is missing in between;
// downwards the old level goes first.
func planChangeLevel(g Goal, seen Access) ([]Step, error) {
	account, err := planAccount(g, seen)
	if err != nil {
		return nil, err
	}
	var others []string
	for _, e := range g.mapped() {
		if !slices.Contains(g.level(), e) {
			others = append(others, e)
		}
	}
	add, remove := additions(g.level(), seen), removals(others, seen)
	if g.Level >= heldLevel(g, seen) {
		return steps(account, add, remove), nil
	}
	return steps(account, remove, add), nil
}

func planRemove(g Goal, seen Access) []Step {
	if seen.Account == AccountAbsent {
		return nil
	}
	gone := g.level()
	if g.Level == NoLevel {
		gone = g.mapped()
	}
	var account Step
	if nothingElse(g.mapped(), gone, seen) {
		switch {
		case g.OnRemove == ThenDeactivate && seen.Account == AccountActive:
			account = Step{{Action: DeactivateAccount}}
		case g.OnRemove == ThenDelete:
			account = Step{{Action: DeleteAccount}}
		}
	}
	return steps(removals(gone, seen), account)
}

// planAccount returns the change that a missing account needs.
func planAccount(g Goal, seen Access) (Step, error) {
	if seen.Account != AccountAbsent {
		return nil, nil
	}
	if !g.CreateAccount {
		return nil, Permanent(ReasonSubjectNotFound, fmt.Errorf("the target system has no account for the subject, and the connector creates none (lifecycle.createAccount)"))
	}
	return Step{{Action: CreateAccount}}, nil
}

// heldLevel returns the index of the most powerful level that the subject holds whole, else of the most powerful one of
// which it holds a part, else NoLevel.
func heldLevel(g Goal, seen Access) int {
	partly := NoLevel
	for i, level := range slices.Backward(g.Levels) {
		held := 0
		for _, e := range level {
			if seen.Entitlements[e].Presence == Present {
				held++
			}
		}
		if held == len(level) {
			return i
		}
		if held > 0 && partly == NoLevel {
			partly = i
		}
	}
	return partly
}

// nothingElse tells whether the subject is seen to hold none of the mapped entitlements but those that go. What is not
// visible may be held, so that an account is never taken away on a guess.
func nothingElse(mapped, gone []string, seen Access) bool {
	for _, e := range mapped {
		if !slices.Contains(gone, e) && seen.Entitlements[e].Presence != Absent {
			return false
		}
	}
	return true
}

func additions(entitlements []string, seen Access) Step {
	var s Step
	for _, e := range entitlements {
		if seen.Entitlements[e].Presence != Present {
			s = append(s, Change{Action: AddEntitlement, Entitlement: e})
		}
	}
	return s
}

func removals(entitlements []string, seen Access) Step {
	if seen.Account == AccountAbsent {
		return nil
	}
	var s Step
	for _, e := range entitlements {
		if seen.Entitlements[e].Presence != Absent {
			s = append(s, Change{Action: RemoveEntitlement, Entitlement: e})
		}
	}
	return s
}

func steps(all ...Step) []Step {
	return slices.DeleteFunc(all, func(s Step) bool { return len(s) == 0 })
}
