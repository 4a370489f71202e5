// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioningtest

import (
	"context"
	"errors"
	"slices"
	"time"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// interruptions are the cases in which the operator itself stops half-way.
func (s *suite) interruptions() []conformance {
	fails := when(slices.Contains(s.traits.Faults, Fail), "the proxy cannot fail")
	return []conformance{
		{name: "a crash after the write and before it was recorded", run: crashAfterWrite},
		{name: "a change upwards that is interrupted half-way", unless: fails, run: interruptedUp},
		{name: "a change downwards that is interrupted half-way", unless: fails, run: interruptedDown},
	}
}

// crashing ends the process, as far as the engine can tell, when a change was made.
type crashing struct {
	provisioning.Backend
	crash context.CancelFunc
}

func (b crashing) Apply(ctx context.Context, s provisioning.Subject, c provisioning.Change) error {
	err := b.Backend.Apply(ctx, s, c)
	b.crash()
	return err
}

func crashAfterWrite(c *scene) {
	for _, step := range []struct {
		kind provisioning.Kind
		want []string
	}{{provisioning.Grant, []string{c.ann, c.bob}}, {provisioning.Remove, []string{c.bob}}} {
		ctx, crash := context.WithCancel(c.Context())
		e := c.engine()
		e.Backend = crashing{e.Backend, crash}
		if _, err := c.provisionIn(ctx, e, c.ann, c.goal(step.kind, editor)); !errors.Is(err, context.Canceled) {
			c.Errorf("%s: %v, want that it was interrupted", step.kind, err)
		}
		c.holders(c.editors, step.want...)
		c.does(c.engine(), c.ann, c.goal(step.kind, editor))
		c.holders(c.editors, step.want...)
	}
}

func interruptedUp(c *scene) {
	e := c.engine()
	c.does(e, c.ann, c.goal(provisioning.Grant, viewer), provisioning.AddEntitlement)
	c.interrupted(e, c.goal(provisioning.ChangeLevel, editor))
	c.holders(c.editors, c.ann, c.bob)
	c.holders(c.viewers, c.ann, c.bob)
	c.does(c.engine(), c.ann, c.goal(provisioning.ChangeLevel, editor), provisioning.RemoveEntitlement)
	c.holders(c.editors, c.ann, c.bob)
	c.holders(c.viewers, c.bob)
}

func interruptedDown(c *scene) {
	e := c.engine()
	c.does(e, c.ann, c.goal(provisioning.Grant, editor), provisioning.AddEntitlement)
	c.interrupted(e, c.goal(provisioning.ChangeLevel, viewer))
	c.holders(c.editors, c.bob)
	c.holders(c.viewers, c.bob)
	c.does(c.engine(), c.ann, c.goal(provisioning.ChangeLevel, viewer), provisioning.AddEntitlement)
	c.holders(c.editors, c.bob)
	c.holders(c.viewers, c.ann, c.bob)
}

// interrupted lets the second change fail.
func (c *scene) interrupted(e *provisioning.Engine, g provisioning.Goal) {
	c.Helper()
	c.meets(Fail, Write, 1, func() {
		if _, err := c.provision(e, c.ann, g); provisioning.Word(err) != "retryable" {
			c.Errorf("%v, want a retryable error", err)
		}
	})
}

// meets injects a fault while f runs, and fails the test where no request met it: that would prove nothing.
func (c *scene) meets(f Fault, on Request, skip int, run func()) {
	c.Helper()
	c.target.Proxy().Inject(f, on, skip)
	run()
	if c.target.Proxy().Clear() == 0 {
		c.Errorf("no request met the fault %s", f)
	}
}

// faults are the cases in which the target system or the network fails.
func (s *suite) faults() []conformance {
	var cases []conformance
	add := func(name string, f Fault, run func(*scene)) {
		cases = append(cases, conformance{name: name, run: run, unless: when(slices.Contains(s.traits.Faults, f), "the protocol has nothing like it, or the proxy cannot inject it: "+string(f))})
	}
	add("too many requests, without Retry-After", Busy, func(c *scene) { c.busy(Busy, 0) })
	add("too many requests, with Retry-After", BusyForSeconds, func(c *scene) { c.busy(BusyForSeconds, RetryAfter*time.Second) })
	add("a failure before the write", Fail, failBefore)
	add("a failure after the write took effect", FailAfter, failAfter)
	add("credentials that are refused in the middle", Refuse, refused)
	add("a write that is accepted and does not happen", Swallow, swallowed)
	add("a target that hangs", Hang, hangs)
	return cases
}

func (c *scene) busy(f Fault, after time.Duration) {
	c.Helper()
	for _, on := range []Request{Read, Write} {
		e := c.engine()
		c.meets(f, on, 0, func() {
			_, err := c.provision(e, c.ann, c.goal(provisioning.Grant, editor))
			if busy, ok := errors.AsType[*provisioning.RetryableError](err); !ok || !busy.RateLimited || busy.After != after {
				c.Errorf("%v (%+v), want a retryable error that is rate limited and asks to wait for %s", err, busy, after)
			}
		})
		c.holders(c.editors, c.bob)
		c.does(e, c.ann, c.goal(provisioning.Grant, editor), provisioning.AddEntitlement)
		c.does(e, c.ann, c.goal(provisioning.Remove, editor), provisioning.RemoveEntitlement)
	}
}

func failBefore(c *scene) {
	for _, on := range []Request{Read, Write} {
		e := c.engine()
		c.meets(Fail, on, 0, func() { c.retryable(e, c.goal(provisioning.Grant, editor)) })
		c.holders(c.editors, c.bob)
		c.does(e, c.ann, c.goal(provisioning.Grant, editor), provisioning.AddEntitlement)
		c.meets(Fail, on, 0, func() { c.retryable(e, c.goal(provisioning.Remove, editor)) })
		c.holders(c.editors, c.ann, c.bob)
		c.does(e, c.ann, c.goal(provisioning.Remove, editor), provisioning.RemoveEntitlement)
	}
}

// retryable provisions ann and expects a retryable error, and that nothing is said to be in effect.
func (c *scene) retryable(e *provisioning.Engine, g provisioning.Goal) {
	c.Helper()
	changes, err := c.provision(e, c.ann, g)
	if provisioning.Word(err) != "retryable" {
		c.Errorf("%s: %v, want a retryable error", g.Kind, err)
	}
	for _, change := range changes {
		if change != "AddEntitlement Planned" && change != "RemoveEntitlement Planned" {
			c.Errorf("%s: %s", g.Kind, change)
		}
	}
}

// failAfter: what was answered does not count, what is seen does. Whoever cannot look at once, looks next time.
func failAfter(c *scene) {
	for _, step := range []struct {
		kind provisioning.Kind
		want []string
	}{{provisioning.Grant, []string{c.ann, c.bob}}, {provisioning.Remove, []string{c.bob}}} {
		e := c.engine()
		c.meets(FailAfter, Write, 0, func() {
			if _, err := c.provision(e, c.ann, c.goal(step.kind, editor)); err != nil && provisioning.Word(err) != "retryable" {
				c.Errorf("%s: %v", step.kind, err)
			}
		})
		c.holders(c.editors, step.want...)
		c.does(e, c.ann, c.goal(step.kind, editor))
		c.holders(c.editors, step.want...)
	}
}

func refused(c *scene) {
	for _, on := range []Request{Read, Write} {
		e := c.engine()
		c.meets(Refuse, on, 0, func() {
			_, err := c.provision(e, c.ann, c.goal(provisioning.Grant, editor))
			c.unauthorized(err)
		})
		c.holders(c.editors, c.bob)
		c.does(e, c.ann, c.goal(provisioning.Grant, editor), provisioning.AddEntitlement)
		c.does(e, c.ann, c.goal(provisioning.Remove, editor), provisioning.RemoveEntitlement)
	}
}

// unauthorized expects that an error says that the credentials are refused.
func (c *scene) unauthorized(err error) {
	c.Helper()
	c.holdsNoSecret(err)
	if unavailable, ok := errors.AsType[*provisioning.UnavailableError](err); !ok || unavailable.Reason != provisioning.ReasonUnauthorized {
		c.Errorf("%v, want an unavailable error with the reason %s", err, provisioning.ReasonUnauthorized)
	}
}

func swallowed(c *scene) {
	e := c.engine()
	c.meets(Swallow, Write, 0, func() { c.retryable(e, c.goal(provisioning.Grant, editor)) })
	c.holders(c.editors, c.bob)
	c.does(e, c.ann, c.goal(provisioning.Grant, editor), provisioning.AddEntitlement)
	c.meets(Swallow, Write, 0, func() { c.retryable(e, c.goal(provisioning.Remove, editor)) })
	c.holders(c.editors, c.ann, c.bob)
	c.does(e, c.ann, c.goal(provisioning.Remove, editor), provisioning.RemoveEntitlement)
	c.holders(c.editors, c.bob)
}

func hangs(c *scene) {
	for _, on := range []Request{Read, Write} {
		e := c.engine()
		c.meets(Hang, on, 0, func() { c.retryable(e, c.goal(provisioning.Grant, editor)) })
		c.holders(c.editors, c.bob)
		c.does(e, c.ann, c.goal(provisioning.Grant, editor), provisioning.AddEntitlement)
		c.does(e, c.ann, c.goal(provisioning.Remove, editor), provisioning.RemoveEntitlement)
	}
	e := c.engine()
	c.meets(Hang, Read, 0, func() {
		ctx, cancel := context.WithTimeout(c.Context(), patience)
		defer cancel()
		if err := e.Check(ctx); provisioning.Word(err) != "retryable" || ctx.Err() != nil {
			c.Errorf("check: %v, want a retryable error in time", err)
		}
	})
}

// credentials are the cases about the backend's own secret.
func (s *suite) credentials() []conformance {
	return []conformance{
		{name: "a check changes nothing and succeeds", run: func(c *scene) { c.check(c.target.Backend(c), "ok") }},
		{name: "a wrong secret is the connector's fault", unless: when(s.traits.WrongSecret != nil, "there is no secret"), run: func(c *scene) {
			c.unauthorized(c.check(c.traits.WrongSecret(c), "unavailable"))
		}},
		{name: "an address where nothing listens", unless: when(s.traits.Nowhere != nil, "there is no address"), run: func(c *scene) {
			err := c.check(c.traits.Nowhere(c), "retryable")
			if away, ok := errors.AsType[*provisioning.RetryableError](err); !ok || !away.Unreachable {
				c.Errorf("%v, want that it is unreachable", err)
			}
		}},
		{name: "a rotated secret", unless: when(s.traits.WrongSecret != nil, "there is no secret"), run: rotated},
	}
}

func (c *scene) check(b provisioning.Backend, want string) error {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	err := (&provisioning.Engine{Backend: b}).Check(ctx)
	c.holdsNoSecret(err)
	if provisioning.Word(err) != want || ctx.Err() != nil {
		c.Errorf("check: %v, want %s", err, want)
	}
	return err
}

// maxConnections is how many connections a backend may have open.
const maxConnections = 8

func rotated(c *scene) {
	old := c.engine()
	c.does(old, c.ann, c.goal(provisioning.Grant, editor), provisioning.AddEntitlement)
	c.target.Rotate(c)
	c.target.Proxy().Cut()
	var err error
	// A connection that was cut is found out by using it.
	for range maxConnections {
		if _, err = c.provision(old, c.ann, c.goal(provisioning.Remove, editor)); provisioning.Word(err) != "retryable" {
			break
		}
	}
	c.unauthorized(err)
	c.holders(c.editors, c.ann, c.bob)
	c.does(c.engine(), c.ann, c.goal(provisioning.Remove, editor), provisioning.RemoveEntitlement)
	c.holders(c.editors, c.bob)
}
