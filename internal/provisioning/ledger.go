// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioning

import (
	"sync"
	"time"
)

// ledgerKeep is how long a removal is remembered. It is longer than one task's provisioning may take.
const ledgerKeep = 10 * time.Minute

// A Ledger remembers what was taken away in one target system a short while ago, so that two tasks at the same time are
// told from a target system that loses members: what one task removes on purpose must not alarm another. The zero value
// is ready; a nil Ledger remembers nothing.
type Ledger struct {
	mu      sync.Mutex
	removed map[removal]time.Time
}

type removal struct{ entitlement, accountID string }

// everything stands for every entitlement, or for every account.
const everything = ""

func (l *Ledger) note(entitlement, accountID string, now time.Time) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.removed == nil {
		l.removed = map[removal]time.Time{}
	}
	for r, t := range l.removed {
		if now.Sub(t) > ledgerKeep {
			delete(l.removed, r)
		}
	}
	l.removed[removal{entitlement, accountID}] = now
}

func (l *Ledger) has(entitlement, accountID string) bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range []removal{{entitlement, accountID}, {entitlement, everything}, {everything, accountID}} {
		if _, ok := l.removed[r]; ok {
			return true
		}
	}
	return false
}
