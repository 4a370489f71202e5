// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"
	"time"
)

// spread is the median of several runs, with the lowest and the highest.
type spread struct {
	Median float64 `json:"median"`
	Lowest float64 `json:"lowest"`
	// Highest is the same as Lowest where there was one run.
	Highest float64 `json:"highest"`
	Runs    int     `json:"runs"`
}

func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return spread{}
	}
	return spread{Median: (sorted[(n-1)/2] + sorted[n/2]) / 2, Lowest: sorted[0], Highest: sorted[n-1], Runs: n}
}

// each is the spread of what f says of each value.
func each[T any](all []T, f func(T) float64) spread {
	values := make([]float64, len(all))
	for i, v := range all {
		values[i] = f(v)
	}
	return spreadOf(values)
}

// percentile returns the duration that a share of all do not exceed (nearest rank).
func percentile(all []time.Duration, share float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[max(int(math.Ceil(share*float64(len(sorted))))-1, 0)]
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }
