// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	applyv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1/applyconfiguration/api/v1alpha1"
)

const (
	// statusOwner owns, in server-side apply, what the receiver writes: Verified, lastDeliveryTime, lastTestTime and
	// lastMismatchTime.
	statusOwner = "access-operator-receiver"
	// statusInterval is how often a delivery, or a signature that does not match, is noted in the status, at most.
	statusInterval = time.Minute
	statusTimeout  = 5 * time.Second
	statusRetry    = 5 * time.Second
)

// statusWriter writes what deliveries tell of their receivers to the receivers' status. Deliveries do not wait for it.
type statusWriter struct {
	live   client.Reader
	writer client.Client
	log    logr.Logger
	now    func() time.Time
	wake   chan struct{}

	mu sync.Mutex
	// pending holds what is to be written, one entry for a receiver.
	pending map[types.NamespacedName]statusNote
	// noted is when a delivery was last noted, and mismatched when a mismatch was last written.
	noted, mismatched map[types.NamespacedName]time.Time
}

// statusNote is what is to be written of a receiver.
// A time is zero where there is nothing to write.
type statusNote struct {
	// delivery is when a delivery with a good signature arrived.
	delivery time.Time
	// test is when a test event arrived.
	test time.Time
	// mismatch is when a signature did not match fetched keys.
	mismatch time.Time
}

// with is a note of the newest of both.
func (n statusNote) with(o statusNote) statusNote {
	newer := func(a, b time.Time) time.Time {
		if a.Before(b) {
			return b
		}
		return a
	}
	return statusNote{delivery: newer(n.delivery, o.delivery), test: newer(n.test, o.test), mismatch: newer(n.mismatch, o.mismatch)}
}

func newStatusWriter(d dependencies) *statusWriter {
	return &statusWriter{
		live: d.live, writer: d.writer, log: d.log, now: d.now,
		wake:    make(chan struct{}, 1),
		pending: map[types.NamespacedName]statusNote{},
		noted:   map[types.NamespacedName]time.Time{}, mismatched: map[types.NamespacedName]time.Time{},
	}
}

// note takes down that a delivery with a good signature arrived, and whether it held a test event.
func (s *statusWriter) note(receiver types.NamespacedName, test bool) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.noted[receiver]; !test && ok && now.Sub(last) < statusInterval {
		return
	}
	s.noted[receiver] = now
	note := statusNote{delivery: now}
	if test {
		note.test = now
	}
	s.add(receiver, note)
}

// noteMismatch takes down that a signature did not match the fetched keys of a receiver, which asks the controllers to
// fetch them again.
func (s *statusWriter) noteMismatch(receiver types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(receiver, statusNote{mismatch: s.now()})
}

// add adds to what is pending. The caller holds s.mu.
func (s *statusWriter) add(receiver types.NamespacedName, note statusNote) {
	s.pending[receiver] = s.pending[receiver].with(note)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run writes until ctx ends, and then once more.
func (s *statusWriter) run(ctx context.Context) {
	retry := time.NewTicker(statusRetry)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), statusTimeout)
			defer cancel()
			s.writeAll(last)
			return
		case <-s.wake:
		case <-retry.C:
		}
		s.writeAll(ctx)
	}
}

// writeAll writes everything that is pending. What cannot be written, or not yet, is tried again later.
func (s *statusWriter) writeAll(ctx context.Context) {
	for receiver, note := range s.take() {
		err := s.write(ctx, receiver, note)
		if apierrors.IsConflict(err) {
			// Somebody wrote between reading and writing.
			err = s.write(ctx, receiver, note)
		}
		s.mu.Lock()
		switch {
		case err == nil:
			if !note.mismatch.IsZero() {
				s.mismatched[receiver] = s.now()
			}
		case apierrors.IsNotFound(err):
			delete(s.noted, receiver)
			delete(s.mismatched, receiver)
		default:
			s.log.Error(err, "The status of a receiver could not be written", "namespace", receiver.Namespace, "receiver", receiver.Name)
			s.pending[receiver] = s.pending[receiver].with(note)
		}
		s.mu.Unlock()
	}
}

// take takes what may be written now. A mismatch waits for its interval: it may be the only one, and must not be lost.
func (s *statusWriter) take() map[types.NamespacedName]statusNote {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := map[types.NamespacedName]statusNote{}
	for receiver, note := range s.pending {
		delete(s.pending, receiver)
		if last, ok := s.mismatched[receiver]; ok && !note.mismatch.IsZero() && s.now().Sub(last) < statusInterval {
			s.pending[receiver] = statusNote{mismatch: note.mismatch}
			note.mismatch = time.Time{}
		}
		if note != (statusNote{}) {
			due[receiver] = note
		}
	}
	return due
}

// write applies a note. Server-side apply takes away what its owner no longer names, so what was written before, by this
// replica or by another, is read and named again.
func (s *statusWriter) write(ctx context.Context, key types.NamespacedName, note statusNote) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	receiver := &accessv1alpha1.WebhookReceiver{}
	if err := s.live.Get(ctx, key, receiver); err != nil {
		return fmt.Errorf("reading WebhookReceiver: %w", err)
	}
	known := receiver.Status
	if last := known.LastDeliveryTime; note.test.IsZero() && last != nil && note.delivery.Sub(last.Time) < statusInterval {
		note.delivery = time.Time{}
	}
	if note == (statusNote{}) {
		return nil
	}
	status := applyv1alpha1.WebhookReceiverStatus()
	status.LastDeliveryTime = later(known.LastDeliveryTime, note.delivery)
	status.LastTestTime = later(known.LastTestTime, note.test)
	status.LastMismatchTime = later(known.LastMismatchTime, note.mismatch)
	if condition := verified(receiver, note); condition != nil {
		status.WithConditions(applymetav1.Condition().
			WithType(condition.Type).WithStatus(condition.Status).WithReason(condition.Reason).WithMessage(condition.Message).
			WithObservedGeneration(condition.ObservedGeneration).WithLastTransitionTime(condition.LastTransitionTime))
	}
	// With the version that was read, nothing that another replica named meanwhile is taken away.
	config := applyv1alpha1.WebhookReceiver(key.Name, key.Namespace).WithResourceVersion(receiver.ResourceVersion).WithStatus(status)
	if err := s.writer.Status().Apply(ctx, config, client.ForceOwnership, client.FieldOwner(statusOwner)); err != nil {
		return fmt.Errorf("applying status: %w", err)
	}
	return nil
}

// verified is the condition Verified after a note; nil where no test event ever arrived.
func verified(receiver *accessv1alpha1.WebhookReceiver, note statusNote) *metav1.Condition {
	known := meta.FindStatusCondition(receiver.Status.Conditions, accessv1alpha1.ConditionVerified)
	if note.test.IsZero() {
		return known
	}
	condition := &metav1.Condition{
		Type:               accessv1alpha1.ConditionVerified,
		Status:             metav1.ConditionTrue,
		Reason:             accessv1alpha1.ReasonTestReceived,
		Message:            "A test event with a good signature arrived",
		ObservedGeneration: receiver.Generation,
		LastTransitionTime: metav1.NewTime(note.test),
	}
	if known != nil && known.Status == condition.Status {
		condition.LastTransitionTime = known.LastTransitionTime
	}
	return condition
}

// later returns the later of two times; nil for none.
func later(known *metav1.Time, noted time.Time) *metav1.Time {
	if noted.IsZero() || known != nil && known.After(noted) {
		return known
	}
	return new(metav1.NewTime(noted))
}
