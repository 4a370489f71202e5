// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

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
	c.cautious = true
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
	c.trips, c.tripError, c.cautious = 0, nil, false
	g.admit(connector, types.NamespacedName{})
}

// reopen opens a connector that was changed. Tasks that failed before are due again at once.
func (g *Gates) reopen(connector types.NamespacedName) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.gate(connector)
	c.closedUntil, c.trips, c.tripError, c.cautious, c.changed = time.Time{}, 0, nil, false, g.now()
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
