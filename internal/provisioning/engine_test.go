// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioning_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/provisioningtest"
)

var ann = provisioning.Subject{ID: "ann"}

func record(context.Context, provisioning.Intent) error { return nil }

func states(o provisioning.Outcome) []string {
	var all []string
	for _, r := range o.Results {
		all = append(all, fmt.Sprintf("%s %s %s", r.Change.Action, r.Change.Entitlement, r.State))
	}
	return all
}

func grant() provisioning.Goal {
	return provisioning.Goal{Kind: provisioning.Grant, Levels: levels, Level: editor}
}

func target() *provisioningtest.Fake {
	f := provisioningtest.New([]string{"ann", "bob"}, []string{"view", "edit", "own"})
	f.Join("view", "bob")
	return f
}

func TestProvisionObservesRecordsAppliesAndVerifies(t *testing.T) {
	f := target()
	e := provisioning.Engine{Backend: f}
	var recorded []provisioning.Change
	out, err := e.Provision(t.Context(), ann, grant(), func(_ context.Context, i provisioning.Intent) error {
		recorded = i.Changes
		if got := f.Changes(); len(got) > 0 {
			t.Errorf("changed before the plan was recorded: %v", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"AddEntitlement view Applied", "AddEntitlement edit Applied"}, states(out)); diff != "" {
		t.Error(diff)
	}
	if len(recorded) != 2 || !out.Verified() {
		t.Errorf("recorded %v, verified %v", recorded, out.Verified())
	}
	if diff := cmp.Diff([]string{"ann", "bob"}, f.Members("view")); diff != "" {
		t.Error(diff)
	}

	again, err := e.Provision(t.Context(), ann, grant(), func(context.Context, provisioning.Intent) error {
		t.Error("recorded a plan although nothing is to be done")
		return nil
	})
	if err != nil || len(again.Results) > 0 {
		t.Errorf("the second time: %v, %v", states(again), err)
	}
}

func TestProvisionChangesNothingThatCouldNotBeRecorded(t *testing.T) {
	f := target()
	refused := errors.New("conflict")
	_, err := (&provisioning.Engine{Backend: f}).Provision(t.Context(), ann, grant(), func(context.Context, provisioning.Intent) error { return refused })
	if !errors.Is(err, refused) || len(f.Changes()) > 0 {
		t.Errorf("%v, changed %v", err, f.Changes())
	}
}

func TestProvisionAfterFaults(t *testing.T) {
	boom := provisioning.Retryable(errors.New("500 after the write"))
	tests := map[string]struct {
		prepare    func(f *provisioningtest.Fake)
		wantStates []string
		wantWord   string
		wantReason string
	}{
		"an error after a write that took effect is no failure: what is seen counts": {
			prepare:    func(f *provisioningtest.Fake) { f.FailAfter = func(string, provisioning.Subject) error { return boom } },
			wantStates: []string{"AddEntitlement view Applied", "AddEntitlement edit Planned"},
			wantWord:   "retryable",
		},
		"a change that was accepted and not made is not taken for provisioned": {
			prepare:    func(f *provisioningtest.Fake) { f.Drop = func(provisioning.Change) bool { return true } },
			wantStates: []string{"AddEntitlement view Planned", "AddEntitlement edit Planned"},
			wantWord:   "retryable",
		},
		"a target that does not show members leaves the changes unverifiable": {
			prepare:    func(f *provisioningtest.Fake) { f.Hidden = true },
			wantStates: []string{"AddEntitlement view Unverifiable", "AddEntitlement edit Unverifiable"},
			wantWord:   "ok",
		},
		"a target that loses other members is not given another change": {
			prepare:    func(f *provisioningtest.Fake) { f.LoseOthers = true },
			wantStates: []string{"AddEntitlement view Applied", "AddEntitlement edit Applied"},
			wantWord:   "permanent",
			wantReason: provisioning.ReasonOthersVanished,
		},
		"refused credentials stop at once": {
			prepare: func(f *provisioningtest.Fake) {
				f.Fail = func(op string, _ provisioning.Subject) error {
					if op == "AddEntitlement" {
						return provisioning.Unavailable(provisioning.ReasonUnauthorized, errors.New("401"))
					}
					return nil
				}
			},
			wantStates: []string{"AddEntitlement view Planned", "AddEntitlement edit Planned"},
			wantWord:   "unavailable",
		},
		"an unknown group is a permanent error before anything is changed": {
			prepare:    func(f *provisioningtest.Fake) { f.DeleteGroup("edit") },
			wantWord:   "permanent",
			wantReason: provisioning.ReasonEntitlementNotFound,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := target()
			tc.prepare(f)
			out, err := (&provisioning.Engine{Backend: f}).Provision(t.Context(), ann, grant(), record)
			if got := provisioning.Word(err); got != tc.wantWord {
				t.Errorf("got %s (%v), want %s", got, err, tc.wantWord)
			}
			if diff := cmp.Diff(tc.wantStates, states(out)); diff != "" {
				t.Error(diff)
			}
			var permanent *provisioning.PermanentError
			if errors.As(err, &permanent) && permanent.Reason != tc.wantReason {
				t.Errorf("reason %s, want %s", permanent.Reason, tc.wantReason)
			}
		})
	}
}

func TestProvisionGoesOnWhereItWasInterrupted(t *testing.T) {
	for crashAfter := range 4 {
		f := target()
		f.Join("view", "ann")
		goal := provisioning.Goal{Kind: provisioning.ChangeLevel, Levels: levels, Level: owner}
		ctx, kill := context.WithCancel(t.Context())
		changes := 0
		f.FailAfter = func(string, provisioning.Subject) error {
			if changes++; changes == crashAfter {
				kill()
				return ctx.Err()
			}
			return nil
		}
		if crashAfter == 0 {
			kill()
		}
		_, err := (&provisioning.Engine{Backend: f}).Provision(ctx, ann, goal, record)
		if err == nil {
			t.Fatalf("crash after %d: no error", crashAfter)
		}
		f.FailAfter = nil
		if _, err := (&provisioning.Engine{Backend: f}).Provision(t.Context(), ann, goal, record); err != nil {
			t.Fatalf("crash after %d: %v", crashAfter, err)
		}
		got := map[string][]string{"view": f.Members("view"), "edit": f.Members("edit"), "own": f.Members("own")}
		if diff := cmp.Diff(map[string][]string{"view": {"bob"}, "edit": {"ann"}, "own": {"ann"}}, got); diff != "" {
			t.Errorf("crash after %d: %s", crashAfter, diff)
		}
		if n := len(f.Changes()); n != 3 {
			t.Errorf("crash after %d: %d changes, want each of the 3 once: %v", crashAfter, n, f.Changes())
		}
		kill()
	}
}

func TestProvisionOfSeveralSubjectsAtOnceKeepsThemAll(t *testing.T) {
	f := provisioningtest.New(nil, []string{"view", "edit", "own"})
	ledger := &provisioning.Ledger{}
	var tasks sync.WaitGroup
	for i := range 20 {
		id := fmt.Sprintf("user%02d", i)
		f.Set(id, provisioning.AccountActive)
		if i%2 == 0 {
			f.Join("view", id)
		}
		tasks.Go(func() {
			goal := provisioning.Goal{Kind: provisioning.Grant, Levels: levels, Level: viewer}
			if i%2 == 0 {
				goal.Kind = provisioning.Remove
			}
			e := provisioning.Engine{Backend: f, Ledger: ledger}
			if _, err := e.Provision(context.Background(), provisioning.Subject{ID: id}, goal, record); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		})
	}
	tasks.Wait()
	if got := f.Members("view"); len(got) != 10 {
		t.Errorf("members %v", got)
	}
}

func TestProvisionArchivesAndPrepares(t *testing.T) {
	f := target()
	f.Join("own", "ann", "bob")
	e := provisioning.Engine{Backend: f}
	out, err := e.Provision(t.Context(), provisioning.Subject{}, provisioning.Goal{Kind: provisioning.Archive, Levels: levels}, record)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"RemoveAllMembers view Applied", "RemoveAllMembers own Applied"}, states(out)); diff != "" {
		t.Error(diff)
	}
	if n := out.Results[1].Change.Members; n != 2 {
		t.Errorf("the plan counts %d members, want 2", n)
	}

	f = provisioningtest.New(nil, []string{"view"})
	e.Backend = f
	if _, err := e.Provision(t.Context(), provisioning.Subject{}, provisioning.Goal{Kind: provisioning.Prepare, Levels: levels}, record); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"edit", "own", "view"}, f.Groups()); diff != "" {
		t.Error(diff)
	}
}

