// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// modelChecks is how many histories each half of TestModel runs where -rapid.checks says nothing.
const modelChecks = 400

// A history is all that happens to a few people's access in one or two applications. Running it has no chance in it, but
// for the random part of delays: the same history is the same run.
type history struct {
	// OnRemove is what becomes of an account that holds nothing any more: an index of modelOnRemove.
	OnRemove int
	// Asks is how Cakewalk is asked: an index of modelPreflights.
	Asks int
	// Slots is the connectors' maxConcurrent.
	Slots int
	// Held are bits: what each person holds in each application at first.
	Held uint32
	// Steps happen one after the other.
	Steps []step
	// Faults befall the calls of the steps.
	Faults []fault
}

// step is one thing that happens. A, B, C and D say to what; each counts on from the start where there is nothing of that
// number.
type step struct {
	What       action
	A, B, C, D int
}

// action is a kind of step.
type action string

const (
	// actRun has the leader see everything, and visit all that is due, one after the other.
	actRun action = "run"
	// actArrive stores a task: A is an index of modelPlaces, B the kind, C the level; where D is 7, somebody made it by hand;
	// where it is 1, 2 or 3, it was created some time before, as modelAges says.
	actArrive action = "arrive"
	// actSee lets the leader's cache see A more events, and its lineup B more.
	actSee action = "see"
	// actVisit has the leader see everything, unless C is 0, begins the A-th visit that is due, and lets it go on as callsOf says of B.
	actVisit action = "visit"
	// actResume lets the A-th visit under way go on as callsOf says of B.
	actResume action = "resume"
	// actWait lets time pass: A is an index of modelWaits.
	actWait action = "wait"
	// actSuspend suspends the A-th task, or lets it go on.
	actSuspend action = "suspend"
	// actAnnotate has a person retry (B is even) or complete the A-th task.
	actAnnotate action = "annotate"
	// actClose closes the A-th task in Cakewalk: it is approved there where B is odd, else cancelled.
	actClose action = "close"
	// actLookout has the leader ask Cakewalk about the tasks that wait.
	actLookout action = "lookout"
	// actConnector makes the A-th connector unready (B is even) or suspends it, or makes that good again.
	actConnector action = "connector"
	// actCrash ends the leader where it is, and starts another.
	actCrash action = "crash"
	// actLead has another process lead, while the visits of the one before still run. Where A is 3, that one is allowed one
	// more change after the other began.
	actLead action = "lead"
)

// modelActions are the actions as often as they are to happen.
var modelActions = []action{
	actRun, actRun, actArrive, actArrive, actArrive, actArrive, actArrive, actArrive, actArrive, actSee, actSee, actSee,
	actVisit, actVisit, actVisit, actVisit, actVisit, actVisit, actVisit, actVisit, actResume, actResume, actResume, actResume, actWait, actWait, actWait,
	actSuspend, actSuspend, actAnnotate, actAnnotate, actConnector, actConnector, actCrash, actLead,
	actClose, actLookout,
}

// fault befalls the At-th call of backend or store.
type fault struct {
	At   int
	Kind faultKind
}

var genStep = rapid.Custom(func(t *rapid.T) step {
	return step{
		What: modelActions[rapid.IntRange(0, len(modelActions)-1).Draw(t, "what")],
		A:    rapid.IntRange(0, 5).Draw(t, "a"),
		B:    rapid.IntRange(0, 5).Draw(t, "b"),
		C:    rapid.IntRange(0, 3).Draw(t, "c"),
		D:    rapid.IntRange(0, 7).Draw(t, "d"),
	}
})

var genSteps = rapid.SliceOfN(genStep, 0, 20)

var genFault = rapid.Custom(func(t *rapid.T) fault {
	return fault{At: rapid.IntRange(0, 60).Draw(t, "at"), Kind: faultKind(rapid.IntRange(0, int(faultKinds)-1).Draw(t, "kind"))}
})

var genHistory = rapid.Custom(func(t *rapid.T) history {
	return history{
		OnRemove: rapid.IntRange(0, len(modelOnRemove)-1).Draw(t, "onRemove"),
		Asks:     rapid.IntRange(0, len(modelPreflights)-1).Draw(t, "asks"),
		Slots:    rapid.IntRange(1, 3).Draw(t, "slots"),
		Held:     rapid.Uint32().Draw(t, "held"),
		// Three, since a slice of rapid's holds five on average.
		Steps:  slices.Concat(genSteps.Draw(t, "first"), genSteps.Draw(t, "then"), genSteps.Draw(t, "last")),
		Faults: rapid.SliceOfN(genFault, 0, 6).Draw(t, "faults"),
	}
})

// String is a history as Go that can be run again.
func (h history) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "history{OnRemove: %d, Asks: %d, Slots: %d, Held: %#x, Steps: []step{\n", h.OnRemove, h.Asks, h.Slots, h.Held)
	for _, s := range h.Steps {
		fmt.Fprintf(&b, "\t{%q, %d, %d, %d, %d},\n", s.What, s.A, s.B, s.C, s.D)
	}
	b.WriteString("}, Faults: []fault{")
	for _, f := range h.Faults {
		fmt.Fprintf(&b, "{%d, %d}, ", f.At, f.Kind)
	}
	b.WriteString("}}")
	return b.String()
}

// TestModel runs random histories against the real reconciler, lineup, gates and engine, with a store and target systems in
// memory that fail in every way, and holds the end and every change on the way against a model of what is right.
//
// A history that fails is made as small as possible and printed, with what happened in it. To run it again, pass the fail
// file or the seed that is printed with it (-rapid.failfile, -rapid.seed), or put the printed history into
// TestModelHistories. For more histories: go test ./controllers -run TestModel$ -rapid.checks=50000, which are so many for
// each of the two halves.
func TestModel(t *testing.T) {
	t.Parallel()
	more := false
	flag.Visit(func(f *flag.Flag) { more = more || f.Name == "rapid.checks" })
	if !more {
		if err := flag.Set("rapid.checks", fmt.Sprint(modelChecks)); err != nil {
			t.Fatal(err)
		}
	}
	for _, half := range []string{"one half", "other half"} {
		t.Run(half, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(rt *rapid.T) {
				h := genHistory.Draw(rt, "history")
				if w := runHistory(h, mutation{}); w.wrong != nil {
					rt.Fatalf("%v\n%v\n%s", w.wrong, h, story(h))
				}
			})
		})
	}
}
