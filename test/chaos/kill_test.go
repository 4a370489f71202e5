// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"flag"
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// kills is how often the manager is killed.
var kills = flag.Int("kills", 200, "how often TestKilledManagers kills")

func TestKilledManagers(t *testing.T) {
	random := chance(t)
	r := newRig(t, "cakewalk")
	c := newCrowd(r, random, 10*time.Second)
	spool := filepath.Join(t.TempDir(), "spool")
	args := []string{"--receiver-spool-dir", spool}
	c.start()
	for i := range *kills {
		p := r.launch(program("manager"), args...)
		r.manager = p
		low, high := 100*time.Millisecond, 1500*time.Millisecond
		if i%2 == 0 {
			// Some live until they are at work; others die while they start.
			r.ready(r.health)
			low = 0
		}
		select {
		case <-p.ended:
			t.Fatalf("manager %d ended by itself: %s", i, p.ProcessState)
		case <-time.After(between(random, low, high)):
		}
		p.kill()
	}
	r.start(args...)
	c.stop()
	c.judge()
	c.emptied(spool)
}

// emptied fails where anything is left in a spool.
func (c *crowd) emptied(spool string) {
	c.rig.t.Helper()
	env.Eventually(c.rig.t, func() error {
		for _, pattern := range []string{"*.delivery", "set-aside/*"} {
			if left, err := filepath.Glob(filepath.Join(spool, pattern)); err != nil || len(left) > 0 {
				return fmt.Errorf("left in the spool: %v %w", left, err)
			}
		}
		return nil
	})
}
