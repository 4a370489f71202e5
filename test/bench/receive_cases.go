// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
)

// Budgets of receiving.
const (
	rateBudget      = 0.9
	latencyBudget   = 1.25
	processorBudget = 0.5
	// bareInFlight is how many creates of the bare client are in flight where its rate is what counts.
	bareInFlight = 32
)

// pair is a run of the receiver and one of the bare client right after it.
type pair struct{ received, bare measured }

// compare runs a load and the bare client in turns.
func (b *bench) compare(ctx context.Context, r *receiving, l load) ([]pair, error) {
	// What is done for the first time takes longer.
	warm := l
	warm.objects = max(l.objects/10, l.batch)
	if _, err := r.receive(ctx, warm); err != nil {
		return nil, err
	}
	if _, err := r.create(ctx, warm.objects, l.bareInFlight); err != nil {
		return nil, err
	}
	pairs := make([]pair, b.runs())
	for i := range pairs {
		var err error
		if pairs[i].received, err = r.receive(ctx, l); err != nil {
			return nil, err
		}
		if pairs[i].bare, err = r.create(ctx, l.objects, l.bareInFlight); err != nil {
			return nil, err
		}
		b.progress("   run %d: received %.0f/s, %s processor; bare %.0f/s", i+1, pairs[i].received.rate(), pairs[i].received.processor, pairs[i].bare.rate())
	}
	return pairs, nil
}

// singles are deliveries of one event, with a number of them in flight.
func singles(inFlight int) func(context.Context, *bench, string) error {
	return func(ctx context.Context, b *bench, name string) error {
		return b.receiveCase(ctx, name, load{receiver: receiverHMAC, objects: b.size(3000, 1000), batch: 1, inFlight: inFlight, bareInFlight: inFlight})
	}
}

// batches are deliveries of several events, with as many in flight as hold 32 events at least.
func batches(size int) func(context.Context, *bench, string) error {
	return func(ctx context.Context, b *bench, name string) error {
		return b.receiveCase(ctx, name, load{receiver: receiverHMAC, objects: b.size(5000, 2000), batch: size, inFlight: 4, bareInFlight: bareInFlight})
	}
}

// withRSA are deliveries of one event that are signed with RSA.
func withRSA(ctx context.Context, b *bench, name string) error {
	return b.receiveCase(ctx, name, load{receiver: receiverRSA, objects: b.size(3000, 1000), batch: 1, inFlight: bareInFlight, bareInFlight: bareInFlight})
}

// receiveCase measures a load, and holds it to the budgets that there are for it.
func (b *bench) receiveCase(ctx context.Context, name string, l load) error {
	r, err := b.startReceiving(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	l.sign = r.signer(l.receiver)
	pairs, err := b.compare(ctx, r, l)
	if err != nil {
		return err
	}
	received := each(pairs, func(p pair) float64 { return p.received.rate() })
	bare := each(pairs, func(p pair) float64 { return p.bare.rate() })
	ratio := each(pairs, func(p pair) float64 { return p.received.rate() / p.bare.rate() })
	b.tell(name, "objects stored", "/s", received)
	b.tell(name, fmt.Sprintf("objects that a bare client stores, %d in flight", l.bareInFlight), "/s", bare)
	if l.bareInFlight == bareInFlight && (l.batch == 1 || l.batch == 100) {
		b.holdRatio(name, "objects stored, by those of the bare client", ratio, atLeast, rateBudget)
	} else {
		b.tell(name, "objects stored, by those of the bare client", "", ratio)
	}
	p99 := func(m measured) float64 { return milliseconds(percentile(m.requests, 0.99)) }
	b.tell(name, "POST to answer, 99th percentile", "ms", each(pairs, func(p pair) float64 { return p99(p.received) }))
	if l.batch == 1 {
		b.tell(name, "create of the bare client, 99th percentile", "ms", each(pairs, func(p pair) float64 { return p99(p.bare) }))
		b.holdRatio(name, "99th percentile, by that of the bare client", each(pairs, func(p pair) float64 { return p99(p.received) / p99(p.bare) }), atMost, latencyBudget)
	}
	b.hold(name, "processor time of the receiver per event", "ms", each(pairs, func(p pair) float64 {
		return milliseconds(p.received.processor) / float64(p.received.objects)
	}), processorBudget)
	return b.profile(ctx, name, r.manager, func(ctx context.Context) error {
		_, err := r.receive(ctx, l)
		return err
	})
}