func TestPlanChangesNothing(t *testing.T) {
	f := target()
	changes, err := (&provisioning.Engine{Backend: f}).Plan(t.Context(), ann, grant())
	if err != nil || len(changes) != 2 || len(f.Changes()) > 0 {
		t.Errorf("%v, %v, changed %v", changes, err, f.Changes())
	}
}

// inheriting is a target in which the subject has an entitlement by other ways too.
type inheriting struct {
	*provisioningtest.Fake
	by []string
}

func (f inheriting) Observe(ctx context.Context, s provisioning.Subject, entitlements []string) (provisioning.Access, error) {
	seen, err := f.Fake.Observe(ctx, s, entitlements)
	for e, m := range seen.Entitlements {
		m.Inherited = f.by
		seen.Entitlements[e] = m
	}
	return seen, err
}

func TestARemovalThatLeavesInheritedAccessIsNotDone(t *testing.T) {
	tests := map[string]struct {
		by      []string
		kind    provisioning.Kind
		account string
		want    string
	}{
		"by what is not mapped":        {by: []string{"admins"}, kind: provisioning.Remove, account: "ann", want: "permanent"},
		"by a mapped one":              {by: []string{"own"}, kind: provisioning.Remove, account: "ann", want: "ok"},
		"by nothing":                   {kind: provisioning.Remove, account: "ann", want: "ok"},
		"a grant does not mind":        {by: []string{"admins"}, kind: provisioning.Grant, account: "ann", want: "ok"},
		"nobody has nothing":           {by: []string{"admins"}, kind: provisioning.Remove, account: "nobody", want: "ok"},
		"one of two is not mapped":     {by: []string{"own", "admins"}, kind: provisioning.Remove, account: "ann", want: "permanent"},
		"a change of level is no loss": {by: []string{"admins"}, kind: provisioning.ChangeLevel, account: "ann", want: "ok"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			e := provisioning.Engine{Backend: inheriting{target(), tc.by}}
			g := grant()
			g.Kind = tc.kind
			// What was removed before is no more done than what is removed now.
			for range 2 {
				_, err := e.Provision(t.Context(), provisioning.Subject{ID: tc.account}, g, record)
				if provisioning.Word(err) != tc.want {
					t.Errorf("%v, want %s", err, tc.want)
				}
			}
		})
	}
}

