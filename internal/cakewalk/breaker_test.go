// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk

import (
	"errors"
	"testing"
	"time"
)

// step is one request: when it comes, whether it is let through, and what it finds.
type step struct {
	// at is the time since the start.
	at time.Duration
	// want is the fault that it is refused with, and after when to come again; empty: it is let through.
	want  Fault
	after time.Duration
	// finds is the fault that it finds, and for how long that asks to wait; empty: it passes.
	finds    Fault
	findWait time.Duration
	// gone tells that it ends before anything is known.
	gone bool
}

func TestBreaker(t *testing.T) {
	s := time.Second
	tests := map[string][]step{
		"open while requests pass": {{at: 0}, {at: 0}, {at: s}},
		"closed for 5 s after the API was away, then one success opens it": {
			{at: 0, finds: FaultAway},
			{at: s, want: FaultAway, after: 4 * s},
			{at: 5 * s},
			{at: 5 * s},
		},
		"the time doubles to 5 minutes": {
			{at: 0, finds: FaultAway},
			{at: 5 * s, finds: FaultAway},
			{at: 14 * s, want: FaultAway, after: s},
			{at: 15 * s, finds: FaultAway},
			{at: 35 * s, finds: FaultAway},
			{at: 75 * s, finds: FaultAway},
			{at: 155 * s, finds: FaultAway},
			{at: 315 * s, finds: FaultAway},
			{at: 315 * s, want: FaultAway, after: 300 * s},
			{at: 615 * s, finds: FaultAway},
			{at: 914 * s, want: FaultAway, after: s},
		},
		"a success starts the doubling anew": {
			{at: 0, finds: FaultAway},
			{at: 5 * s, finds: FaultAway},
			{at: 15 * s},
			{at: 15 * s, finds: FaultAway},
			{at: 16 * s, want: FaultAway, after: 4 * s},
		},
		"refused credentials close it alike": {
			{at: 0, finds: FaultUnauthorized}, {at: s, want: FaultUnauthorized, after: 4 * s},
		},
		"the API's own word on when to come back holds": {
			{at: 0, finds: FaultAway, findWait: 60 * s}, {at: 59 * s, want: FaultAway, after: s}, {at: 60 * s},
		},
		"a limit closes it for as long as it says, and doubles nothing": {
			{at: 0, finds: FaultRateLimited, findWait: 30 * s},
			{at: s, want: FaultRateLimited, after: 29 * s},
			{at: 30 * s, finds: FaultRateLimited, findWait: 30 * s},
			{at: 60 * s, finds: FaultAway},
			{at: 61 * s, want: FaultAway, after: 4 * s},
		},
		"a request that ended before anything was known changes nothing": {
			{at: 0, gone: true}, {at: 0, finds: FaultAway}, {at: 5 * s, gone: true}, {at: 5 * s}, {at: 5 * s},
		},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			b := &breaker{}
			start := time.Now()
			for i, step := range steps {
				now := start.Add(step.at)
				epoch, err := b.enter(now)
				if step.want != "" {
					checkRefused(t, err, step.want, step.after)
					continue
				}
				if err != nil {
					t.Fatalf("request %d is refused: %v", i, err)
				}
				switch {
				case step.gone:
					b.leave(epoch, now, untold, nil)
				case step.finds != "":
					b.leave(epoch, now, failed, &APIError{Fault: step.finds, After: step.findWait})
				default:
					b.leave(epoch, now, passed, nil)
				}
			}
		})
	}
}

func checkRefused(t *testing.T, err error, fault Fault, after time.Duration) {
	t.Helper()
	of, ok := errors.AsType[*APIError](err)
	if !ok || of.Fault != fault || of.After != after {
		t.Errorf("got %+v, want %q after %s", err, fault, after)
	}
}

func TestBreakerLetsOneProbeThrough(t *testing.T) {
	b, now := &breaker{}, time.Now()
	enter := func() uint64 {
		t.Helper()
		epoch, err := b.enter(now)
		if err != nil {
			t.Fatal(err)
		}
		return epoch
	}
	b.leave(enter(), now, failed, &APIError{Fault: FaultAway})
	now = now.Add(minClosed)
	if err := b.refusal(now); err != nil {
		t.Errorf("asking whether a request may be sent takes the probe: %v", err)
	}
	probe := enter()
	for range 3 {
		_, err := b.enter(now)
		checkRefused(t, err, FaultAway, afterProbe)
	}
	b.leave(probe, now, passed, nil)
	enter()
}

func TestBreakerCountsWhatFailsTogetherOnce(t *testing.T) {
	b, now := &breaker{}, time.Now()
	var epochs []uint64
	for range 100 {
		epoch, err := b.enter(now)
		if err != nil {
			t.Fatal(err)
		}
		epochs = append(epochs, epoch)
	}
	for _, epoch := range epochs[:98] {
		b.leave(epoch, now, failed, &APIError{Fault: FaultAway})
	}
	checkRefused(t, b.refusal(now), FaultAway, minClosed)
	b.leave(epochs[98], now, passed, nil)
	checkRefused(t, b.refusal(now), FaultAway, minClosed)
	// A limit is told to everybody, however late the answer comes, and the longest time holds.
	b.leave(epochs[99], now, failed, &APIError{Fault: FaultRateLimited, After: 20 * time.Second})
	checkRefused(t, b.refusal(now), FaultRateLimited, 20*time.Second)
}

func TestBreakerForgives(t *testing.T) {
	for fault, stays := range map[Fault]bool{FaultAway: false, FaultUnauthorized: false, FaultRateLimited: true} {
		b, now := &breaker{}, time.Now()
		old, _ := b.enter(now)
		epoch, _ := b.enter(now)
		b.leave(epoch, now, failed, &APIError{Fault: fault, After: 10 * time.Second})
		b.forgive()
		if closed := b.refusal(now) != nil; closed != stays {
			t.Errorf("closed by %q and forgiven: closed %t, want %t", fault, closed, stays)
		}
		b.leave(old, now, failed, &APIError{Fault: FaultUnauthorized})
		if closed := b.refusal(now) != nil; closed != stays {
			t.Errorf("a request with the old credentials closes the breaker again, after %q", fault)
		}
	}
	// The probe of a limit is not forgotten by forgiving: it would be out for ever.
	b, now := &breaker{}, time.Now()
	epoch, _ := b.enter(now)
	b.leave(epoch, now, failed, &APIError{Fault: FaultRateLimited, After: time.Second})
	now = now.Add(time.Second)
	probe, err := b.enter(now)
	if err != nil {
		t.Fatal(err)
	}
	b.forgive()
	b.leave(probe, now, passed, nil)
	if err := b.refusal(now); err != nil {
		t.Error(err)
	}
}
