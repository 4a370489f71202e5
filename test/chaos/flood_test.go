// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	floodDeliveries = 5000
	floodInFlight   = 512
	// floodMemory is what the manager may have resident at most: well below the memory limit of the manifests.
	floodMemory = 384 << 20
)

// flood counts what becomes of deliveries.
type flood struct {
	*rig
	sender *http.Client
	mu     sync.Mutex
	// taken are the tasks of deliveries that were answered 2xx.
	taken map[string]bool
	codes map[int]int
	fails int
}

func newFlood(r *rig) *flood {
	return &flood{
		rig: r, taken: map[string]bool{}, codes: map[int]int{},
		sender: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: floodInFlight}},
	}
}

func (f *flood) note(code int, err error, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.fails++
		return
	}
	f.codes[code]++
	if code/100 == 2 && id != "" {
		f.taken[id] = true
	}
}

// good sends a delivery until it is taken, as a sender does that is told 503.
func (f *flood) good(ctx context.Context, receiver, email string) {
	body, id := grantOf(email)
	for pause := 50 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, time.Second) {
		code, err := f.post(ctx, f.sender, f.receiver, receiver, bytes.NewReader(body), sign(body))
		f.note(code, err, id)
		if err == nil && code != http.StatusServiceUnavailable {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// abandon sends half of a delivery and hangs up.
func (f *flood) abandon(ctx context.Context) {
	if connection, err := f.stall(ctx, "flooded"); err == nil {
		connection.Close()
	}
}

// stallers keep n deliveries that never end, until ctx ends.
func (f *flood) stallers(ctx context.Context, running *sync.WaitGroup, n int) {
	for range n {
		running.Go(func() {
			for ctx.Err() == nil {
				connection, err := f.stall(ctx, "flooded")
				if err != nil {
					continue
				}
				// Until the receiver has had enough of it, or the test.
				stop := context.AfterFunc(ctx, func() { connection.Close() })
				_, _ = connection.Read(make([]byte, 1))
				stop()
				connection.Close()
			}
		})
	}
}

func TestFlood(t *testing.T) {
	r := newRig(t, "flooded", "quiet")
	r.start()
	f := newFlood(r)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	before := r.memory("VmRSS")
	start := time.Now()

	noise, quiet := context.WithCancel(ctx)
	defer quiet()
	var stalled sync.WaitGroup
	f.stallers(noise, &stalled, 128)

	// The other receiver's deliveries are taken the first time that they are sent.
	var others sync.WaitGroup
	var served atomic.Int64
	others.Go(func() {
		for noise.Err() == nil {
			body, id := grantOf(fmt.Sprintf("quiet%d@example.com", served.Load()))
			code, err := f.post(ctx, f.sender, f.receiver, "quiet", bytes.NewReader(body), sign(body))
			f.note(code, err, id)
			if err != nil || code != http.StatusOK {
				t.Errorf("the quiet receiver answered %d %v", code, err)
				return
			}
			served.Add(1)
		}
	})

	large := strings.Repeat("x", 2<<20)
	var next atomic.Int64
	var senders sync.WaitGroup
	for range floodInFlight {
		senders.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= floodDeliveries {
					return
				}
				switch i % 10 {
				case 0:
					body, _ := grantOf("mallory@example.com")
					code, err := f.post(ctx, f.sender, f.receiver, "flooded", bytes.NewReader(body), sign([]byte("another")))
					f.note(code, err, "")
				case 1:
					code, err := f.post(ctx, f.sender, f.receiver, "flooded", strings.NewReader(large), "x")
					f.note(code, err, "")
				case 2:
					f.abandon(ctx)
				default:
					f.good(ctx, "flooded", fmt.Sprintf("user%d@example.com", i))
				}
			}
		})
	}
	senders.Wait()
	took := time.Since(start)
	quiet()
	others.Wait()
	stalled.Wait()
	if ctx.Err() != nil {
		t.Error("not every good delivery was taken in time")
	}
	if want := floodDeliveries * 7 / 10; len(f.taken) != want+int(served.Load()) {
		t.Errorf("%d deliveries were taken, not %d", len(f.taken), want+int(served.Load()))
	}
	if served.Load() == 0 {
		t.Error("the quiet receiver was not served")
	}
	tasks := r.tasks()
	for id := range f.taken {
		if !tasks[id] {
			t.Errorf("the task %s was answered 2xx and is not there", id)
		}
	}
	if len(tasks) != len(f.taken) {
		t.Errorf("%d tasks of %d deliveries", len(tasks), len(f.taken))
	}
	highest := r.memory("VmHWM")
	if highest > floodMemory {
		t.Errorf("%d MiB were resident", highest>>20)
	}
	t.Logf("%d deliveries, %d in flight, in %s; answers %v, %d connections that ended without one; %d of the quiet receiver; resident %d MiB before, %d MiB after, %d MiB at most",
		floodDeliveries, floodInFlight, took.Round(100*time.Millisecond), f.codes, f.fails, served.Load(), before>>20, r.memory("VmRSS")>>20, highest>>20)
}

func TestOneReceiverFullOfSlowSendersLeavesRoomForAnother(t *testing.T) {
	r := newRig(t, "flooded", "quiet")
	r.start()
	f := newFlood(r)
	var connections []net.Conn
	defer func() {
		for _, c := range connections {
			c.Close()
		}
	}()
	// More than all places of the process, not only of the receiver.
	for range 1200 {
		connection, err := r.stall(t.Context(), "flooded")
		if err != nil {
			t.Fatal(err)
		}
		connections = append(connections, connection)
	}
	send := func(receiver string) int {
		t.Helper()
		body, id := grantOf("ann@example.com")
		code, err := r.post(t.Context(), f.sender, r.receiver, receiver, bytes.NewReader(body), sign(body))
		if err != nil {
			t.Fatal(err)
		}
		f.note(code, nil, id)
		return code
	}
	env.Eventually(t, func() error {
		if code := send("flooded"); code != http.StatusServiceUnavailable {
			return fmt.Errorf("the flooded receiver answers %d", code)
		}
		return nil
	})
	for range 20 {
		if code := send("quiet"); code != http.StatusOK {
			t.Errorf("the quiet receiver answers %d", code)
		}
	}
	// Slow senders are cut off.
	env.Eventually(t, func() error {
		if code := send("flooded"); code != http.StatusOK {
			return fmt.Errorf("the flooded receiver answers %d", code)
		}
		return nil
	})
	tasks := r.tasks()
	for id := range f.taken {
		if !tasks[id] {
			t.Errorf("the task %s was answered 2xx and is not there", id)
		}
	}
}
