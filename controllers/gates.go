// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"getcakewalk.io/access-operator/internal/provisioning"
)

const (
	// coolDownMin is how long a connector stays closed after a task found it unavailable; it doubles with every time in a
	// row that the connector was opened and found unavailable again.
	coolDownMin = 5 * time.Second
	// coolDownMax is the longest time.
	coolDownMax = 5 * time.Minute
	// pauseMin is how long a connector is closed after the target system asked for fewer requests without saying for how long.
	pauseMin = 10 * time.Second
	// crowded is how many tasks of all connectors are in before a connector gets no more than one slot, so that the
	// workers that are left are for the others.
	crowded = taskWorkers - 64
)

// Gates decide which tasks may call which target system now. Each connector has a number of slots, at most one task of a
// subject at a time, and is closed as a whole while its target system is unavailable or asks for fewer requests.
//
// A task that finds no slot is parked: it costs no worker and is woken when its turn comes, removals before grants and the
// oldest first. So tasks of one slow target system never hold up those of another. A connector that was closed for asking
// for fewer requests is opened for one task, which finds out, before it is opened for as many as it has slots.
type Gates struct {
	mu   sync.Mutex
	now  func() time.Time
	wake func(task types.NamespacedName)

	gates map[types.NamespacedName]*gate
	// held is the slot that a task has, or that is kept for a task that was woken.
	held map[types.NamespacedName]heldSlot
}

type heldSlot struct {
	connector types.NamespacedName
	subject   string
}

// gate is the state of one connector.
type gate struct {
	used     int
	subjects map[string]bool
	parked   []parkedTask
	// begun is what began last, by subject.
	begun map[string]begun

	// cautious tells that one task at a time is let in, until one got its way.
	cautious    bool
	closedUntil time.Time
	trips       int
	tripError   error
	changed     time.Time
}

// begun remembers what began for a subject for as long as the cache may take to show it.
type begun struct {
	// given and taken are the places of the newest tasks that gave access and that took it away.
	given, taken time.Time
	// giver is the task that gave access.
	giver types.NamespacedName
	when  time.Time
}

// begunFor is how long.
const begunFor = 10 * time.Minute

type parkedTask struct {
	name    types.NamespacedName
	subject string
	removes bool
	order   time.Time
	slots   int
	since   time.Time
}

// compare orders the tasks that wait for a slot.
func (p parkedTask) compare(other parkedTask) int {
	if p.removes != other.removes {
		if p.removes {
			return -1
		}
		return 1
	}
	return p.order.Compare(other.order)
}

// NewGates returns gates that are all open.
func NewGates() *Gates {
	return &Gates{
		now:   time.Now,
		wake:  func(types.NamespacedName) {},
		gates: map[types.NamespacedName]*gate{},
		held:  map[types.NamespacedName]heldSlot{},
	}
}

// setWake says how a parked task is woken.
func (g *Gates) setWake(wake func(task types.NamespacedName)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wake = wake
}

// wakeTask has a task visited now.
func (g *Gates) wakeTask(task types.NamespacedName) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wake(task)
}

// entry is how a task asks for a slot.
type entry struct {
	connector types.NamespacedName
	task      types.NamespacedName
	// subject is whose access changes; at most one task of a subject is let in. Empty: it concerns everybody, and is let in
	// alone.
	subject string
	// slots is how many tasks may be in at the same time.
	slots int
	// order is the task's place among those that wait: earlier goes first.
	order time.Time
	// kind is what the task does. Nothing older begins after something newer, but one removal after another.
	kind provisioning.Kind
}

// errOvertaken tells a task that a newer one began before it.
var errOvertaken = errors.New("a newer task began before")

// enter lets a task in, or tells how long it has been parked. A task that is let in must leave.
func (g *Gates) enter(e entry) (in bool, parkedFor time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.enterLocked(g.gate(e.connector), e)
}

