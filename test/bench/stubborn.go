// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// stubborn sends each delivery until it is answered 2xx.
type stubborn struct {
	*sender

	// taken is how many deliveries were answered 2xx.
	taken atomic.Int64
	mu    sync.Mutex
	// codes counts the answers by their code, and 0 what ended without one.
	codes map[int]int
}

// insist sends a delivery until it is answered 2xx.
func (s *stubborn) insist(ctx context.Context, d delivery) error {
	const most = time.Second
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, most) {
		code, _, err := s.post(ctx, d)
		if err != nil {
			code = 0
		}
		s.mu.Lock()
		s.codes[code]++
		s.mu.Unlock()
		if code/100 == 2 {
			s.taken.Add(1)
			return nil
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// awaitTaken returns when as many deliveries were answered 2xx.
func (s *stubborn) awaitTaken(ctx context.Context, n int) error {
	return await(ctx, storeWithin, "deliveries are answered 2xx", func() (bool, error) { return s.taken.Load() >= int64(n), nil })
}
