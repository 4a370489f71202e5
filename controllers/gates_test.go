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

	"getcakewalk.io/access-operator/internal/provisioning"
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
		if in, _ := g.enter(asking(fmt.Sprint(i), fmt.Sprint(i), 10-i)); in != want {
			t.Fatalf("task %d: in %v", i, in)
		}
	}
	g.leave(types.NamespacedName{Name: "0"})
	g.leave(types.NamespacedName{Name: "1"})
	if diff := cmp.Diff([]string{"4", "3"}, *woken); diff != "" {
		t.Error(diff)
	}
	if in, _ := g.enter(asking("9", "9", 0)); in {
		t.Error("a newcomer took the slot that is kept for who was woken")
	}
	if in, _ := g.enter(asking("4", "4", 6)); !in {
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
	if in, _ := g.enter(asking("2", "ann", 2)); in {
		t.Error("two tasks of one subject are in")
	}
	if in, _ := g.enter(asking("3", "bob", 3)); !in {
		t.Error("another subject is held up")
	}
	g.leave(types.NamespacedName{Name: "3"})
	g.leave(types.NamespacedName{Name: "1"})
	if diff := cmp.Diff([]string{"2"}, *woken); diff != "" {
		t.Error(diff)
	}
}

func TestGatesLetRemovalsInBeforeGrants(t *testing.T) {
	g, woken, _ := testGates()
	for i := range 6 {
		e := asking(fmt.Sprint(i), fmt.Sprint(i), i)
		e.kind = provisioning.Grant
		if i%2 == 1 {
			e.kind = provisioning.Remove
		}
		g.enter(e)
	}
	for _, name := range []string{"0", "1", "3", "5"} {
		g.leave(types.NamespacedName{Name: name})
	}
	if diff := cmp.Diff([]string{"3", "5", "2", "4"}, *woken); diff != "" {
		t.Error(diff)
	}
}

func TestGatesLetInAloneWhatConcernsEverybody(t *testing.T) {
	g, woken, _ := testGates()
	g.enter(asking("1", "ann", 1))
	if in, _ := g.enter(asking("all", "", 2)); in {
		t.Error("it is in beside another")
	}
	if in, _ := g.enter(asking("3", "bob", 3)); in {
		t.Error("another was let in before it")
	}
	g.leave(types.NamespacedName{Name: "1"})
	if diff := cmp.Diff([]string{"all"}, *woken); diff != "" {
		t.Error(diff)
	}
	if in, _ := g.enter(asking("3", "bob", 3)); in {
		t.Error("another is in beside it")
	}
	g.leave(types.NamespacedName{Name: "all"})
	if diff := cmp.Diff([]string{"all", "3"}, *woken); diff != "" {
		t.Error(diff)
	}
}

func TestOneTaskFindsOutWhetherALimitIsOver(t *testing.T) {
	g, woken, now := testGates()
	a := types.NamespacedName{Name: "a"}
	g.pause(a, time.Minute)
	*now = now.Add(time.Minute)
	for i, want := range []bool{true, false, false} {
		if in, _ := g.enter(asking(fmt.Sprint(i), fmt.Sprint(i), i)); in != want {
			t.Fatalf("task %d: in %v", i, in)
		}
	}
	g.leave(types.NamespacedName{Name: "0"})
	if diff := cmp.Diff([]string{"1"}, *woken); diff != "" {
		t.Error("after one that failed: ", diff)
	}
	g.worked(a)
	if diff := cmp.Diff([]string{"1", "2"}, *woken); diff != "" {
		t.Error("after one that got its way: ", diff)
	}
}

func TestGatesKeepWorkersForOthers(t *testing.T) {
	g, _, _ := testGates()
	in := 0
	for c := range 100 {
		for i := range 32 {
			e := asking(fmt.Sprintf("%d/%d", c, i), fmt.Sprint(i), i)
			e.connector.Name, e.slots = fmt.Sprint(c), 32
			if ok, _ := g.enter(e); ok {
				in++
			} else if i == 0 {
				t.Fatalf("connector %d got no slot", c)
			}
		}
	}
	if in > crowded+100 {
		t.Errorf("%d tasks are in", in)
	}
}

func TestGatesOfConnectorsAreApart(t *testing.T) {
	g, _, _ := testGates()
	for i := range 1000 {
		g.enter(asking(fmt.Sprint(i), fmt.Sprint(i), i))
	}
	other := asking("other", "other", 2000)
	other.connector.Name = "b"
	if in, _ := g.enter(other); !in {
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

func TestNothingBeginsAfterSomethingNewer(t *testing.T) {
	g, _, now := testGates()
	as := func(kind provisioning.Kind, task, subject string, order int) entry {
		e := asking(task, subject, order)
		e.kind = kind
		return e
	}
	const grant, remove, change = provisioning.Grant, provisioning.Remove, provisioning.ChangeLevel
	steps := []struct {
		entry
		want error
	}{
		{as(remove, "removal", "ann", 5), nil},
		{as(grant, "older grant", "ann", 4), errOvertaken},
		{as(change, "older change", "ann", 4), errOvertaken},
		{as(remove, "older removal", "ann", 3), nil},
		{as(grant, "still an older grant", "ann", 4), errOvertaken},
		{as(grant, "newer grant", "ann", 6), nil},
		{as(grant, "newer grant", "ann", 6), nil},
		{as(remove, "removal", "ann", 5), errOvertaken},
		{as(remove, "newer removal", "ann", 7), nil},
		{as(grant, "newest grant", "ann", 9), nil},
		{as(grant, "newest grant", "ann", 8), nil},
		{as(grant, "newest grant", "ann", 6), errOvertaken},
		{as(grant, "another's", "bob", 1), nil},
		{as(provisioning.Prepare, "nobody's", "", 1), nil},
		{as(provisioning.Archive, "everybody's", "", 1), errOvertaken},
		{as(provisioning.Archive, "everybody's", "", 10), nil},
		{as(grant, "before everybody's", "eve", 9), errOvertaken},
		{as(remove, "before everybody's", "eve", 9), nil},
		{as(grant, "after everybody's", "eve", 11), nil},
	}
	for _, s := range steps {
		if _, err := g.begin(s.entry); !errors.Is(err, s.want) {
			t.Errorf("%s: %v, want %v", s.task.Name, err, s.want)
		}
	}
	// What is remembered is bounded: what begins later forgets what is long past.
	*now = now.Add(begunFor + time.Second)
	late := as(remove, "late", "dan", 100)
	if _, err := g.begin(late); err != nil || len(g.gate(late.connector).begun) != 1 {
		t.Errorf("%v, %d are remembered", err, len(g.gate(late.connector).begun))
	}
}

// A task that began and did nothing holds back nobody, and what began before it still does.
func TestWhatBeganAndDidNothingIsForgotten(t *testing.T) {
	g, _, _ := testGates()
	begin := func(kind provisioning.Kind, task string, order int) func() {
		t.Helper()
		e := asking(task, "ann", order)
		e.kind = kind
		undo, err := g.begin(e)
		if err != nil {
			t.Fatal(task, err)
		}
		return undo
	}
	begin(provisioning.Grant, "newer grant", 5)()
	begin(provisioning.Remove, "removal", 3)
	begin(provisioning.Remove, "newer removal", 7)()
	begin(provisioning.Grant, "grant", 4)
	older := asking("older grant", "ann", 2)
	older.kind = provisioning.Grant
	if _, err := g.begin(older); !errors.Is(err, errOvertaken) {
		t.Error(err)
	}
}
