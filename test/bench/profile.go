// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// profileSeconds is how long the processor is watched.
const profileSeconds = 10

// profile runs a load over and over while the manager's processor time is sampled, and keeps the profile and that of the
// memory, where profiles are asked for.
func (b *bench) profile(ctx context.Context, name string, m *manager, run func(context.Context) error) error {
	if b.profiles == "" {
		return nil
	}
	loading, done := context.WithCancel(ctx)
	defer done()
	ended := make(chan error, 1)
	go func() {
		for loading.Err() == nil {
			if err := run(loading); err != nil && loading.Err() == nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	err := b.keepProfile(ctx, m, name+".cpu", fmt.Sprintf("/debug/pprof/profile?seconds=%d", profileSeconds))
	done()
	if failed := <-ended; failed != nil {
		return failed
	}
	if err != nil {
		return err
	}
	return b.keepProfile(ctx, m, name+".allocs", "/debug/pprof/allocs")
}

// keepProfile keeps one profile of the manager.
func (b *bench) keepProfile(ctx context.Context, m *manager, name, path string) error {
	text, err := m.get(ctx, m.profiles, path, time.Minute)
	if err != nil {
		return fmt.Errorf("profiling: %w", err)
	}
	file := filepath.Join(b.profiles, name+".pb.gz")
	b.progress("   %s", file)
	return os.WriteFile(file, text, 0o600)
}
