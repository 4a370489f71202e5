// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/webhookkeys"
)

// When keys are read again.
const (
	keysMaxAge = 30 * time.Second
	// keysMinAge is how old keys must be before a signature that does not match, or trouble with the API server, has
	// them read again.
	keysMinAge      = time.Second
	keysReadTimeout = 5 * time.Second
	// maxForcedReads bounds, over all receivers, the reads a second that wrong signatures cause.
	maxForcedReads = 20
)

// keyCache holds the keys of the receivers.
type keyCache struct {
	live   client.Reader
	now    func() time.Time
	forced *rate.Limiter

	mu      sync.Mutex
	entries map[types.NamespacedName]*keyEntry
}

// keyEntry holds the keys of one receiver.
type keyEntry struct {
	// reading is held by whoever reads the keys.
	reading sync.Mutex
	held    atomic.Pointer[heldKeys]
}

// heldKeys are keys as they were read. They do not change.
type heldKeys struct {
	uid        types.UID
	generation int64
	keys       webhookkeys.Keys
	// err is why there are no keys: the API server was away.
	err error
	// readAt is when they were last read, well or not; validUntil is when they are due to be read again.
	readAt, validUntil time.Time
}

func newKeyCache(live client.Reader, now func() time.Time) *keyCache {
	return &keyCache{live: live, now: now, forced: rate.NewLimiter(maxForcedReads, maxForcedReads), entries: map[types.NamespacedName]*keyEntry{}}
}

// get returns a receiver's keys, not older than keysMaxAge unless the API server is away. The error says that there are
// none and that it is away.
func (c *keyCache) get(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver) (*heldKeys, error) {
	entry := c.entry(receiver)
	held := entry.holds(receiver)
	if held == nil || !c.now().Before(held.validUntil) {
		if held == nil || held.err != nil {
			entry.reading.Lock()
		} else if !entry.reading.TryLock() {
			// Somebody reads them; these are good until then.
			return held, nil
		}
		defer entry.reading.Unlock()
		held = entry.holds(receiver)
		if held == nil || !c.now().Before(held.validUntil) {
			held = c.read(ctx, entry, receiver)
		}
	}
	return held, held.err
}

// refresh reads the keys again after a signature did not match those in used, at most once a second for each receiver.
// It returns used where there is nothing newer.
func (c *keyCache) refresh(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver, used *heldKeys) *heldKeys {
	entry := c.entry(receiver)
	entry.reading.Lock()
	defer entry.reading.Unlock()
	held := entry.holds(receiver)
	switch {
	case held == nil:
		return used
	case c.now().Sub(held.readAt) < keysMinAge:
	case !c.forced.AllowN(c.now(), 1):
	default:
		held = c.read(ctx, entry, receiver)
	}
	if held.err != nil {
		return used
	}
	return held
}

// reread reads the keys again, unless others than those in used were fetched and read meanwhile. It returns used where the
// API server is away.
func (c *keyCache) reread(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver, used *heldKeys) *heldKeys {
	entry := c.entry(receiver)
	entry.reading.Lock()
	defer entry.reading.Unlock()
	held := entry.holds(receiver)
	if held == nil || held.keys.Fetched().Time.Equal(used.keys.Fetched().Time) {
		held = c.read(ctx, entry, receiver)
	}
	if held.err != nil {
		return used
	}
	return held
}

// forget drops the keys of a receiver that does not exist.
func (c *keyCache) forget(key types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, key)
}

func (c *keyCache) entry(receiver *accessv1alpha1.WebhookReceiver) *keyEntry {
	key := client.ObjectKeyFromObject(receiver)
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.entries[key]
	if !ok {
		entry = &keyEntry{}
		c.entries[key] = entry
	}
	return entry
}

// holds returns the keys that were read for exactly this receiver and spec, or nil.
func (e *keyEntry) holds(receiver *accessv1alpha1.WebhookReceiver) *heldKeys {
	held := e.held.Load()
	if held == nil || held.uid != receiver.UID || held.generation != receiver.Generation {
		return nil
	}
	return held
}

// read reads the keys. While the API server is away the last good keys of the same spec stay. The caller holds
// entry.reading. A sender that hangs up does not end the reading: others wait for it.
func (c *keyCache) read(ctx context.Context, entry *keyEntry, receiver *accessv1alpha1.WebhookReceiver) *heldKeys {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysReadTimeout)
	defer cancel()
	keys, _, err := webhookkeys.Load(ctx, c.live, receiver)
	now := c.now()
	held := &heldKeys{uid: receiver.UID, generation: receiver.Generation, keys: keys, err: err, readAt: now, validUntil: now.Add(keysMaxAge)}
	if err != nil {
		held.validUntil = now.Add(keysMinAge)
		if last := entry.holds(receiver); last != nil && last.err == nil {
			held.keys, held.err = last.keys, nil
		}
	}
	entry.held.Store(held)
	return held
}
