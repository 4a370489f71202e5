// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk

import (
	"sync"
	"time"
)

const (
	// minClosed and maxClosed bound for how long a client closes when the API is away or refuses the credentials. The time
	// doubles with every request that finds it so.
	minClosed = 5 * time.Second
	maxClosed = 5 * time.Minute
	// afterProbe is when to ask again while somebody else is finding out.
	afterProbe = time.Second
)

// outcome is what a request tells about the way to the API.
type outcome int

const (
	// passed means that the API answered as itself, whatever it answered.
	passed outcome = iota
	// failed means that the next request would find the same.
	failed
	// untold means that the request ended before anything was known.
	untold
)

// breaker holds requests back while they would be in vain. It is closed by what a request found; when its time is over,
// exactly one request is let through to find out, and its outcome opens the breaker or closes it again. The zero value is
// open.
type breaker struct {
	mu sync.Mutex
	// cause is why the breaker is closed; nil while it is open.
	cause *APIError
	until time.Time
	// delay is how long it was closed for the last time, zero after a success.
	delay time.Duration
	// probing is true while one request is out to learn more.
	probing bool
	// epoch counts the changes of state. A request that was let through before the last of them says nothing new: a
	// hundred requests that fail together double the delay once.
	epoch uint64
}

// refusal returns why no request may be sent now, or nil.
func (b *breaker) refusal(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refuse(now)
}

func (b *breaker) refuse(now time.Time) error {
	if b.cause == nil || !now.Before(b.until) && !b.probing {
		return nil
	}
	refused := *b.cause
	refused.After = b.until.Sub(now)
	if b.probing {
		refused.After = max(refused.After, afterProbe)
	}
	return &refused
}

// enter lets a request through, or returns why not. leave must be called with the epoch when the request has ended.
func (b *breaker) enter(now time.Time) (epoch uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refuse(now); err != nil {
		return 0, err
	}
	if b.cause != nil {
		b.probing = true
		b.epoch++
	}
	return b.epoch, nil
}

// leave takes in what a request found. fault is why, where the outcome is failed.
func (b *breaker) leave(epoch uint64, now time.Time, found outcome, fault *APIError) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if epoch != b.epoch {
		// A limit is the exception: it is told to everybody, and the longest time holds.
		if found == failed && fault.Fault == FaultRateLimited && b.until.Before(now.Add(fault.After)) {
			b.close(fault, now.Add(fault.After))
		}
		return
	}
	b.probing = false
	switch found {
	case untold:
	case passed:
		b.open()
	case failed:
		wait := fault.After
		if fault.Fault != FaultRateLimited {
			b.delay = min(max(2*b.delay, minClosed), maxClosed)
			wait = max(wait, b.delay)
		}
		b.close(fault, now.Add(wait))
	}
}

// forgive opens the breaker where it was closed for what may have changed with the configuration: all but a limit.
// Requests that are under way with the old configuration say nothing any more.
func (b *breaker) forgive() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cause == nil || b.cause.Fault != FaultRateLimited {
		b.open()
		b.epoch++
	}
}

func (b *breaker) open() {
	if b.cause != nil {
		b.epoch++
	}
	b.cause, b.delay, b.probing = nil, 0, false
}

func (b *breaker) close(cause *APIError, until time.Time) {
	b.cause, b.until, b.probing = cause, until, false
	b.epoch++
}
