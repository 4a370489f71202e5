// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/spool"
)

// Bounds of what is stored from the spool at once: single deliveries are stored side by side, as they would have been.
const (
	maxDrainDeliveries = 64
	maxDrainBytes      = 4 << 20
	drainReadTimeout   = 5 * time.Second
	// stuckFactor is how many times longer the spooler rests where the API server refuses what it is not away for.
	stuckFactor = 5
)

// progress is how far the storing of spooled deliveries came.
type progress int

const (
	// drained: nothing is left of what was there.
	drained progress = iota
	// stuck: something is left that the API server refuses at the moment. Other receivers are not held up.
	stuck
	// serverAway: something is left, and the API server is away.
	serverAway
)

// run stores what is spooled until ctx ends. What is left then stays on the disk.
func (s *spooler) run(ctx context.Context) {
	if s == nil {
		return
	}
	last := drained
	for {
		wake := s.wake
		var retry <-chan time.Time
		now := s.drain(ctx)
		if now == serverAway && last != serverAway {
			s.log.Info("Spooled deliveries wait for the API server", "files", s.spool.Stats().Files)
		}
		last = now
		switch now {
		case drained:
		case serverAway:
			wake, retry = nil, time.After(s.retry)
		case stuck:
			// A person is needed, and each attempt logs.
			wake, retry = nil, time.After(stuckFactor*s.retry)
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-retry:
		}
	}
}

// drain stores what is spooled, receiver by receiver, each in the order of arrival.
func (s *spooler) drain(ctx context.Context) progress {
	lanes := map[types.NamespacedName][]spool.Entry{}
	var order []types.NamespacedName
	for _, e := range s.spool.Entries() {
		key := types.NamespacedName{Namespace: e.Namespace, Name: e.Receiver}
		if lanes[key] == nil {
			order = append(order, key)
		}
		lanes[key] = append(lanes[key], e)
	}
	worst := drained
	for _, key := range order {
		if worst < serverAway {
			worst = max(worst, s.drainReceiver(ctx, key, s.unexpired(ctx, lanes[key])))
		} else {
			// Time passes while the API server is away.
			s.unexpired(ctx, lanes[key])
		}
	}
	return worst
}

// unexpired sets aside what waited too long, and returns the rest.
func (s *spooler) unexpired(ctx context.Context, entries []spool.Entry) []spool.Entry {
	limit := s.now().Add(-s.maxSpoolAge)
	for len(entries) > 0 && entries[0].Arrival.Before(limit) {
		id := ""
		if d, err := s.spool.Read(entries[0]); err == nil {
			id = d.ID
		}
		s.setAside(ctx, entries[0], spool.ReasonExpired, id)
		entries = entries[1:]
	}
	return entries
}

// setAside sets a delivery aside and reports it. It says whether that could be done.
func (s *spooler) setAside(ctx context.Context, e spool.Entry, reason spool.Reason, id string) bool {
	aside, err := s.spool.SetAside(e, reason)
	if err != nil {
		s.log.Error(err, "A spooled delivery could not be set aside", "namespace", e.Namespace, "receiver", e.Receiver, "file", e.Name)
		return false
	}
	s.report(ctx, aside, id)
	return true
}

// drainReceiver stores deliveries to one receiver. The receiver is read live: what was deleted while this process was
// down must be known to be gone.
func (s *spooler) drainReceiver(ctx context.Context, key types.NamespacedName, entries []spool.Entry) progress {
	if len(entries) == 0 {
		return drained
	}
	receiver := &accessv1alpha1.WebhookReceiver{}
	reading, cancel := context.WithTimeout(ctx, drainReadTimeout)
	err := s.live.Get(reading, key, receiver)
	cancel()
	switch {
	case apierrors.IsNotFound(err):
		// No delivery has the empty UID.
		receiver.UID = ""
	case err != nil && away(err):
		return serverAway
	case err != nil:
		s.log.Error(err, "Spooled deliveries wait", "namespace", key.Namespace, "receiver", key.Name)
		return stuck
	}
	for len(entries) > 0 {
		batch, rest, ok := s.readBatch(ctx, receiver.UID, entries)
		if p := s.storeBatch(ctx, receiver, batch); p != drained {
			return p
		}
		if !ok {
			return stuck
		}
		entries = rest
	}
	return drained
}

