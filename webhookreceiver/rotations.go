// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// Bounds of waiting for keys that the controllers fetch. Anybody can send a signature that does not match.
const (
	// rotationPatience is how long a delivery waits.
	rotationPatience = 4 * time.Second
	// rotationLook is how often it looks into the cache for news.
	rotationLook         = 50 * time.Millisecond
	maxWaitersOfReceiver = 16
	maxWaiters           = 128
)

// rotations are the deliveries that wait for newer keys.
type rotations struct {
	receivers lookup
	patience  time.Duration

	mu      sync.Mutex
	waiters map[types.NamespacedName]int
	all     int
}

func newRotations(receivers lookup) *rotations {
	return &rotations{receivers: receivers, patience: rotationPatience, waiters: map[types.NamespacedName]int{}}
}

// enter admits a delivery, if there is room. The caller calls leave when it waits no more.
func (r *rotations) enter(receiver types.NamespacedName) (leave func(), ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiters[receiver] >= maxWaitersOfReceiver || r.all >= maxWaiters {
		return nil, false
	}
	r.waiters[receiver]++
	r.all++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.all--
		if r.waiters[receiver]--; r.waiters[receiver] == 0 {
			delete(r.waiters, receiver)
		}
	}, true
}

// await waits until the status of a receiver, as it was known to a delivery, tells of other keys, or of the same ones
// fetched at another time, and newer returns them. It returns nil where that does not come in time, or where the receiver is not the same any more.
func (r *rotations) await(ctx context.Context, known *accessv1alpha1.WebhookReceiver, newer func() *heldKeys) *heldKeys {
	patience := time.NewTimer(r.patience)
	defer patience.Stop()
	look := time.NewTicker(rotationLook)
	defer look.Stop()
	last := known.Status.FetchedKeys
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-patience.C:
			// Those who fetch store the keys before they tell of them.
			return newer()
		case <-look.C:
		}
		now, err := r.receivers.find(ctx, client.ObjectKeyFromObject(known))
		if err != nil {
			continue
		}
		if now.UID != known.UID || now.Generation != known.Generation {
			return nil
		}
		if !equality.Semantic.DeepEqual(now.Status.FetchedKeys, last) {
			last = now.Status.FetchedKeys
			if held := newer(); held != nil {
				return held
			}
		}
	}
}

// fetchesKeys says whether keys are fetched for a receiver.
func fetchesKeys(receiver *accessv1alpha1.WebhookReceiver) bool {
	rsa := receiver.Spec.Verification.RSA
	return rsa != nil && rsa.FetchFrom != ""
}
