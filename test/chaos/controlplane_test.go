// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// controlPlaneKills is how often etcd is killed, and the API server.
const controlPlaneKills = 10

func TestKilledControlPlane(t *testing.T) {
	random := chance(t)
	c := newCrowd(newRig(t, "cakewalk"), random, 10*time.Second)
	spool := filepath.Join(t.TempDir(), "spool")
	kept := c.keepUp("--receiver-spool-dir", spool)
	c.start()
	var order []bool
	for i := range 2 * controlPlaneKills {
		order = append(order, i%2 == 0)
	}
	random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for i, etcd := range order {
		time.Sleep(between(random, 500*time.Millisecond, 3*time.Second))
		var restart func()
		if etcd {
			restart = env.KillEtcd(t)
		} else {
			restart = env.KillAPIServer(t)
		}
		away := between(random, 0, 2*time.Second)
		if i%controlPlaneKills == 0 {
			// Longer than a delivery waits before it is spooled.
			away += 12 * time.Second
		}
		time.Sleep(away)
		if random.IntN(3) == 0 {
			// What is spooled outlives it.
			kept.kill()
		}
		restart()
	}
	c.stop()
	if c.answers(http.StatusAccepted) == 0 {
		t.Error("nothing was spooled")
	}
	c.judge()
	c.emptied(spool)
	t.Logf("the manager was started again %d times", kept.restarts())
}
