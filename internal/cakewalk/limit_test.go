// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
)

// inProcess returns a client that reaches a fake without a network, so that a test's own clock tells the time.
func inProcess(t *testing.T, f *cakewalktest.Fake, gate *cakewalk.Gate) *cakewalk.Client {
	t.Helper()
	f.ServedAt("http://cakewalk.example")
	c, err := cakewalk.NewClient(cakewalk.ClientOptions{BaseURL: f.URL, Key: f.Key, Secret: f.Secret, Gate: gate, Transport: f.Transport()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// approveAll reads and approves tasks with several workers, each as often as it is told to come again.
func approveAll(ctx context.Context, t *testing.T, c *cakewalk.Client, ids []string) {
	t.Helper()
	queue := make(chan string)
	var workers sync.WaitGroup
	for range 32 {
		workers.Go(func() {
			for id := range queue {
				again(ctx, t, func() error { _, err := c.Task(ctx, id); return err })
				again(ctx, t, func() error { return c.Approve(ctx, id, nil) })
			}
		})
	}
	for _, id := range ids {
		queue <- id
	}
	close(queue)
	workers.Wait()
}

// again repeats a call while the client's own limit holds it back. A 429 of the fake's is an error.
func again(ctx context.Context, t *testing.T, call func() error) {
	t.Helper()
	for {
		err := call()
		of, ok := errors.AsType[*cakewalk.APIError](err)
		switch {
		case err == nil, ctx.Err() != nil:
			return
		case !ok || of.Fault != cakewalk.FaultRateLimited || of.Status != 0 || of.After <= 0:
			t.Error(err)
			return
		}
		time.Sleep(of.After)
	}
}

func TestTenThousandApprovalsStayUnderTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := cakewalktest.New(cakewalktest.Options{})
		var ids []string
		for range 10_000 {
			ids = append(ids, f.AddTask(cakewalktest.Task{}))
		}
		start := time.Now()
		approveAll(t.Context(), t, inProcess(t, f, nil), ids)
		for _, id := range ids {
			if task, _ := f.Task(id); task.Status != cakewalktest.StatusApproved {
				t.Fatalf("task %s is %s", id, task.Status)
			}
		}
		if got := len(f.Requests()); got != 20_000 {
			t.Errorf("%d requests, want one for each read and each approval", got)
		}
		if got := f.MaxPerMinute(); got > 900 || got < 800 {
			t.Errorf("%d requests in a minute, want about 890", got)
		}
		if took := time.Since(start); took > 25*time.Minute {
			t.Errorf("took %s: the limit holds back more than it must", took)
		}
	})
}

func TestANewLeaderStaysUnderTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := cakewalktest.New(cakewalktest.Options{})
		var ids []string
		for range 4000 {
			ids = append(ids, f.AddTask(cakewalktest.Task{}))
		}
		// The worst moment: all of the old leader's minute and the new one's burst fall into 60 seconds.
		old, end := context.WithTimeout(t.Context(), 59*time.Second)
		defer end()
		approveAll(old, t, inProcess(t, f, nil), ids[:2000])
		approveAll(t.Context(), t, inProcess(t, f, nil), ids[2000:])
		if got := f.MaxPerMinute(); got > 1000 || got < 900 {
			t.Errorf("%d requests in a minute, want about 940", got)
		}
	})
}

func TestBackgroundRequestsLeaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := cakewalktest.New(cakewalktest.Options{})
		c := inProcess(t, f, nil)
		id := f.AddTask(cakewalktest.Task{})
		ctx, end := context.WithTimeout(t.Context(), 5*time.Minute)
		defer end()
		var all sync.WaitGroup
		counts := make([]int, 2)
		for i, client := range []*cakewalk.Client{c, c.Background()} {
			var mu sync.Mutex
			for range 100 {
				all.Go(func() {
					for ctx.Err() == nil {
						_, err := client.Task(ctx, id)
						if err == nil {
							mu.Lock()
							counts[i]++
							mu.Unlock()
							continue
						}
						time.Sleep(time.Second)
					}
				})
			}
		}
		all.Wait()
		// How much of their share those in the background get is for chance to say, where all others ask for more.
		if counts[1] > 4*300+8 || counts[1] < 300 || counts[0] < 10*300-100 {
			t.Errorf("%d requests and %d background ones in 5 minutes, want 3000 or more, and 1200 at most", counts[0], counts[1])
		}
	})
}

func TestWhoWaitsIsHeldBackWhenTheClientCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := cakewalktest.New(cakewalktest.Options{})
		c := inProcess(t, f, nil)
		id := f.AddTask(cakewalktest.Task{})
		// The 60th request is the 10th of those that had to wait.
		f.Inject(cakewalktest.Fault{Match: func(*http.Request) bool { return len(f.Requests()) == 60 }, Status: 429, RetryAfter: 30})
		var refused atomic.Int32
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				_, err := c.Task(t.Context(), id)
				if of, ok := errors.AsType[*cakewalk.APIError](err); ok && of.Fault == cakewalk.FaultRateLimited {
					refused.Add(1)
				}
			})
		}
		all.Wait()
		if got := len(f.Requests()); got != 60 || refused.Load() != 41 {
			t.Errorf("%d requests and %d refused, want 60 and 41", got, refused.Load())
		}
	})
}
