// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package limit keeps requests to target systems within a connector's rate.
package limit

import (
	"context"
	"errors"

	"golang.org/x/time/rate"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// Wait waits until a request may be sent; a nil limiter lets every one through. It returns ctx's error where that ended,
// and a *provisioning.RetryableError where the wait would last longer than ctx.
func Wait(ctx context.Context, limiter *rate.Limiter) error {
	if limiter == nil {
		return ctx.Err()
	}
	if err := limiter.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return provisioning.Retryable(errors.New("the connector's limit of requests leaves no room for this one in time"))
	}
	return nil
}
