// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"errors"
	"net/http"

	"getcakewalk.io/access-operator/internal/webhookkeys"
)

func (d *delivery) checkSignature() *answer {
	err := d.verify(d.keys)
	if errors.Is(err, webhookkeys.ErrMismatch) {
		// The keys may have been rotated since they were read.
		read := d.handler.keys.refresh(d.request.Context(), d.receiver, d.keys)
		if read != d.keys {
			err = d.verify(read)
		}
		if errors.Is(err, webhookkeys.ErrMismatch) && fetchesKeys(d.receiver) {
			err = d.awaitFetch(read)
		}
	}
	if err != nil {
		a := refuse(refusedSignature, http.StatusUnauthorized, "", err)
		// RFC 9110 requires a challenge; this one says no more than that a signature is wanted.
		a.header = map[string]string{"WWW-Authenticate": "Signature"}
		return &a
	}
	d.verified = true
	return nil
}

func (d *delivery) verify(held *heldKeys) error { return held.keys.Verify(d.request.Header, d.body) }

// awaitFetch asks for newer keys than those, which do not match, and verifies with them if they come in time.
func (d *delivery) awaitFetch(read *heldKeys) error {
	d.handler.status.noteMismatch(d.key)
	leave, ok := d.handler.rotations.enter(d.key)
	if !ok {
		return webhookkeys.ErrMismatch
	}
	defer leave()
	newer := d.handler.rotations.await(d.request.Context(), d.receiver, func() *heldKeys {
		held := d.handler.keys.reread(d.request.Context(), d.receiver, read)
		if held.keys.Fetched().Time.Equal(read.keys.Fetched().Time) {
			return nil
		}
		return held
	})
	if newer == nil {
		return webhookkeys.ErrMismatch
	}
	return d.verify(newer)
}
