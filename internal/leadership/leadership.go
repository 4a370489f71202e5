// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package leadership tells whether this process still leads. A process that was stopped for a while, by a hypervisor or a
// debugger, does not notice by itself that another took over; its clock does.
package leadership

import (
	"context"
	"errors"
	"sync"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// margin is how long before the lease can be taken by another this process stops to change anything: a request that is
// sent then may take as long to have its effect.
const margin = 2 * time.Second

// ErrNotLeading means that another process may lead.
var ErrNotLeading = errors.New("this process may not lead any more: its lease was not renewed in time")

// Lock is the lock of a leader election that remembers when it was last renewed.
type Lock struct {
	resourcelock.Interface
	now func() time.Time

	mu sync.Mutex
	// until is when another can take the lease, by this process' clock; zero where this process has it not.
	until time.Time
}

// NewLock returns a lock that remembers the renewals of another one. now is the clock; nil is time.Now.
func NewLock(of resourcelock.Interface, now func() time.Time) *Lock {
	if now == nil {
		now = time.Now
	}
	return &Lock{Interface: of, now: now}
}

// Create implements resourcelock.Interface.
func (l *Lock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	start := l.now()
	err := l.Interface.Create(ctx, record)
	l.note(start, record, err)
	return err
}

// Update implements resourcelock.Interface.
func (l *Lock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	start := l.now()
	err := l.Interface.Update(ctx, record)
	l.note(start, record, err)
	return err
}

// note takes in a write that began at a time. Others count from when they see it, which is not earlier.
func (l *Lock) note(start time.Time, record resourcelock.LeaderElectionRecord, err error) {
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Time{}
	if record.HolderIdentity == l.Identity() {
		l.until = start.Add(time.Duration(record.LeaseDurationSeconds) * time.Second)
	}
}

// Leading returns nil while no other process can lead, and otherwise ErrNotLeading. Where there is no lock, none can.
func (l *Lock) Leading() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now().Add(margin).Before(l.until) {
		return nil
	}
	return ErrNotLeading
}
