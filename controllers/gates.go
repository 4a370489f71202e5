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
)

const (
	// coolDownMin is how long a connector stays closed after a task found it unavailable; it doubles with every time in a
	// row that the connector was opened and found unavailable again.
	coolDownMin = 5 * time.Second
	// coolDownMax is the longest time.
	coolDownMax = 5 * time.Minute
	// pauseMin is how long a connector is closed after the target system asked for fewer requests without saying for how long.
	pauseMin = 10 * time.Second
)

// Gates decide which tasks may call which target system now. Each connector has a number of slots, at most one task of a
// subject at a time, and is closed as a whole while its target system is unavailable or asks for fewer requests.
//
// A task that finds no slot is parked: it costs no worker and is woken when its turn comes, the oldest first. So tasks of
// one slow target system never hold up those of another.
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
	// removed is the order of the newest removal that was let in, by subject.
	removed map[string]removedAt

	closedUntil time.Time
	trips       int
	tripError   error
	changed     time.Time
}

// removedAt remembers a removal for as long as the cache may take to show that it has begun.
type removedAt struct {
	order, when time.Time
}

// removedFor is how long.
const removedFor = 10 * time.Minute

type parkedTask struct {
	name    types.NamespacedName
	subject string
	order   time.Time
	slots   int
	since   time.Time
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
	// subject is whose access changes; at most one task of a subject is let in. Empty: it concerns no one subject.
	subject string
	// slots is how many tasks may be in at the same time.
	slots int
	// order is the task's place among those that wait: earlier goes first.
	order time.Time
	// removes tells that the task takes access away. What is older and gives access to the same subject is not let in
	// after it.
	removes bool
}

// errOvertaken tells a task that a newer removal was let in before it.
var errOvertaken = errors.New("a newer removal goes first")

// enter lets a task in, or tells how long it has been parked. A task that is let in must leave.
func (g *Gates) enter(e entry) (in bool, parkedFor time.Duration, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.gate(e.connector)
	if newest, ok := c.removed[e.subject]; ok && !e.removes && e.order.Before(newest.order) {
		return false, 0, errOvertaken
	}
	in, parkedFor = g.enterLocked(c, e)
	if in && e.removes && e.subject != "" {
		c.remember(e.subject, e.order, g.now())
	}
	return in, parkedFor, nil
}

// remember notes that a removal was let in.
func (c *gate) remember(subject string, order, now time.Time) {
	maps.DeleteFunc(c.removed, func(_ string, r removedAt) bool { return now.Sub(r.when) > removedFor })
	if newest, ok := c.removed[subject]; !ok || newest.order.Before(order) {
		c.removed[subject] = removedAt{order: order, when: now}
	}
}

func (g *Gates) enterLocked(c *gate, e entry) (in bool, parkedFor time.Duration) {
	if h, ok := g.held[e.task]; ok {
		if h.connector == e.connector && h.subject == e.subject {
			return true, 0
		}
		g.leaveLocked(e.task)
	}
	i := slices.IndexFunc(c.parked, func(p parkedTask) bool { return p.name == e.task })
	if i < 0 && len(c.parked) == 0 && c.free(e.subject, e.slots) {
		g.take(e.connector, e.task, e.subject)
		return true, 0
	}
	p := parkedTask{name: e.task, subject: e.subject, order: e.order, slots: e.slots, since: g.now()}
	if i >= 0 {
		p.since = c.parked[i].since
		c.parked = slices.Delete(c.parked, i, i+1)
	}
	at, _ := slices.BinarySearchFunc(c.parked, p, func(a, b parkedTask) int { return a.order.Compare(b.order) })
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
		if c.used >= p.slots {
			return
		}
		if !c.free(p.subject, p.slots) {
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
	if subject != "" {
		c.subjects[subject] = true
	}
	g.held[task] = heldSlot{connector: connector, subject: subject}
}

// free tells whether a task of the subject can be let in.
func (c *gate) free(subject string, slots int) bool {
	return c.used < slots && (subject == "" || !c.subjects[subject])
}

func (g *Gates) gate(connector types.NamespacedName) *gate {
	c := g.gates[connector]
	if c == nil {
		c = &gate{subjects: map[string]bool{}, removed: map[string]removedAt{}}
		g.gates[connector] = c
	}
	return c
}

// trip closes a connector that a task found unavailable, so that a thousand tasks do not knock a thousand times. It tells
// whether the connector was open.
func (g *Gates) trip(connector types.NamespacedName, err error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.gate(connector)
	now := g.now()
	c.tripError = err
	if now.Before(c.closedUntil) {
		return false
	}
	c.closedUntil = now.Add(min(coolDownMin<<min(c.trips, 16), coolDownMax))
	c.trips++
	return true
}

// pause closes a connector whose target system asked for fewer requests.
func (g *Gates) pause(connector types.NamespacedName, after time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.gate(connector)
	if until := g.now().Add(max(after, pauseMin)); until.After(c.closedUntil) {
		c.closedUntil = until
	}
}

// closedFor tells how long a connector stays closed, zero if it is open, and what a task found where that closed it.
func (g *Gates) closedFor(connector types.NamespacedName) (time.Duration, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.gate(connector)
	left := c.closedUntil.Sub(g.now())
	if left <= 0 {
		return 0, nil
	}
	return left, c.tripError
}

// worked notes that a task got its way: the connector is not unavailable.
func (g *Gates) worked(connector types.NamespacedName) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.gate(connector)
	c.trips, c.tripError = 0, nil
}

// reopen opens a connector that was changed. Tasks that failed before are due again at once.
func (g *Gates) reopen(connector types.NamespacedName) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.gate(connector)
	c.closedUntil, c.trips, c.tripError, c.changed = time.Time{}, 0, nil, g.now()
}

// healed notes that a connector answers again. Tasks that failed before are due again at once.
func (g *Gates) healed(connector types.NamespacedName) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gate(connector).changed = g.now()
}

// changedAt tells when a connector was last changed or healed, the zero time where that was not seen.
func (g *Gates) changedAt(connector types.NamespacedName) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.gate(connector).changed
}

// forget drops a connector that was deleted, as far as no task is in.
func (g *Gates) forget(connector types.NamespacedName) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.gates[connector]
	if c == nil {
		return
	}
	parked := c.parked
	c.parked = nil
	if c.used == 0 {
		delete(g.gates, connector)
	}
	for _, p := range parked {
		g.wake(p.name)
	}
}
