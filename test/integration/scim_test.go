// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"getcakewalk.io/access-operator/internal/provisioning"
)

const (
	ann, bob, cyd = "ann@example.com", "bob@example.com", "cyd@example.com"
	member        = 0
	editor        = 1
)

// step is one task at a server, and what the server has stored after it.
type step struct {
	name    string
	subject string
	goal    provisioning.Goal

	wantChanges []string
	wantReason  string // of a *provisioning.PermanentError
	wantEditors []string
	wantMembers []string
}

func grant(level int) provisioning.Goal {
	return provisioning.Goal{Kind: provisioning.Grant, Level: level}
}

func remove(level int) provisioning.Goal {
	return provisioning.Goal{Kind: provisioning.Remove, Level: level}
}

func run(t *testing.T, s *server, steps []step) {
	t.Helper()
	e := s.engine(token)
	for _, st := range steps {
		changes, err := provision(t, e, st.subject, st.goal)
		if wrong, ok := errors.AsType[*provisioning.PermanentError](err); ok {
			if wrong.Reason != st.wantReason {
				t.Errorf("%s: %s (%v)", st.name, wrong.Reason, err)
			}
		} else if err != nil || st.wantReason != "" {
			t.Errorf("%s: error %v, want %q", st.name, err, st.wantReason)
		}
		if diff := cmp.Diff(st.wantChanges, changes); diff != "" {
			t.Errorf("%s: changes %s", st.name, diff)
		}
		got := s.state()
		if diff := cmp.Diff(append([]string{}, st.wantEditors...), append([]string{}, got.Groups["editors"]...)); diff != "" {
			t.Errorf("%s: editors %s", st.name, diff)
		}
		if diff := cmp.Diff(append([]string{}, st.wantMembers...), append([]string{}, got.Groups["members"]...)); diff != "" {
			t.Errorf("%s: members %s", st.name, diff)
		}
	}
}

