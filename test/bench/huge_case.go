// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// hugeBody sends a body that is far too large, once with its length announced and once without.
func hugeBody(ctx context.Context, b *bench, name string) error {
	r, err := b.startReceiving(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	// What the first deliveries take stays.
	if _, err := r.receive(ctx, load{receiver: receiverHMAC, sign: signHMAC, objects: 200, batch: 1, inFlight: bareInFlight}); err != nil {
		return err
	}
	for _, announced := range []bool{true, false} {
		how := "without a Content-Length"
		if announced {
			how = "with a Content-Length"
		}
		before, err := r.manager.memory("VmRSS")
		if err != nil {
			return err
		}
		highest, err := r.manager.whileHighest(ctx, func(ctx context.Context) error { return r.sendHuge(ctx, announced) })
		if err != nil {
			return err
		}
		b.hold(name, "growth of resident memory, 300 MB "+how, "MiB", one(float64(max(highest-before, 0))/mebibyte), hugeBudget)
	}
	return nil
}

const (
	hugeBytes = 300_000_000
	// hugeBudget is how much a manager may grow, in MiB.
	hugeBudget = 8
)

// zeros is a body of nothing but zeros.
type zeros struct{ left int64 }

// Read implements io.Reader.
func (z *zeros) Read(p []byte) (int, error) {
	n := min(int64(len(p)), z.left)
	clear(p[:n])
	z.left -= n
	if z.left == 0 {
		return int(n), io.EOF
	}
	return int(n), nil
}

// sendHuge sends a huge body, which must be refused for that.
func (r *receiving) sendHuge(ctx context.Context, announced bool) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url(receiverHMAC), &zeros{left: hugeBytes})
	if err != nil {
		return err
	}
	req.ContentLength = -1
	if announced {
		req.ContentLength = hugeBytes
	}
	req.Header.Set("X-SIGNATURE", "x")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		return errors.New("a huge body was answered " + res.Status)
	}
	return nil
}

// whileHighest runs something, and returns the most that is resident meanwhile and for a moment after it, in bytes.
func (m *manager) whileHighest(ctx context.Context, run func(context.Context) error) (int64, error) {
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	var highest int64
	// Nothing is read any more then.
	left := 100
	for {
		now, err := m.memory("VmRSS")
		if err != nil {
			return 0, err
		}
		highest = max(highest, now)
		select {
		case err := <-ended:
			if err != nil {
				return 0, err
			}
			ended = nil
		case <-time.After(5 * time.Millisecond):
		}
		if ended == nil {
			if left--; left == 0 {
				return highest, nil
			}
		}
	}
}
