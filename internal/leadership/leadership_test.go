// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"context"
	"errors"
	"testing"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

type fakeLock struct {
	resourcelock.Interface
	err error
}

func (f *fakeLock) Identity() string                                                { return "me" }
func (f *fakeLock) Create(context.Context, resourcelock.LeaderElectionRecord) error { return f.err }
func (f *fakeLock) Update(context.Context, resourcelock.LeaderElectionRecord) error { return f.err }

func TestALeaseThatIsNotRenewedIsNotCountedOn(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	fake := &fakeLock{}
	l := NewLock(fake, func() time.Time { return now })
	record := resourcelock.LeaderElectionRecord{HolderIdentity: "me", LeaseDurationSeconds: 15}
	steps := []struct {
		what    string
		pass    time.Duration
		act     func() error
		leading bool
	}{
		{"nothing was written", 0, nil, false},
		{"the lease was made", 0, func() error { return l.Create(t.Context(), record) }, true},
		{"it is fresh", 12 * time.Second, nil, true},
		{"it is almost over", time.Second, nil, false},
		{"it was renewed", 0, func() error { return l.Update(t.Context(), record) }, true},
		{"a renewal failed", 13 * time.Second, func() error {
			fake.err = errors.New("away")
			_ = l.Update(t.Context(), record)
			fake.err = nil
			return nil
		}, false},
		{"it was renewed again", 0, func() error { return l.Update(t.Context(), record) }, true},
		{"it was given back", 0, func() error {
			return l.Update(t.Context(), resourcelock.LeaderElectionRecord{LeaseDurationSeconds: 1})
		}, false},
	}
	for _, s := range steps {
		now = now.Add(s.pass)
		if s.act != nil {
			if err := s.act(); err != nil {
				t.Fatal(err)
			}
		}
		if got := l.Leading() == nil; got != s.leading {
			t.Errorf("%s: leading is %v", s.what, got)
		}
	}
}
