// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/leaderelection"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"getcakewalk.io/access-operator/internal/leadership"
)

// renewDeadline is for how long a leader tries to renew its lease before it gives up, as controller-runtime has it.
const renewDeadline = 10 * time.Second

// newLock returns the lock that elects the leader of the controllers, nil where none is elected: receivers need none. end
// ends its events.
func newLock(o options, config *rest.Config, scheme *runtime.Scheme) (lock *leadership.Lock, end func(), err error) {
	if !o.leaderElect || !o.control {
		return nil, func() {}, nil
	}
	core, err := typedcorev1.NewForConfig(config)
	if err != nil {
		return nil, nil, fmt.Errorf("making a client for events: %w", err)
	}
	events := record.NewBroadcaster()
	events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: core.Events("")})
	inner, err := leaderelection.NewResourceLock(config, leaderEvents{events: events, scheme: scheme}, leaderelection.Options{
		LeaderElection:          true,
		LeaderElectionID:        leaseName(o.selector),
		LeaderElectionNamespace: o.leaderElectionNamespace,
		RenewDeadline:           renewDeadline,
	})
	if err != nil {
		events.Shutdown()
		return nil, nil, fmt.Errorf("making the lock that elects the leader: %w", err)
	}
	return leadership.NewLock(inner, nil), events.Shutdown, nil
}

// leaseName is the name of the lease that elects the leader: one for each part of an installation that is split.
func leaseName(selector labels.Selector) string {
	if selector.Empty() {
		return leaderElectionID
	}
	sum := sha256.Sum256([]byte(selector.String()))
	return "access-operator-" + hex.EncodeToString(sum[:4]) + ".access.getcakewalk.io"
}

// leaderEvents records the events of the election, which know the older API alone.
type leaderEvents struct {
	recorder.Provider
	events record.EventBroadcaster
	scheme *runtime.Scheme
}

// GetEventRecorderFor implements recorder.Provider.
func (l leaderEvents) GetEventRecorderFor(name string) record.EventRecorder {
	return l.events.NewRecorder(l.scheme, corev1.EventSource{Component: name})
}
