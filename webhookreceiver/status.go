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
	// statusOwner owns, in server-side apply, what the receiver writes: Verified, lastDeliveryTime and lastTestTime.
	statusOwner = "access-operator-receiver"
	// statusInterval is how often a delivery is noted in the status, at most.
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
	// noted is when a delivery was last noted.
	noted map[types.NamespacedName]time.Time
}

// statusNote is what is to be written of a receiver.
type statusNote struct {
	delivery time.Time
	// test is when a test event arrived; zero if none did.
	test time.Time
}

func newStatusWriter(d dependencies) *statusWriter {
	return &statusWriter{
		live: d.live, writer: d.writer, log: d.log, now: d.now,
		wake:    make(chan struct{}, 1),
		pending: map[types.NamespacedName]statusNote{},
		noted:   map[types.NamespacedName]time.Time{},
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
	note := s.pending[receiver]
	note.delivery = now
	if test {
		note.test = now
	}
	s.pending[receiver] = note
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

// writeAll writes everything that is pending. What cannot be written is tried again later.
func (s *statusWriter) writeAll(ctx context.Context) {
	s.mu.Lock()
	pending := s.pending
	s.pending = map[types.NamespacedName]statusNote{}
	s.mu.Unlock()
	for receiver, note := range pending {
		err := s.write(ctx, receiver, note)
		switch {
		case err == nil:
		case apierrors.IsNotFound(err):
			s.mu.Lock()
			delete(s.noted, receiver)
			s.mu.Unlock()
		default:
			s.log.Error(err, "The status of a receiver could not be written", "namespace", receiver.Namespace, "receiver", receiver.Name)
			s.putBack(receiver, note)
		}
	}
}

func (s *statusWriter) putBack(receiver types.NamespacedName, note statusNote) {
	s.mu.Lock()
	defer s.mu.Unlock()
	newer := s.pending[receiver]
	if newer.delivery.Before(note.delivery) {
		newer.delivery = note.delivery
	}
	if newer.test.Before(note.test) {
		newer.test = note.test
	}
	s.pending[receiver] = newer
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
	if note.test.IsZero() && known.LastDeliveryTime != nil && note.delivery.Sub(known.LastDeliveryTime.Time) < statusInterval {
		return nil
	}
	status := applyv1alpha1.WebhookReceiverStatus().WithLastDeliveryTime(later(known.LastDeliveryTime, note.delivery))
	if !note.test.IsZero() {
		status.WithLastTestTime(later(known.LastTestTime, note.test))
	} else if known.LastTestTime != nil {
		status.WithLastTestTime(*known.LastTestTime)
	}
	if condition := verified(receiver, note); condition != nil {
		status.WithConditions(applymetav1.Condition().
			WithType(condition.Type).WithStatus(condition.Status).WithReason(condition.Reason).WithMessage(condition.Message).
			WithObservedGeneration(condition.ObservedGeneration).WithLastTransitionTime(condition.LastTransitionTime))
	}
	config := applyv1alpha1.WebhookReceiver(key.Name, key.Namespace).WithStatus(status)
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

// later returns the later of two times.
func later(known *metav1.Time, noted time.Time) metav1.Time {
	if known != nil && known.After(noted) {
		return *known
	}
	return metav1.NewTime(noted)
}
