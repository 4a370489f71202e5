// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// duplicates are deliveries of what is stored already.
func duplicates(ctx context.Context, b *bench, name string) error {
	r, err := b.startReceiving(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	deliveries, err := newDeliveries(b.size(3000, 1000), 1, "Slack", signHMAC)
	if err != nil {
		return err
	}
	s := newSender(r.url(receiverHMAC), bareInFlight)
	defer s.close()
	if _, err := drive(ctx, len(deliveries), bareInFlight, func(ctx context.Context, i int) error { return s.send(ctx, deliveries[i], http.StatusOK) }); err != nil {
		return err
	}
	return b.unstored(ctx, name, "duplicates", r, receiverHMAC, deliveries, http.StatusOK)
}

// badSignatures are deliveries whose signature is that of another.
func badSignatures(receiver string) func(context.Context, *bench, string) error {
	return func(ctx context.Context, b *bench, name string) error {
		r, err := b.startReceiving(ctx)
		if err != nil {
			return err
		}
		defer r.close()
		other, err := r.signer(receiver)([]byte("another"))
		if err != nil {
			return err
		}
		deliveries, err := newDeliveries(b.size(5000, 1000), 1, "Slack", func([]byte) (string, error) { return other, nil })
		if err != nil {
			return err
		}
		return b.unstored(ctx, name, "rejections", r, receiver, deliveries, http.StatusUnauthorized)
	}
}

// unstored measures deliveries that store nothing, which a watch confirms, and are answered with a code.
func (b *bench) unstored(ctx context.Context, name, what string, r *receiving, receiver string, deliveries []delivery, code int) error {
	s := newSender(r.url(receiver), bareInFlight)
	defer s.close()
	send := func(ctx context.Context, i int) error { return s.send(ctx, deliveries[i], code) }
	runs := make([]measured, b.runs())
	for i := range runs {
		err := r.storesNothing(ctx, func() (err error) {
			before, err := r.manager.processor()
			if err != nil {
				return err
			}
			start := time.Now()
			if runs[i].requests, err = drive(ctx, len(deliveries), bareInFlight, send); err != nil {
				return err
			}
			runs[i].objects, runs[i].took = len(deliveries), time.Since(start)
			after, err := r.manager.processor()
			runs[i].processor = after - before
			return err
		})
		if err != nil {
			return err
		}
	}
	b.tell(name, what, "/s", each(runs, measured.rate))
	b.tell(name, "POST to answer, 99th percentile", "ms", each(runs, func(m measured) float64 { return milliseconds(percentile(m.requests, 0.99)) }))
	b.tell(name, "processor time of the receiver each", "ms", each(runs, func(m measured) float64 { return milliseconds(m.processor) / float64(m.objects) }))
	return b.profile(ctx, name, r.manager, func(ctx context.Context) error {
		_, err := drive(ctx, len(deliveries), bareInFlight, send)
		return err
	})
}

// storesNothing runs something, and fails if a task was stored meanwhile: it stores one itself, and that is the first that
// a watch from before shows.
func (r *receiving) storesNothing(ctx context.Context, run func() error) error {
	c, err := r.count(ctx, r.watched)
	if err != nil {
		return err
	}
	defer c.stop()
	if err := run(); err != nil {
		return err
	}
	last := another(r.sample, r.watched)
	if err := r.Create(ctx, last); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(storeWithin):
		return errors.New("the watch over tasks shows nothing")
	case event := <-c.watch.ResultChan():
		if o, ok := event.Object.(metav1.Object); !ok || event.Type != watch.Added || o.GetName() != last.Name {
			return errors.New("something was stored that should not be")
		}
		return nil
	}
}