// spooled is a delivery that was read from the spool.
type spooled struct {
	entry    spool.Entry
	delivery *spool.Delivery
	events   []arrived
}

// readBatch reads the next deliveries, and sets aside what cannot be stored. It is not ok where one can neither be read nor
// set aside: nothing that came later overtakes it.
func (s *spooler) readBatch(ctx context.Context, uid types.UID, entries []spool.Entry) (batch []spooled, rest []spool.Entry, ok bool) {
	bytes := 0
	for len(entries) > 0 && len(batch) < maxDrainDeliveries && bytes < maxDrainBytes {
		e := entries[0]
		entries = entries[1:]
		d, err := s.spool.Read(e)
		if err != nil && !errors.Is(err, spool.ErrDamaged) {
			s.log.Error(err, "A spooled delivery cannot be read", "file", e.Name)
			return batch, nil, false
		}
		reason, id := spool.ReasonDamaged, ""
		var events []cakewalk.Event
		if err == nil {
			id = d.ID
			// As many events as there are bytes: their number was within the receiver's limit when they arrived.
			events, err = cakewalk.Decode(d.Body, len(d.Body))
			reason = spool.ReasonInvalid
			if d.ReceiverUID != string(uid) {
				reason, err = spool.ReasonReceiverGone, errReceiverGone
			}
		}
		if err != nil {
			if !s.setAside(ctx, e, reason, id) {
				return batch, nil, false
			}
			continue
		}
		bytes += len(d.Body)
		batch = append(batch, spooled{entry: e, delivery: d, events: arrivedFrom(events, d.Arrival, d.TraceParent)})
	}
	return batch, entries, true
}

var errReceiverGone = errors.New("the receiver was deleted")

// storeBatch stores deliveries to one receiver, and removes those that are stored from the spool.
func (s *spooler) storeBatch(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver, batch []spooled) progress {
	var events []arrived
	for _, one := range batch {
		events = append(events, one.events...)
	}
	storing, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	results := s.store.storeAll(storing, receiver, events)
	if ctx.Err() != nil {
		// This process is told to end.
		return stuck
	}
	p := drained
	if waitForServer(results, false) {
		p = serverAway
	}
	for _, one := range batch {
		own := results[:len(one.events)]
		results = results[len(one.events):]
		if !s.finish(ctx, one, own) {
			p = max(p, stuck)
		}
	}
	return p
}

// finish takes a delivery out of the spool when all its events came to something, and says whether they did. It writes
// down what became of its tasks before.
func (s *spooler) finish(ctx context.Context, one spooled, results []eventResult) bool {
	log := s.log.WithValues("namespace", one.entry.Namespace, "receiver", one.entry.Receiver, "file", one.entry.Name)
	var failed error
	whole, refused := true, false
	for i, r := range results {
		if r.outcome == outcomeFailed {
			whole = false
			if !errors.Is(r.err, errNotTried) {
				failed = r.err
			}
		}
		// Of a malformed event the sender was told.
		refused = refused || r.outcome == outcomeInvalid && one.events[i].Err == nil
	}
	var told []eventResult
	for i, r := range results {
		// Of a delivery that is tried again, the rest is told when it is known.
		if one.events[i].Task != nil && (whole || r.outcome == outcomeStored) {
			told = append(told, r)
			s.metrics.event(types.NamespacedName{Namespace: one.entry.Namespace, Name: one.entry.Receiver}, one.events[i].Type, r.outcome)
		}
	}
	s.writeAudit(ctx, taskLines(told, one.delivery.ID)...)
	switch {
	case !whole:
		if failed != nil {
			log.Error(failed, "A spooled delivery waits")
		}
		return false
	case refused:
		return s.setAside(ctx, one.entry, spool.ReasonInvalid, one.delivery.ID)
	}
	if err := s.spool.Remove(one.entry); err != nil {
		log.Error(err, "A stored delivery could not be removed from the spool")
		return false
	}
	log.Info("Stored a spooled delivery", "events", len(results))
	return true
}
