// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// answerWithin bounds the time for one request.
const answerWithin = time.Minute

// measured is what one run of a load took.
type measured struct {
	// objects is how many were stored, in took: from the first request until the last was seen by a watch.
	objects int
	took    time.Duration
	// requests are how long each took.
	requests []time.Duration
	// processor is what the manager used.
	processor time.Duration
}

// rate is the objects that were stored in a second.
func (m measured) rate() float64 { return float64(m.objects) / m.took.Seconds() }

// drive calls one for 0 to n-1 with a number of calls in flight, and returns how long each took, and the first error.
func drive(ctx context.Context, n, inFlight int, one func(ctx context.Context, i int) error) ([]time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	took := make([]time.Duration, n)
	var next atomic.Int64
	var senders sync.WaitGroup
	for range min(inFlight, n) {
		senders.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				start := time.Now()
				if err := one(ctx, i); err != nil {
					cancel(err)
					return
				}
				took[i] = time.Since(start)
			}
		})
	}
	senders.Wait()
	return took, context.Cause(ctx)
}

// sender sends deliveries to a receiver.
type sender struct {
	client *http.Client
	url    string
}

func newSender(url string, inFlight int) *sender {
	return &sender{url: url, client: &http.Client{
		Timeout:   answerWithin,
		Transport: &http.Transport{MaxIdleConnsPerHost: inFlight, MaxConnsPerHost: inFlight},
	}}
}

func (s *sender) close() { s.client.CloseIdleConnections() }

// send sends a delivery, which must be answered with a code.
func (s *sender) send(ctx context.Context, d delivery, want int) error {
	code, text, err := s.post(ctx, d)
	if err == nil && code != want {
		err = fmt.Errorf("a delivery was answered %d: %.500s", code, text)
	}
	return err
}

// post sends a delivery, and returns the answer's code and text.
func (s *sender) post(ctx context.Context, d delivery) (code int, text []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(d.body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-SIGNATURE", d.signature)
	res, err := s.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	text, err = io.ReadAll(res.Body)
	return res.StatusCode, text, err
}
