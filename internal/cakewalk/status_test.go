// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk_test

import (
	"testing"

	"getcakewalk.io/access-operator/internal/cakewalk"
)

func TestIsClosed(t *testing.T) {
	for status, want := range map[string]struct{ closed, done bool }{
		"Approved":   {true, true},
		"approved":   {true, true},
		"Completed":  {true, true},
		"Declined":   {true, false},
		"Cancelled":  {true, false},
		"Canceled":   {true, false},
		"Pending":    {false, false},
		"InProgress": {false, false},
		"Failed":     {false, false},
		"Snoozed":    {false, false},
		"":           {false, false},
	} {
		if closed, done := cakewalk.IsClosed(status); closed != want.closed || done != want.done {
			t.Errorf("IsClosed(%q) = %t, %t, want %t, %t", status, closed, done, want.closed, want.done)
		}
	}
}

func TestIsOpen(t *testing.T) {
	for _, tc := range []struct {
		status string
		open   []string
		want   bool
	}{
		{"Pending", nil, true},
		{"NeverHeardOf", nil, true},
		{"Approved", nil, false},
		{"Pending", []string{"Pending"}, true},
		{"pending", []string{"Pending"}, true},
		{"NeverHeardOf", []string{"Pending"}, false},
		{"Completed", []string{"Completed"}, true},
	} {
		if got := cakewalk.IsOpen(tc.status, tc.open); got != tc.want {
			t.Errorf("IsOpen(%q, %q) = %t, want %t", tc.status, tc.open, got, tc.want)
		}
	}
}
