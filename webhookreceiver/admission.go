// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// Bounds of what is in flight, over all receivers.
const (
	maxInFlight      = 1024
	maxInFlightBytes = 64 << 20
	readChunk        = 8 << 10
)

var errTooManyBytes = errors.New("too many bytes are in flight")

// admission bounds the deliveries in flight, and the bytes of their bodies.
type admission struct {
	maxBody  int64
	maxBytes int64

	deliveries atomic.Int64
	bytes      atomic.Int64
}

func newAdmission(maxBody int64) *admission {
	return &admission{maxBody: maxBody, maxBytes: max(maxInFlightBytes, maxBody)}
}

// enter admits a delivery, if there is room. The caller calls leave when it is answered.
func (a *admission) enter() (leave func(), ok bool) {
	leave = func() { a.deliveries.Add(-1) }
	if a.deliveries.Add(1) > maxInFlight {
		leave()
		return nil, false
	}
	return leave, true
}

// read reads a body. Bytes count as in flight when they have arrived and not when they are announced, so that a sender
// who only promises takes no room from others. The caller calls free when the body is no longer used, also on an error,
// which is a *http.MaxBytesError, errTooManyBytes or one of the connection.
func (a *admission) read(w http.ResponseWriter, r *http.Request) (body []byte, free func(), err error) {
	var held int64
	free = func() { a.bytes.Add(-held) }
	if r.ContentLength > a.maxBody {
		return nil, free, &http.MaxBytesError{Limit: a.maxBody}
	}
	reader := http.MaxBytesReader(w, r.Body, a.maxBody)
	chunk := make([]byte, readChunk)
	for {
		n, err := reader.Read(chunk)
		held += int64(n)
		if a.bytes.Add(int64(n)) > a.maxBytes {
			return nil, free, errTooManyBytes
		}
		body = append(body, chunk[:n]...)
		if errors.Is(err, io.EOF) {
			return body, free, nil
		}
		if err != nil {
			return nil, free, err
		}
	}
}
