// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// grants is a delivery of n events like Cakewalk's.
func grants(tb testing.TB, n int) []byte {
	tb.Helper()
	batch, err := os.ReadFile(filepath.Join("testdata", "batch.json"))
	if err != nil {
		tb.Fatal(err)
	}
	elements, err := split(batch, 10)
	if err != nil || len(elements) == 0 {
		tb.Fatal(len(elements), err)
	}
	all := make([][]byte, n)
	for i := range all {
		all[i] = bytes.ReplaceAll(elements[0], []byte("0b0f1e57"), fmt.Appendf(nil, "%08x", i))
	}
	return fmt.Appendf(nil, "[%s]", bytes.Join(all, []byte(",")))
}

// BenchmarkDecode decodes deliveries of grants with every field.
func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 100} {
		body := grants(b, n)
		b.Run(fmt.Sprintf("%d events", n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if events, err := Decode(body, n); err != nil || len(events) != n {
					b.Fatal(len(events), err)
				}
			}
		})
	}
}