func TestSCIMMY(t *testing.T) {
	s := startServer(t, "scimmy", "/scim")
	s.fill([]string{ann, bob, cyd}, map[string][]string{"members": {bob}, "editors": {bob, cyd}, "empty": {}})
	run(t, s, []step{
		{
			name: "a removal of what was never granted changes nothing", subject: ann, goal: remove(editor),
			wantEditors: []string{bob, cyd}, wantMembers: []string{bob},
		},
		{
			name: "a grant leaves the others", subject: ann, goal: grant(editor), wantChanges: []string{"AddEntitlement editors Applied"},
			wantEditors: []string{ann, bob, cyd}, wantMembers: []string{bob},
		},
		{
			name: "a second grant stores no second membership", subject: ann, goal: grant(editor),
			wantEditors: []string{ann, bob, cyd}, wantMembers: []string{bob},
		},
		{
			name: "a change downwards", subject: ann, goal: provisioning.Goal{Kind: provisioning.ChangeLevel, Level: member},
			wantChanges: []string{"RemoveEntitlement editors Applied", "AddEntitlement members Applied"},
			wantEditors: []string{bob, cyd}, wantMembers: []string{ann, bob},
		},
		{
			name: "a change upwards", subject: ann, goal: provisioning.Goal{Kind: provisioning.ChangeLevel, Level: editor},
			wantChanges: []string{"AddEntitlement editors Applied", "RemoveEntitlement members Applied"},
			wantEditors: []string{ann, bob, cyd}, wantMembers: []string{bob},
		},
		{
			name: "a removal leaves the others", subject: ann, goal: remove(editor), wantChanges: []string{"RemoveEntitlement editors Applied"},
			wantEditors: []string{bob, cyd}, wantMembers: []string{bob},
		},
		{
			name: "a second removal changes nothing", subject: ann, goal: remove(provisioning.NoLevel),
			wantEditors: []string{bob, cyd}, wantMembers: []string{bob},
		},
		{
			name: "a grant to nobody is refused", subject: "dan@example.com", goal: grant(editor), wantReason: provisioning.ReasonSubjectNotFound,
			wantEditors: []string{bob, cyd}, wantMembers: []string{bob},
		},
		{
			name: "a grant creates the account", subject: "dan@example.com", goal: provisioning.Goal{Kind: provisioning.Grant, Level: editor, CreateAccount: true},
			wantChanges: []string{"CreateAccount  Applied", "AddEntitlement editors Applied"},
			wantEditors: []string{bob, cyd, "dan@example.com"}, wantMembers: []string{bob},
		},
		{
			name: "a removal deactivates the account", subject: "dan@example.com", goal: provisioning.Goal{Kind: provisioning.Remove, Level: provisioning.NoLevel, OnRemove: provisioning.ThenDeactivate},
			wantChanges: []string{"RemoveEntitlement editors Applied", "DeactivateAccount  Applied"},
			wantEditors: []string{bob, cyd}, wantMembers: []string{bob},
		},
		{
			name: "a grant activates it again", subject: "dan@example.com", goal: grant(member),
			wantChanges: []string{"ActivateAccount  Applied", "AddEntitlement members Applied"},
			wantEditors: []string{bob, cyd}, wantMembers: []string{bob, "dan@example.com"},
		},
		{
			name: "a removal deletes the account", subject: "dan@example.com", goal: provisioning.Goal{Kind: provisioning.Remove, Level: member, OnRemove: provisioning.ThenDelete},
			wantChanges: []string{"RemoveEntitlement members Applied", "DeleteAccount  Applied"},
			wantEditors: []string{bob, cyd}, wantMembers: []string{bob},
		},
		{
			// SCIMMY compares with regard to case, against RFC 7643 section 4.1.1, and does not find ann. Nobody else is taken.
			// SCIMMY compares with regard to case, against the standard. Nobody may be taken for absent by that.
			name: "a grant in another case", subject: "ANN@example.com", goal: provisioning.Goal{Kind: provisioning.Grant, Level: editor, CreateAccount: true},
			wantChanges: []string{"AddEntitlement editors Applied"},
			wantEditors: []string{ann, bob, cyd}, wantMembers: []string{bob},
		},
		{
			name: "a removal in another case", subject: "ANN@example.com", goal: remove(provisioning.NoLevel), wantChanges: []string{"RemoveEntitlement editors Applied"},
			wantEditors: []string{bob, cyd}, wantMembers: []string{bob},
		},
		{
			// SCIMMY takes no escaped quote and refuses the filter; others find nobody. Neither may find ann.
			name: "a subject with a filter in it is one value", subject: `x" or userName pr or userName eq "` + ann, goal: grant(editor), wantReason: provisioning.ReasonRefused,
			wantEditors: []string{bob, cyd}, wantMembers: []string{bob},
		},
		{
			name: "an archive empties every mapped group", goal: provisioning.Goal{Kind: provisioning.Archive},
			wantChanges: []string{"RemoveAllMembers members Applied", "RemoveAllMembers editors Applied"},
		},
		{name: "a second archive changes nothing", goal: provisioning.Goal{Kind: provisioning.Archive}},
		{name: "what exists need not be prepared", goal: provisioning.Goal{Kind: provisioning.Prepare}},
	})
	if got := s.state().Users; len(got) != 3 || !got[ann] {
		t.Errorf("users %v", got)
	}
}

func TestSCIMMYPreparesGroups(t *testing.T) {
	s := startServer(t, "scimmy", "/scim")
	s.fill([]string{ann}, nil)
	run(t, s, []step{{
		name: "a grant of a group that is not there", subject: ann, goal: grant(editor), wantReason: provisioning.ReasonEntitlementNotFound,
	}, {
		name: "a work app is prepared", goal: provisioning.Goal{Kind: provisioning.Prepare},
		wantChanges: []string{"CreateEntitlement members Applied", "CreateEntitlement editors Applied"},
	}})
	if got := s.state().Groups; len(got) != 2 {
		t.Errorf("groups %v", got)
	}
	if _, err := provision(t, s.engine(token), bob, provisioning.Goal{Kind: provisioning.Grant, Level: editor, CreateAccount: true}); err != nil {
		t.Error("the first grant of all: ", err)
	}
}