// executor is an Executor that answers what it is told to.
type executor struct {
	err  error
	said string
}

func (executor) Check(context.Context) error { return errors.New("checked") }
func (e executor) Execute(context.Context, provisioning.Task) (string, error) {
	return e.said, e.err
}

func TestExecute(t *testing.T) {
	wrong := provisioning.Permanent(provisioning.ReasonTaskFailed, errors.New("no such door"))
	for name, tc := range map[string]struct {
		executor executor
		intend   error
		want     []string
	}{
		"success cannot be verified": {executor{said: "done"}, nil, []string{"ExecuteTask  Unverifiable"}},
		"a failure":                  {executor{err: wrong}, nil, []string{"ExecuteTask  Planned"}},
		"a plan that is not recorded is not carried out": {executor{said: "done"}, errors.New("no"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var called []string
			e := provisioning.Engine{Executor: tc.executor, Called: func(operation string, _ time.Duration, _ error) { called = append(called, operation) }}
			out, err := e.Execute(t.Context(), provisioning.Task{ID: "1"}, func(context.Context, provisioning.Intent) error { return tc.intend })
			if diff := cmp.Diff(tc.want, states(out)); diff != "" {
				t.Error(diff)
			}
			if (err != nil) != (tc.executor.err != nil || tc.intend != nil) || (tc.intend != nil) != (len(called) == 0) {
				t.Errorf("%v, called %v", err, called)
			}
			if err == nil && out.Message != "done" {
				t.Errorf("message %q", out.Message)
			}
		})
	}
	e := provisioning.Engine{Executor: executor{}}
	if err := e.Check(t.Context()); err == nil || err.Error() != "checked" {
		t.Error(err)
	}
	if plan, err := e.Plan(t.Context(), ann, grant()); err != nil || len(plan) != 1 || plan[0].Action != provisioning.ExecuteTask {
		t.Error(plan, err)
	}
}
