// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"
)

const (
	// perSecond and burst keep a receiver under the documented 1,000 requests a minute. A process sends at most
	// 60 × 14 + 50 = 890 in any 60 seconds, and with one that took over in the same minute and has a burst of its own it
	// is 940. What is left allows for requests that arrive up to 4 seconds closer together than they were sent.
	perSecond = 14
	burst     = 50
	// backgroundPerSecond is what background requests may take of it, so that most is left for the others.
	backgroundPerSecond = 4
	// maxWait is how long a request waits for its turn. A background request may wait so long twice: for its turn among
	// its like, and then among all.
	maxWait = 10 * time.Second
)

// Gate is what all clients of one receiver share: the limit of requests, and what the last ones found. It outlives a
// change of the credentials, because Cakewalk's count does. Its methods may be called from several goroutines.
type Gate struct {
	all, background *rate.Limiter
	breaker         breaker
	now             func() time.Time
}

// NewGate returns an open Gate. now tells the time; nil: time.Now.
func NewGate(now func() time.Time) *Gate {
	if now == nil {
		now = time.Now
	}
	return &Gate{
		all:        rate.NewLimiter(perSecond, burst),
		background: rate.NewLimiter(backgroundPerSecond, backgroundPerSecond),
		now:        now,
	}
}

// Forgive lets requests through again that were held back because the API was away or refused the credentials. It is
// called when the address, the credentials or the authorities changed.
func (g *Gate) Forgive() { g.breaker.forgive() }

// enter waits until a request may be sent. The error is an *APIError, or ctx's. leave must be called with the epoch when
// the request has ended.
func (g *Gate) enter(ctx context.Context, background bool) (epoch uint64, err error) {
	// Who would be refused anyway takes nothing of the limit.
	if err := g.breaker.refusal(g.now()); err != nil {
		return 0, err
	}
	if background {
		if err := g.await(ctx, g.background); err != nil {
			return 0, err
		}
	}
	if err := g.await(ctx, g.all); err != nil {
		return 0, err
	}
	return g.breaker.enter(g.now())
}

// await waits for a limiter's turn, for at most maxWait and never longer than ctx lasts.
func (g *Gate) await(ctx context.Context, limiter *rate.Limiter) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	now := g.now()
	turn := limiter.ReserveN(now, 1)
	wait := turn.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	bound := maxWait
	if deadline, ok := ctx.Deadline(); ok {
		bound = min(bound, time.Until(deadline))
	}
	if wait > bound {
		turn.CancelAt(now)
		return &APIError{
			Fault: FaultRateLimited, After: wait, answered: true,
			Detail: fmt.Sprintf("the operator's own limit of %d requests a second to Cakewalk leaves no room for another one in time", perSecond),
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		turn.CancelAt(g.now())
		return ctx.Err()
	}
}
