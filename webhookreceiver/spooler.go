// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"getcakewalk.io/access-operator/internal/audit"
	"getcakewalk.io/access-operator/internal/spool"
	"getcakewalk.io/access-operator/internal/tracing"
)

const (
	// spoolAfter is how long a delivery may take to be stored before it is spooled.
	spoolAfter = 10 * time.Second
	// spoolRetry is how long the spooler rests after the API server was away.
	spoolRetry = 2 * time.Second
)

// spooler keeps verified deliveries on the disk while the API server is away, and stores them when it is back. A nil
// spooler does nothing.
type spooler struct {
	dependencies
	store *store
	retry time.Duration
	// wake has a token when a delivery was spooled.
	wake chan struct{}
}

// openSpool opens the spool that the options ask for; nil for none.
func openSpool(o Options) (*spool.Spool, []spool.SetAside, error) {
	if o.SpoolDir == "" {
		return nil, nil, nil
	}
	return spool.Open(o.SpoolDir, spool.Options{MaxBytes: o.SpoolMaxBytes})
}

func newSpooler(d dependencies, s *store) *spooler {
	if entries := d.spool.Entries(); len(entries) > 0 {
		// What arrives now arrived after what is spooled, whatever the clock says.
		s.arrivals.follow(entries[len(entries)-1].Arrival)
	}
	return &spooler{dependencies: d, store: s, retry: spoolRetry, wake: make(chan struct{}, 1)}
}

// patience is how long a delivery may take to be stored.
func (s *spooler) patience() time.Duration {
	if s == nil {
		return storeTimeout
	}
	return spoolAfter
}

// holds says whether a delivery to a receiver is spooled.
func (s *spooler) holds(receiver types.NamespacedName) bool {
	return s != nil && s.spool.Holds(receiver.Namespace, receiver.Name)
}

func (s *spooler) put(d spool.Delivery) error {
	err := s.spool.Put(d)
	if err == nil {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	return err
}

func (s *spooler) close() {
	if s == nil {
		return
	}
	if err := s.spool.Close(); err != nil {
		s.log.Error(err, "The spool could not be closed")
	}
}

// report tells of a delivery that was set aside; its id is empty where it cannot be read.
func (s *spooler) report(ctx context.Context, aside spool.SetAside, id string) {
	e := aside.Entry
	s.metrics.setAside.WithLabelValues(string(aside.Reason)).Inc()
	s.log.Error(errSetAside, "A spooled delivery is left to a person", "namespace", e.Namespace, "receiver", e.Receiver,
		"file", e.Name, "reason", aside.Reason, "arrival", e.Arrival, "removed", aside.Removed)
	l := audit.Line{
		Event: audit.DeliverySetAside, Namespace: e.Namespace, Receiver: e.Receiver, DeliveryID: id,
		Outcome: audit.SetAside, Reason: string(aside.Reason), Message: e.Name,
	}
	s.writeAudit(ctx, l)
}

func (s *spooler) writeAudit(ctx context.Context, lines ...audit.Line) {
	if err := s.audit.Write(ctx, lines...); err != nil {
		s.log.Error(err, "A spooled delivery is not in the audit log")
	}
}

var errSetAside = errors.New("it is not stored any more")

// toSpool spools the delivery, which makes its failed results spooled ones. The answer says that there is no room.
func (d *delivery) toSpool(ctx context.Context, first time.Time) *answer {
	kept := spool.Delivery{
		Namespace: d.key.Namespace, Receiver: d.key.Name, ReceiverUID: string(d.receiver.UID), ID: d.id,
		Arrival: first, TraceParent: tracing.Parent(ctx), Body: d.body,
	}
	if host, _, err := net.SplitHostPort(d.request.RemoteAddr); err == nil {
		kept.RemoteAddress = host
	}
	err := d.handler.spooler.put(kept)
	if errors.Is(err, spool.ErrFull) {
		return unavailable(refusedSpoolFull, retryLater, "not every task could be stored; send the delivery again", err)
	}
	if err != nil {
		return unavailable(refusedSpoolFailed, retryLater, "not every task could be stored; send the delivery again", fmt.Errorf("spooling: %w", err))
	}
	for i := range d.results {
		if d.results[i].outcome == outcomeFailed {
			d.results[i].outcome = outcomeSpooled
		}
	}
	return nil
}

// waitForServer says whether tasks failed to be stored for no other reason than that the API server is away, or than that
// they are behind others that wait for it.
func waitForServer(results []eventResult, behind bool) bool {
	waits := false
	for _, r := range results {
		switch {
		case r.outcome != outcomeFailed:
		case errors.Is(r.err, errNotTried):
			waits = waits || behind
		case away(r.err):
			waits = true
		default:
			return false
		}
	}
	return waits
}

// away says whether an error of the API server tells that it is away, or refuses for load, and not that it refuses the
// request. What is no answer of it is one of the way to it.
func away(err error) bool {
	var answered apierrors.APIStatus
	if errors.As(err, &answered) {
		code := answered.Status().Code
		return code == http.StatusTooManyRequests || code >= http.StatusInternalServerError
	}
	return !meta.IsNoMatchError(err)
}