func TestSCIMMYKeepsAllWhoAreAddedAtOnce(t *testing.T) {
	s := startServer(t, "scimmy", "/scim")
	s.fill([]string{ann, bob, cyd}, map[string][]string{"members": {}, "editors": {}})
	e := s.engine(token)
	var tasks sync.WaitGroup
	for _, who := range []string{ann, bob, cyd} {
		tasks.Go(func() {
			if _, err := provision(t, e, who, grant(editor)); err != nil {
				t.Error(who, err)
			}
		})
	}
	tasks.Wait()
	if diff := cmp.Diff([]string{ann, bob, cyd}, s.state().Groups["editors"]); diff != "" {
		t.Error(diff)
	}
}

func TestAWrongTokenIsTheConnectorsFault(t *testing.T) {
	for name, path := range map[string]string{"scimmy": "/scim", "jackson": "/scim"} {
		s := startServer(t, name, path)
		var unavailable *provisioning.UnavailableError
		if err := s.engine("wrong").Check(context.Background()); !errors.As(err, &unavailable) || unavailable.Reason != provisioning.ReasonUnauthorized {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.engine(token).Check(context.Background()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Jackson never shows members: what was sent cannot be verified, and must be right all the same.
func TestJackson(t *testing.T) {
	s := startServer(t, "jackson", "/scim")
	s.fill([]string{ann, bob}, map[string][]string{"members": {bob}, "editors": {bob}})
	run(t, s, []step{
		{
			name: "a grant is sent and cannot be seen", subject: ann, goal: grant(editor), wantChanges: []string{"AddEntitlement editors Unverifiable"},
			wantEditors: []string{ann, bob}, wantMembers: []string{bob},
		},
		{
			name: "a removal leaves the others", subject: ann, goal: remove(editor), wantChanges: []string{"RemoveEntitlement editors Unverifiable"},
			wantEditors: []string{bob}, wantMembers: []string{bob},
		},
		{
			// Jackson compares with regard to case, against RFC 7643 section 4.1.1, and does not find ann. Nobody else is taken.
			// Jackson, too, compares with regard to case.
			name: "a removal in another case", subject: "BOB@example.com", goal: remove(member), wantChanges: []string{"RemoveEntitlement members Unverifiable"},
			wantEditors: []string{bob},
		},
		{
			name: "a grant in another case", subject: "BOB@example.com", goal: provisioning.Goal{Kind: provisioning.Grant, Level: member, CreateAccount: true},
			wantChanges: []string{"AddEntitlement members Unverifiable"},
			wantEditors: []string{bob}, wantMembers: []string{bob},
		},
		{
			name: "an account can be seen", subject: cyd, goal: provisioning.Goal{Kind: provisioning.Grant, Level: member, CreateAccount: true},
			wantChanges: []string{"CreateAccount  Applied", "AddEntitlement members Unverifiable"},
			wantEditors: []string{bob}, wantMembers: []string{bob, cyd},
		},
		{
			name: "nobody's account is deleted on a guess", subject: cyd, goal: provisioning.Goal{Kind: provisioning.Remove, Level: member, OnRemove: provisioning.ThenDelete},
			wantChanges: []string{"RemoveEntitlement members Unverifiable"},
			wantEditors: []string{bob}, wantMembers: []string{bob},
		},
		{
			name: "an archive that nobody could see is refused", goal: provisioning.Goal{Kind: provisioning.Archive}, wantReason: provisioning.ReasonNotSupported,
			wantEditors: []string{bob}, wantMembers: []string{bob},
		},
	})
}
