// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

func testGates() (*Gates, *[]string, *time.Time) {
	g := NewGates()
	now := t0
	var woken []string
	g.now = func() time.Time { return now }
	g.setWake(func(n types.NamespacedName) { woken = append(woken, n.Name) })
	return g, &woken, &now
}

func asking(task, subject string, order int) entry {
	return entry{
		connector: types.NamespacedName{Name: "a"}, task: types.NamespacedName{Name: task},
		subject: subject, slots: 2, order: t0.Add(time.Duration(order) * time.Second),
	}
}

func TestGatesLetInAsManyAsThereAreSlotsTheOldestFirst(t *testing.T) {
	g, woken, _ := testGates()
	for i, want := range []bool{true, true, false, false, false} {
		// The later they ask, the older they are.
		if in, _, _ := g.enter(asking(fmt.Sprint(i), "", 10-i)); in != want {
			t.Fatalf("task %d: in %v", i, in)
		}
	}
	g.leave(types.NamespacedName{Name: "0"})
	g.leave(types.NamespacedName{Name: "1"})
	if diff := cmp.Diff([]string{"4", "3"}, *woken); diff != "" {
		t.Error(diff)
	}
	if in, _, _ := g.enter(asking("9", "", 0)); in {
		t.Error("a newcomer took the slot that is kept for who was woken")
	}
	if in, _, _ := g.enter(asking("4", "", 6)); !in {
		t.Error("who was woken is not let in")
	}
	g.leave(types.NamespacedName{Name: "3"}) // It was deleted meanwhile.
	if diff := cmp.Diff([]string{"4", "3", "9"}, *woken); diff != "" {
		t.Error(diff)
	}
}

func TestGatesLetInOneTaskOfASubjectAtATime(t *testing.T) {
	g, woken, _ := testGates()
	g.enter(asking("1", "ann", 1))
	if in, _, _ := g.enter(asking("2", "ann", 2)); in {
		t.Error("two tasks of one subject are in")
	}
	if in, _, _ := g.enter(asking("3", "bob", 3)); !in {
		t.Error("another subject is held up")
	}
	g.leave(types.NamespacedName{Name: "3"})
	g.leave(types.NamespacedName{Name: "1"})
	if diff := cmp.Diff([]string{"2"}, *woken); diff != "" {
		t.Error(diff)
	}
}

func TestGatesOfConnectorsAreApart(t *testing.T) {
	g, _, _ := testGates()
	for i := range 1000 {
		g.enter(asking(fmt.Sprint(i), "", i))
	}
	other := asking("other", "", 2000)
	other.connector.Name = "b"
	if in, _, _ := g.enter(other); !in {
		t.Error("a thousand tasks of one connector hold up another's")
	}
}

func TestGatesCloseLongerEveryTimeInARow(t *testing.T) {
	g, _, now := testGates()
	a := types.NamespacedName{Name: "a"}
	boom := errors.New("401")
	var closed []time.Duration
	for range 8 {
		if !g.trip(a, boom) || g.trip(a, boom) {
			t.Fatal("a trip counts once while the connector is closed")
		}
		left, err := g.closedFor(a)
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		closed = append(closed, left/time.Second)
		*now = now.Add(left)
	}
	if diff := cmp.Diff([]time.Duration{5, 10, 20, 40, 80, 160, 300, 300}, closed); diff != "" {
		t.Error(diff)
	}
	g.trip(a, boom)
	g.reopen(a)
	if left, err := g.closedFor(a); left != 0 || err != nil {
		t.Error("changed and still closed", left, err)
	}
	if !g.changedAt(a).Equal(*now) {
		t.Error(g.changedAt(a))
	}
	g.pause(a, time.Minute)
	if left, err := g.closedFor(a); left != time.Minute || err != nil {
		t.Error("paused", left, err)
	}
}

func TestGatesLetNoGrantInAfterANewerRemoval(t *testing.T) {
	g, _, now := testGates()
	removal := asking("removal", "ann", 5)
	removal.removes = true
	if in, _, err := g.enter(removal); !in || err != nil {
		t.Fatal(in, err)
	}
	g.leave(removal.task)
	if _, _, err := g.enter(asking("older", "ann", 4)); !errors.Is(err, errOvertaken) {
		t.Error("an older grant was let in after a removal: ", err)
	}
	if in, _, err := g.enter(asking("newer", "ann", 6)); !in || err != nil {
		t.Error(in, err)
	}
	if in, _, err := g.enter(asking("another", "bob", 1)); !in || err != nil {
		t.Error(in, err)
	}
	older := asking("older removal", "cyd", 4)
	older.removes = true
	g.leave(types.NamespacedName{Name: "another"})
	if in, _, err := g.enter(older); !in || err != nil {
		t.Error(in, err)
	}
	// What is remembered is bounded: a later removal forgets what is long past.
	*now = now.Add(removedFor + time.Second)
	late := asking("late", "dan", 100)
	late.removes = true
	g.leave(older.task)
	g.enter(late)
	if n := len(g.gate(late.connector).removed); n != 1 {
		t.Errorf("%d removals are remembered", n)
	}
}
