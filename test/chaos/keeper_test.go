// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"sync"
	"time"
)

// keeper starts a manager again whenever it ended, as a kubelet does.
type keeper struct {
	mu      sync.Mutex
	now     *process
	started int
	ended   bool
}

// keepUp starts the manager, and keeps it up until the test ends.
func (r *rig) keepUp(args ...string) *keeper {
	r.t.Helper()
	r.start(args...)
	k := &keeper{now: r.manager, started: 1}
	var running sync.WaitGroup
	running.Go(func() {
		for p := k.now; p != nil; p = k.again(r, args) {
			<-p.ended
			// One that cannot start does not keep the machine busy.
			time.Sleep(200 * time.Millisecond)
		}
	})
	r.t.Cleanup(func() {
		k.mu.Lock()
		k.ended = true
		k.mu.Unlock()
		k.kill()
		running.Wait()
	})
	return k
}

// again starts a manager; nil where the test ends, or where that fails.
func (k *keeper) again(r *rig, args []string) *process {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		return nil
	}
	p, err := r.tryLaunch(program("manager"), args...)
	if err != nil {
		r.t.Error(err)
		return nil
	}
	k.now = p
	k.started++
	return p
}

// kill ends the manager at once.
func (k *keeper) kill() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now.kill()
}

// restarts is how often the manager was started again.
func (k *keeper) restarts() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.started - 1
}