// begin notes that a task that was let in is about to be carried out. The error is errOvertaken for one that must not be.
// Where nothing was done after all, undo, called before the task leaves, forgets it, so that it holds back nobody.
func (g *Gates) begin(e entry) (undo func(), err error) {
	if !gives(e.kind) && !takesAway(e.kind) {
		return func() {}, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	c, now := g.gate(e.connector), g.now()
	maps.DeleteFunc(c.begun, func(_ string, b begun) bool { return now.Sub(b.when) > begunFor })
	for subject, b := range c.begun {
		// What concerns everybody comes after nothing newer of anybody, and the other way round.
		if (subject == e.subject || subject == "" || e.subject == "") && b.overtakes(e) {
			return nil, errOvertaken
		}
	}
	before, known := c.begun[e.subject]
	b := before
	b.when = now
	if gives(e.kind) {
		b.given, b.giver = e.order, e.task
	} else if e.order.After(b.taken) {
		b.taken = e.order
	}
	c.begun[e.subject] = b
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if known {
			c.begun[e.subject] = before
		} else {
			delete(c.begun, e.subject)
		}
	}, nil
}

// overtakes tells whether what began is newer than a task that must not come after it. A task does not overtake itself:
// its place becomes an earlier one where Cakewalk could not be asked before.
func (b begun) overtakes(e entry) bool {
	return e.order.Before(b.given) && e.task != b.giver || gives(e.kind) && e.order.Before(b.taken)
}

func (g *Gates) enterLocked(c *gate, e entry) (in bool, parkedFor time.Duration) {
	if h, ok := g.held[e.task]; ok {
		if h.connector == e.connector && h.subject == e.subject {
			return true, 0
		}
		g.leaveLocked(e.task)
	}
	i := slices.IndexFunc(c.parked, func(p parkedTask) bool { return p.name == e.task })
	if i < 0 && len(c.parked) == 0 && g.free(c, e.subject, e.slots) {
		g.take(e.connector, e.task, e.subject)
		return true, 0
	}
	p := parkedTask{name: e.task, subject: e.subject, removes: takesAway(e.kind), order: e.order, slots: e.slots, since: g.now()}
	if i >= 0 {
		p.since = c.parked[i].since
		c.parked = slices.Delete(c.parked, i, i+1)
	}
	at, _ := slices.BinarySearchFunc(c.parked, p, parkedTask.compare)
	c.parked = slices.Insert(c.parked, at, p)
	g.admit(e.connector, e.task)
	_, in = g.held[e.task]
	return in, g.now().Sub(p.since)
}

// leave gives back the slot of a task, whether it was used or only kept for it, and wakes who waits for it.
func (g *Gates) leave(task types.NamespacedName) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leaveLocked(task)
}

func (g *Gates) leaveLocked(task types.NamespacedName) {
	h, ok := g.held[task]
	if !ok {
		return
	}
	delete(g.held, task)
	c := g.gate(h.connector)
	c.used--
	delete(c.subjects, h.subject)
	g.admit(h.connector, task)
}

// unpark forgets that a task waits, because it was deleted or needs no slot any more.
func (g *Gates) unpark(task types.NamespacedName) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.gates {
		c.parked = slices.DeleteFunc(c.parked, func(p parkedTask) bool { return p.name == task })
	}
}

// admit gives free slots to parked tasks, in their order, and wakes them but for the one that asks.
func (g *Gates) admit(connector, asking types.NamespacedName) {
	c := g.gate(connector)
	for i := 0; i < len(c.parked); {
		p := c.parked[i]
		if !g.roomy(c, p.slots) {
			return
		}
		if !g.free(c, p.subject, p.slots) {
			if p.subject == "" {
				// It would never be alone if others were let in before it.
				return
			}
			i++
			continue
		}
		c.parked = slices.Delete(c.parked, i, i+1)
		g.take(connector, p.name, p.subject)
		if p.name != asking {
			g.wake(p.name)
		}
	}
}

func (g *Gates) take(connector, task types.NamespacedName, subject string) {
	c := g.gate(connector)
	c.used++
	c.subjects[subject] = true
	g.held[task] = heldSlot{connector: connector, subject: subject}
}

// roomy tells whether a connector has a slot left.
func (g *Gates) roomy(c *gate, slots int) bool {
	if c.cautious || len(g.held) >= crowded {
		slots = 1
	}
	return c.used < slots
}

// free tells whether a task of the subject can be let in: one that concerns no one subject concerns all, and is in alone.
func (g *Gates) free(c *gate, subject string, slots int) bool {
	if subject == "" {
		return c.used == 0
	}
	return g.roomy(c, slots) && !c.subjects[subject] && !c.subjects[""]
}

func (g *Gates) gate(connector types.NamespacedName) *gate {
	c := g.gates[connector]
	if c == nil {
		c = &gate{subjects: map[string]bool{}, begun: map[string]begun{}}
		g.gates[connector] = c
	}
	return c
}
