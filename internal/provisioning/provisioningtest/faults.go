// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioningtest

import (
	"sync"
)

// faults decides which request meets which fault. The zero value injects none.
type faults struct {
	mu    sync.Mutex
	fault Fault
	on    Request
	skip  int
	met   int
	freed chan struct{}
}

// inject begins an injection.
func (f *faults) inject(fault Fault, on Request, skip int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.on, f.skip, f.met, f.freed = fault, on, skip, 0, make(chan struct{})
}

// clear ends the injection and lets go of everything that hangs.
func (f *faults) clear() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault != "" {
		close(f.freed)
	}
	f.fault = ""
	return f.met
}

// meet returns the fault that a request meets, empty for none, and what ends a hanging.
func (f *faults) meet(r Request) (Fault, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault == "" || r == Other || r != f.on {
		return "", nil
	}
	if f.skip > 0 {
		f.skip--
		return "", nil
	}
	f.met++
	return f.fault, f.freed
}
