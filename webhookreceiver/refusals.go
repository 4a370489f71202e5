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

// log logs a refusal by a receiver. Requests to unknown paths share one line a second.
func (l *refusalLog) log(receiver types.NamespacedName, a answer) {
	l.mu.Lock()
	mark := l.marks[receiver]
	now := l.now()
	if now.Before(mark.next) {
		mark.skipped++
		l.marks[receiver] = mark
		l.mu.Unlock()
		return
	}
	skipped := mark.skipped
	l.marks[receiver] = refusalMark{next: now.Add(refusalInterval)}
	l.mu.Unlock()

	reason := http.StatusText(a.code)
	if a.reason != nil {
		reason = a.reason.Error()
	}
	l.logger.Info("Refused a delivery", "namespace", receiver.Namespace, "receiver", receiver.Name, "code", a.code,
		"reason", reason, "notLogged", skipped)
}
