// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"errors"
	"io"
	"net/http"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// Bounds of what is in flight, over all receivers. One receiver may take half of each, so that a flood of one leaves room
// for the others.
const (
	maxInFlight      = 1024
	maxInFlightBytes = 64 << 20
	readChunk        = 8 << 10
)

var (
	errTooMany      = errors.New("too many deliveries are in flight")
	errTooManyBytes = errors.New("too many bytes are in flight")
)

// admission bounds the deliveries in flight, and the bytes of their bodies.
type admission struct {
	maxBody int64
	// all bounds the use of all receivers, and each that of one.
	all, each use

	mu    sync.Mutex
	total use
	// used holds the receivers that have deliveries in flight.
	used map[types.NamespacedName]*use
}

// use is how many deliveries are in flight, and the bytes of their bodies that have arrived.
type use struct {
	deliveries, bytes int64
}

func newAdmission(maxBody int64) *admission {
	return &admission{
		maxBody: maxBody,
		all:     use{deliveries: maxInFlight, bytes: max(maxInFlightBytes, 2*maxBody)},
		each:    use{deliveries: maxInFlight / 2, bytes: max(maxInFlightBytes/2, maxBody)},
		used:    map[types.NamespacedName]*use{},
	}
}

// enter admits a delivery to a receiver, if there is room. The caller calls leave when it is answered and what it took of
// the bytes is given back.
func (a *admission) enter(receiver types.NamespacedName) (leave func(), ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	own := a.used[receiver]
	if own == nil {
		own = &use{}
	}
	if a.total.deliveries >= a.all.deliveries || own.deliveries >= a.each.deliveries {
		return nil, false
	}
	a.total.deliveries++
	own.deliveries++
	a.used[receiver] = own
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.total.deliveries--
		if own.deliveries--; own.deliveries == 0 {
			delete(a.used, receiver)
		}
	}, true
}

// take takes n bytes for a receiver that has a delivery in flight, whether there is room or not, and says which.
func (a *admission) take(receiver types.NamespacedName, n int64) (room bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	own := a.used[receiver]
	a.total.bytes += n
	own.bytes += n
	return a.total.bytes <= a.all.bytes && own.bytes <= a.each.bytes
}

// inFlight returns what is in flight.
func (a *admission) inFlight() use {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.total
}

// read reads the body of a delivery that entered. Bytes count as in flight when they have arrived and not when they are
// announced, so that a sender who only promises takes no room from others. The caller calls free when the body is no
// longer used, also on an error, which is a *http.MaxBytesError, errTooManyBytes or one of the connection.
func (a *admission) read(w http.ResponseWriter, r *http.Request, receiver types.NamespacedName) (body []byte, free func(), err error) {
	var held int64
	free = func() { a.take(receiver, -held) }
	if r.ContentLength > a.maxBody {
		return nil, free, &http.MaxBytesError{Limit: a.maxBody}
	}
	reader := http.MaxBytesReader(w, r.Body, a.maxBody)
	chunk := make([]byte, readChunk)
	for {
		n, err := reader.Read(chunk)
		held += int64(n)
		if !a.take(receiver, int64(n)) {
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
