// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
)

// refusal is why a delivery was not taken whole, in one word. It is a metric's label.
type refusal string

const (
	refusedMethod  refusal = "method"
	refusedUnknown refusal = "unknown_path"
	// refusedNotStarted: the caches are not there yet.
	refusedNotStarted refusal = "not_started"
	refusedSuspended  refusal = "suspended"
	refusedNoKeys     refusal = "no_keys"
	// refusedKeysUnread: the API server was away before the keys were read for the first time.
	refusedKeysUnread refusal = "keys_unread"
	// refusedBacklog: limits.maxUnfinishedTasks is reached.
	refusedBacklog       refusal = "backlog"
	refusedInFlight      refusal = "in_flight"
	refusedInFlightBytes refusal = "in_flight_bytes"
	refusedTooLarge      refusal = "too_large"
	refusedUnreadable    refusal = "unreadable"
	refusedSignature     refusal = "signature"
	refusedMalformed     refusal = "malformed"
	refusedTooManyEvents refusal = "too_many_events"
	refusedInvalidEvents refusal = "invalid_events"
	// refusedNotStored: the API server did not take a task, and the delivery was not spooled.
	refusedNotStored refusal = "not_stored"
	// refusedSpoolFull and refusedSpoolFailed: the API server did not take a task, and the spool not the delivery.
	refusedSpoolFull   refusal = "spool_full"
	refusedSpoolFailed refusal = "spool_failed"
	refusedPanic       refusal = "panic"
)

// refusedAtBounds are the refusals that alerts count. Their series of a receiver begin at 0, before the first of them.
var refusedAtBounds = []refusal{refusedBacklog, refusedInFlight, refusedInFlightBytes, refusedSpoolFull, refusedSpoolFailed}

// refusalInterval is how often a refusal is logged for each receiver.
const refusalInterval = time.Second

// refusalLog logs, for the owner, why deliveries are refused. Anybody can cause refusals, so they are thinned out.
type refusalLog struct {
	logger logr.Logger
	now    func() time.Time

	mu    sync.Mutex
	marks map[types.NamespacedName]refusalMark
}

type refusalMark struct {
	next    time.Time
	skipped int
}

func newRefusalLog(logger logr.Logger, now func() time.Time) *refusalLog {
	return &refusalLog{logger: logger, now: now, marks: map[types.NamespacedName]refusalMark{}}
}

// log logs a refusal by a receiver. Requests to unknown paths share one line a second. It returns
// whether it logged this one, and how many it did not log before.
func (l *refusalLog) log(receiver types.NamespacedName, a answer) (skipped int, logged bool) {
	l.mu.Lock()
	mark := l.marks[receiver]
	now := l.now()
	if now.Before(mark.next) {
		mark.skipped++
		l.marks[receiver] = mark
		l.mu.Unlock()
		return 0, false
	}
	skipped = mark.skipped
	l.marks[receiver] = refusalMark{next: now.Add(refusalInterval)}
	l.mu.Unlock()

	l.logger.Info("Refused a delivery", "namespace", receiver.Namespace, "receiver", receiver.Name, "code", a.code,
		"reason", a.why(), "notLogged", skipped)
	return skipped, true
}

// why says for the owner why a delivery is refused.
func (a answer) why() string {
	if a.reason != nil {
		return a.reason.Error()
	}
	return http.StatusText(a.code)
}
