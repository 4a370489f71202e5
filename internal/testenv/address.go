// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreeAddress is FindFreeAddress for tests.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	address, err := FindFreeAddress(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return address
}

// FindFreeAddress returns an address on loopback that nobody listens at. Its port is below those that a kernel gives to whoever
// does not care, so that none of those takes it before the caller's own program does.
func FindFreeAddress(ctx context.Context) (string, error) {
	const first, last = 10240, 32767
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(last-first+1)) //nolint:gosec // a port is no secret
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			continue
		}
		return address, l.Close()
	}
	return "", errors.New("no port is free")
}
