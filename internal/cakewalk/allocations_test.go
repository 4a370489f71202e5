// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !race

package cakewalk

import "testing"

// The race detector allocates for itself, so that these are counted without it.
func TestDecodeAllocations(t *testing.T) {
	const perEvent = 150
	for _, n := range []int{1, 100} {
		body := grants(t, n)
		got := testing.AllocsPerRun(20, func() {
			if events, err := Decode(body, n); err != nil || len(events) != n {
				t.Fatal(len(events), err)
			}
		})
		if got > float64(n*perEvent) {
			t.Errorf("%d events take %.0f allocations, at most %d are right", n, got, n*perEvent)
		}
	}
}
