// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"
)

// startedOverBeforeOlder is a history in which an older removal waits for as long as the gates remember that a newer task
// began, though that one starts over.
const startedOverBeforeOlder = "a change of level that began, and is started over and suspended once an older removal arrived"

// TestModelHistories runs histories that were wrong once.
func TestModelHistories(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]history{
		"a removal that is announced late, before a grant that was created after it, where preflight is BestEffort": {Asks: 2, Slots: 1, Steps: []step{
			{actArrive, 0, 0, 0, 0},
			{actArrive, 0, 3, 0, 1},
		}},
		"a removal that began at its arrival's place, and is older once it is started over": {Asks: 2, Slots: 1, Steps: []step{
			{actArrive, 0, 0, 0, 0},
			{actArrive, 0, 3, 0, 1},
			{actRun, 0, 0, 0, 0},
			{actAnnotate, 1, 0, 0, 0},
		}, Faults: []fault{{1, 0}, {2, 5}}},
		"what is archived for everybody before the lineup shows that a newer grant was carried out": {Asks: 2, Slots: 1, Steps: []step{
			{actArrive, 3, 0, 2, 0},
			{actSee, 1, 1, 0, 0},
			{actVisit, 0, 0, 0, 0},
			{actWait, 1, 0, 0, 0},
			{actArrive, 0, 5, 3, 2},
			{actSee, 5, 0, 0, 0},
			{actVisit, 1, 0, 0, 0},
		}},
		"a task whose place becomes an earlier one after it began": {Asks: 2, Slots: 1, Steps: []step{
			{actArrive, 5, 2, 3, 2},
			{actArrive, 0, 0, 3, 1},
			{actRun, 0, 0, 0, 0},
		}, Faults: []fault{{2, timesOutAfter}, {5, closes}, {1, failsAfter}}},
		startedOverBeforeOlder: {OnRemove: 1, Asks: 1, Slots: 1, Steps: []step{
			{actArrive, 5, 2, 3, 7},
			{actVisit, 4, 5, 2, 1},
			{actArrive, 5, 3, 2, 1},
			{actArrive, 2, 0, 2, 5},
			{actAnnotate, 3, 4, 0, 7},
			{actResume, 0, 2, 2, 3},
			{actSuspend, 3, 1, 2, 2},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := runHistory(h, mutation{})
			if w.wrong != nil {
				t.Errorf("%v\n%s", w.wrong, story(h))
			}
			if w.settled > time.Minute && name != startedOverBeforeOlder {
				t.Errorf("it took %s", w.settled)
			}
		})
	}
}

// TestTheModelFindsMutations breaks what the promises rest on, one after the other, and wants a history that shows it. The
// histories are always the same: random ones, or, for what those seldom show, one that does.
func TestTheModelFindsMutations(t *testing.T) {
	t.Parallel()
	const most = 2000
	for name, tc := range map[string]struct {
		mutation
		shown []step
	}{
		"no task supersedes another or waits for another":    {mutation{knowsNoOrder: true}, nil},
		"what was sent is taken as done":                     {mutation{seesItsWishes: true}, nil},
		"what is about to be done is not written down":       {mutation{forgetsIntent: true}, nil},
		"the lineup never learns that a task began or ended": {mutation{linesUpOnce: true}, nil},
		"who does not lead any more goes on changing": {mutation{leadsForever: true}, []step{
			{What: actArrive}, {What: actSee, A: 1, B: 1}, {What: actVisit, B: 2}, {What: actLead}, {What: actResume},
		}},
		"a status is written over one that was not seen": {mutation{locksNothing: true}, []step{
			{What: actArrive}, {What: actSee, A: 1, B: 1}, {What: actVisit, B: 2}, {What: actSuspend}, {What: actResume},
		}},
		"what began is forgotten before the lineup shows it": {mutation{gatesForget: true}, []step{
			{What: actArrive, B: 2},
			{What: actArrive, C: 1},
			{What: actSee, A: 2, B: 2},
			{What: actSuspend},
			{What: actSee, A: 1, B: 1},
			{What: actVisit, A: 1},
			{What: actSuspend},
			{What: actSee, A: 9},
			{What: actVisit},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.shown != nil {
				h := history{Slots: 1, Steps: tc.shown}
				if w := runHistory(h, mutation{}); w.wrong != nil {
					t.Errorf("wrong without the mutation: %v\n%s", w.wrong, story(h))
				}
				if w := runHistory(h, tc.mutation); w.wrong == nil {
					t.Error("the history does not show it")
				}
				return
			}
			for seed := 1; seed <= most; seed++ {
				if w := runHistory(genHistory.Example(seed), tc.mutation); w.wrong != nil {
					t.Logf("found by history %d: %v", seed, w.wrong)
					return
				}
			}
			t.Errorf("%d histories do not show it", most)
		})
	}
}
