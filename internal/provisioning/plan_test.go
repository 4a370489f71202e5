// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioning_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// Levels: viewer has {view}, editor has {view, edit}, owner has {edit, own}.
var levels = [][]string{{"view"}, {"view", "edit"}, {"edit", "own"}}

const (
	viewer = iota
	editor
	owner
)

func seen(account provisioning.AccountState, held ...string) provisioning.Access {
	a := provisioning.Access{Account: account, AccountID: "1", Entitlements: map[string]provisioning.Membership{}}
	for _, e := range []string{"view", "edit", "own"} {
		a.Entitlements[e] = provisioning.Membership{Presence: provisioning.Absent}
	}
	for _, e := range held {
		name, hidden := strings.CutPrefix(e, "?")
		p := provisioning.Present
		if hidden {
			p = provisioning.NotVisible
		}
		a.Entitlements[name] = provisioning.Membership{Presence: p}
	}
	return a
}

// words writes a plan: changes of one step joined by " + ", steps by " > ".
func words(plan []provisioning.Step) string {
	var steps []string
	for _, s := range plan {
		var changes []string
		for _, c := range s {
			changes = append(changes, strings.TrimSpace(string(c.Action)+" "+c.Entitlement))
		}
		steps = append(steps, strings.Join(changes, " + "))
	}
	return strings.Join(steps, " > ")
}

func TestPlan(t *testing.T) {
	const active, inactive, absent = provisioning.AccountActive, provisioning.AccountInactive, provisioning.AccountAbsent
	tests := map[string]struct {
		goal provisioning.Goal
		seen provisioning.Access
		want string
	}{
		"a grant adds what is missing of the level": {
			goal: provisioning.Goal{Kind: provisioning.Grant, Level: editor}, seen: seen(active, "view"),
			want: "AddEntitlement edit",
		},
		"a grant changes nothing where the access is there": {
			goal: provisioning.Goal{Kind: provisioning.Grant, Level: editor}, seen: seen(active, "view", "edit"),
		},
		"a grant leaves other levels alone": {
			goal: provisioning.Goal{Kind: provisioning.Grant, Level: viewer}, seen: seen(active, "own"),
			want: "AddEntitlement view",
		},
		"a grant creates a missing account first, and sees it, before it adds": {
			goal: provisioning.Goal{Kind: provisioning.Grant, Level: editor, CreateAccount: true}, seen: seen(absent),
			want: "CreateAccount > AddEntitlement view + AddEntitlement edit",
		},
		"a grant activates an inactive account": {
			goal: provisioning.Goal{Kind: provisioning.Grant, Level: viewer}, seen: seen(inactive, "view"),
			want: "ActivateAccount",
		},
		"a grant sets again what is not visible": {
			goal: provisioning.Goal{Kind: provisioning.Grant, Level: viewer}, seen: seen(active, "?view"),
			want: "AddEntitlement view",
		},
		"a change upwards adds before it removes, so that no access is missing in between": {
			goal: provisioning.Goal{Kind: provisioning.ChangeLevel, Level: owner}, seen: seen(active, "view"),
			want: "AddEntitlement edit + AddEntitlement own > RemoveEntitlement view",
		},
		"a change downwards removes before it adds, so that never both are held": {
			goal: provisioning.Goal{Kind: provisioning.ChangeLevel, Level: viewer}, seen: seen(active, "edit", "own"),
			want: "RemoveEntitlement edit + RemoveEntitlement own > AddEntitlement view",
		},
		"a change to the level that is held changes nothing": {
			goal: provisioning.Goal{Kind: provisioning.ChangeLevel, Level: owner}, seen: seen(active, "edit", "own"),
		},
		"a change that was interrupted upwards goes on upwards": {
			goal: provisioning.Goal{Kind: provisioning.ChangeLevel, Level: owner}, seen: seen(active, "view", "edit"),
			want: "AddEntitlement own > RemoveEntitlement view",
		},
		"a change for somebody without access adds": {
			goal: provisioning.Goal{Kind: provisioning.ChangeLevel, Level: viewer}, seen: seen(active),
			want: "AddEntitlement view",
		},
		"a change without a change of the account leaves an inactive one inactive": {
			goal: provisioning.Goal{Kind: provisioning.ChangeLevel, Level: viewer}, seen: seen(inactive, "view"),
		},
		"a removal of a level takes also what another level shares": {
			goal: provisioning.Goal{Kind: provisioning.Remove, Level: editor}, seen: seen(active, "view", "edit", "own"),
			want: "RemoveEntitlement view + RemoveEntitlement edit",
		},
		"a removal without a level takes all that is mapped": {
			goal: provisioning.Goal{Kind: provisioning.Remove, Level: provisioning.NoLevel}, seen: seen(active, "view", "own"),
			want: "RemoveEntitlement view + RemoveEntitlement own",
		},
		"a removal of what is not there changes nothing": {
			goal: provisioning.Goal{Kind: provisioning.Remove, Level: provisioning.NoLevel}, seen: seen(active),
		},
		"a removal from an account that is gone changes nothing": {
			goal: provisioning.Goal{Kind: provisioning.Remove, Level: provisioning.NoLevel, OnRemove: provisioning.ThenDelete}, seen: seen(absent),
		},
		"a removal of the last access deactivates the account where the connector says so": {
			goal: provisioning.Goal{Kind: provisioning.Remove, Level: viewer, OnRemove: provisioning.ThenDeactivate}, seen: seen(active, "view"),
			want: "RemoveEntitlement view > DeactivateAccount",
		},
		"a removal of part of the access leaves the account": {
			goal: provisioning.Goal{Kind: provisioning.Remove, Level: viewer, OnRemove: provisioning.ThenDelete}, seen: seen(active, "view", "own"),
			want: "RemoveEntitlement view",
		},
		"a removal never takes the account on a guess about what is not visible": {
			goal: provisioning.Goal{Kind: provisioning.Remove, Level: viewer, OnRemove: provisioning.ThenDelete}, seen: seen(active, "view", "?own"),
			want: "RemoveEntitlement view",
		},
		"a removal deactivates no account twice": {
			goal: provisioning.Goal{Kind: provisioning.Remove, Level: provisioning.NoLevel, OnRemove: provisioning.ThenDeactivate}, seen: seen(inactive),
		},
		"a removal deletes the account where the connector says so": {
			goal: provisioning.Goal{Kind: provisioning.Remove, Level: provisioning.NoLevel, OnRemove: provisioning.ThenDelete}, seen: seen(inactive, "own"),
			want: "RemoveEntitlement own > DeleteAccount",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.goal.Levels = levels
			plan, err := provisioning.Plan(tc.goal, tc.seen)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, words(plan)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPlanRefusesAMissingAccount(t *testing.T) {
	for _, kind := range []provisioning.Kind{provisioning.Grant, provisioning.ChangeLevel} {
		_, err := provisioning.Plan(provisioning.Goal{Kind: kind, Levels: levels, Level: viewer}, seen(provisioning.AccountAbsent))
		var permanent *provisioning.PermanentError
		if !errors.As(err, &permanent) || permanent.Reason != provisioning.ReasonSubjectNotFound {
			t.Errorf("%s: %v", kind, err)
		}
	}
}
