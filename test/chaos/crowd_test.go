// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
)

const (
	crowdSize = 40
	appID     = "b95160f2-8a51-4d43-9c1a-0e2b3a2f7d11"
	// askedReceiver is the name of a receiver with an API to ask.
	askedReceiver = "asked"
	// anyLevel is the level of a removal of everything.
	anyLevel = -1
)

// crowd are people about whom requests are approved, one after the other, and what Cakewalk sends about them.
type crowd struct {
	*rig
	*target
	people []*person
	// receivers are the addresses of the managers' receivers: deliveries come to any of them.
	receivers []string
	// soonest and pause are how long a person's next request takes to come, at least and at most.
	soonest, pause time.Duration
	// asked is a Cakewalk that knows every second person's tasks, and is asked about them; nil for none.
	asked *cakewalktest.Fake

	sender  *http.Client
	sending sync.WaitGroup
	// enough ends the making of requests.
	enough context.CancelFunc
	mu     sync.Mutex
	codes  map[int]int
	fails  int
}

// person is somebody about whom requests are approved. While deliveries are sent it is the sender's alone.
type person struct {
	id, email string
	receiver  string
	random    *rand.Rand
	requests  []*request
	// last is the delivery that was taken last.
	last []byte
}

// request is an approved request.
type request struct {
	id, kind string
	level    int
}

// newCrowd makes a rig with a target and a crowd. Nothing is sent yet.
func newCrowd(r *rig, random *rand.Rand, pause time.Duration) *crowd {
	r.t.Helper()
	c := &crowd{
		rig: r, receivers: []string{r.receiver}, pause: pause, codes: map[int]int{},
		// No connection outlives a delivery: the next may come to another manager.
		sender: &http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}},
	}
	var staff []string
	for i := range crowdSize {
		p := &person{
			id: uuid.NewString(), email: fmt.Sprintf("user%d@example.com", i), receiver: "cakewalk",
			random: rand.New(rand.NewPCG(random.Uint64(), 0)),
		}
		c.people = append(c.people, p)
		if i%2 == 0 {
			staff = append(staff, p.email)
		}
	}
	c.target = newTarget(r, staff)
	return c
}

// start has everybody's deliveries sent, until stop.
func (c *crowd) start() {
	ctx := c.rig.t.Context()
	var more context.Context
	more, c.enough = context.WithCancel(ctx)
	c.rig.t.Cleanup(func() {
		c.enough()
		c.sending.Wait()
	})
	for _, p := range c.people {
		c.sending.Go(func() {
			for more.Err() == nil {
				select {
				case <-more.Done():
				case <-time.After(between(p.random, c.soonest, c.pause)):
					c.send(ctx, p)
				}
			}
		})
	}
}

// stop waits until every delivery was taken; no more come.
func (c *crowd) stop() {
	c.rig.t.Helper()
	c.enough()
	c.sending.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rig.t.Logf("answers %v, %d connections that ended without one", maps.Clone(c.codes), c.fails)
}

// answers returns how many deliveries were answered with a code.
func (c *crowd) answers(code int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.codes[code]
}

// send makes the next requests of a person, and delivers them until they are taken; now and then an older delivery comes
// once more.
func (c *crowd) send(ctx context.Context, p *person) {
	var events []any
	n := 1
	if c.asked == nil && p.random.IntN(4) == 0 {
		n = 2 + p.random.IntN(2)
	}
	for range n {
		r := p.next()
		p.requests = append(p.requests, r)
		events = append(events, p.event(r))
	}
	body, err := json.Marshal(events)
	if err != nil {
		c.rig.t.Error(err)
		return
	}
	if c.asked != nil {
		if _, err := c.asked.AddEvents(body); err != nil {
			c.rig.t.Error(err)
			return
		}
	}
	if c.deliver(ctx, p, body) && p.random.IntN(10) == 0 && p.last != nil {
		c.deliver(ctx, p, p.last)
	}
	p.last = body
}

// deliver sends a delivery until it is taken. It is false when the test ended before.
func (c *crowd) deliver(ctx context.Context, p *person, body []byte) bool {
	for pause := 50 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, time.Second) {
		code, err := c.post(ctx, c.sender, c.receivers[p.random.IntN(len(c.receivers))], p.receiver, bytes.NewReader(body), sign(body))
		c.mu.Lock()
		if err != nil {
			c.fails++
		} else {
			c.codes[code]++
		}
		c.mu.Unlock()
		if err == nil && code/100 == 2 {
			return true
		}
		select {
		case <-ctx.Done():
		case <-time.After(between(p.random, pause/2, pause)):
		}
	}
	return false
}

// next is a person's next request.
func (p *person) next() *request {
	r := &request{id: uuid.NewString(), level: p.random.IntN(len(levels))}
	switch n := p.random.IntN(20); {
	case n < 9:
		r.kind = accessv1alpha1.RequestTypeGrantAccess
	case n < 13:
		r.kind = accessv1alpha1.RequestTypeChangePermissionLevel
	case n < 16:
		r.kind = accessv1alpha1.RequestTypeRemoveAccess
	default:
		r.kind, r.level = accessv1alpha1.RequestTypeRemoveAccess, anyLevel
	}
	return r
}

// event is what Cakewalk sends about a request.
func (p *person) event(r *request) any {
	user := map[string]any{"id": p.id, "email": p.email, "fullName": p.email}
	metadata := map[string]any{
		"requestType": r.kind, "requestedBy": user, "reviewedBy": []any{}, "targetUser": user,
		"targetWorkApp": map[string]any{"id": appID, "name": "Chat"},
	}
	if r.level != anyLevel {
		metadata["permissionLevel"] = map[string]any{"id": uuid.NewSHA1(uuid.Nil, []byte(levels[r.level].name)), "name": levels[r.level].name}
	}
	return map[string]any{"eventType": "action_task.actionable", "data": map[string]any{"taskId": r.id, "assignedTo": []any{}, "requestMetadata": metadata}}
}
