// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioningtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// An ExecutorTarget is a system that carries out whole tasks for an Executor. All methods but Executor and Proxy speak to
// the system by other means.
type ExecutorTarget interface {
	// Executor returns an executor that reaches the system through the proxy, new each time, with the secret in force.
	Executor(tb testing.TB) provisioning.Executor
	// Proxy returns the proxy between them.
	Proxy() Proxy
	// Ends says how the system ends a task, one after the other each time it carries it out; the last one goes on.
	Ends(tb testing.TB, id string, ends ...End)
	// Carried returns how often the system carried a task out.
	Carried(tb testing.TB, id string) int
	// Task returns a task of an ID, as the target's executor takes it.
	Task(tb testing.TB, id string) provisioning.Task
	// Traits say what differs between targets: Faults, Secrets, WrongSecret and Nowhere.
	Traits() ExecutorTraits
}

// ExecutorTraits are what differs between ExecutorTargets.
type ExecutorTraits struct {
	// Faults are the faults that the proxy can inject.
	Faults []Fault
	// Secrets returns every secret that the executor was ever given. None may show.
	Secrets func() []string
	// WrongSecret returns an executor whose secret the system refuses; nil where there is none.
	WrongSecret func(tb testing.TB) provisioning.Executor
	// Nowhere returns an executor for an address where nothing listens.
	Nowhere func(tb testing.TB) provisioning.Executor
	// Rotate makes the system take a new secret and refuse the old one; nil where there is none.
	Rotate func(tb testing.TB)
}

// End is how a system ends a task.
type End string

const (
	// Succeeds ends well.
	Succeeds End = "Succeeds"
	// FailsForNow fails, and asks to be tried again.
	FailsForNow End = "FailsForNow"
	// Fails fails for good.
	Fails End = "Fails"
)

// RunExecutorConformance drives a target's executor through the engine, and judges it by how often the system carried out
// the task.
func RunExecutorConformance(t *testing.T, target ExecutorTarget) {
	s := &executorSuite{target: target, traits: target.Traits()}
	for _, c := range s.cases() {
		t.Run(c.name, func(t *testing.T) {
			if c.unless != "" {
				t.Log("does not apply: ", c.unless)
				return
			}
			s.number++
			c.run(&performance{T: t, executorSuite: s, id: fmt.Sprintf("00000000-0000-4000-8000-%012d", s.number)})
		})
	}
}

type executorSuite struct {
	target ExecutorTarget
	traits ExecutorTraits
	number int
}

type executorCase struct {
	name, unless string
	run          func(*performance)
}

// performance is one case, about one task.
type performance struct {
	*testing.T
	*executorSuite
	id string
}

func (s *executorSuite) cases() []executorCase {
	can := func(f Fault) string {
		return when(slices.Contains(s.traits.Faults, f), "the proxy cannot inject "+string(f))
	}
	return []executorCase{
		{name: "a task is carried out once, and again not", run: (*performance).once},
		{name: "a failure that may pass is tried again", run: (*performance).again},
		{name: "a failure for good is left to a person", run: (*performance).forGood},
		{name: "two processes at once carry a task out once", run: (*performance).twoAtOnce},
		{name: "a crash after the task was handed over", run: (*performance).crash},
		{name: "too many requests, without Retry-After", unless: can(Busy), run: func(p *performance) { p.busy(Busy, 0) }},
		{name: "too many requests, with Retry-After", unless: can(BusyForSeconds), run: func(p *performance) { p.busy(BusyForSeconds, RetryAfter*time.Second) }},
		{name: "a failure before the task was taken", unless: can(Fail), run: func(p *performance) { p.retried(Fail) }},
		{name: "a failure after the task was taken", unless: can(FailAfter), run: func(p *performance) { p.retried(FailAfter) }},
		{name: "a system that hangs", unless: can(Hang), run: func(p *performance) { p.retried(Hang) }},
		{name: "a wrong secret is the connector's fault", unless: when(s.traits.WrongSecret != nil, "there is no secret"), run: func(p *performance) {
			_, err := p.execute(p.traits.WrongSecret(p), 1)
			p.unauthorized(err)
			p.carried(0)
		}},
		{name: "a rotated secret", unless: when(s.traits.Rotate != nil, "there is no secret"), run: func(p *performance) {
			old := p.target.Executor(p)
			p.traits.Rotate(p)
			_, err := p.execute(old, 1)
			p.unauthorized(err)
			p.carried(0)
			p.succeeds(p.target.Executor(p), 1)
			p.carried(1)
		}},
		{name: "a check hands over nothing", run: func(p *performance) {
			p.check(p.target.Executor(p), "ok")
			p.carried(0)
		}},
		{name: "an address where nothing listens", unless: when(s.traits.Nowhere != nil, "there is no address"), run: func(p *performance) {
			p.check(p.traits.Nowhere(p), "retryable")
		}},
	}
}

// execute carries out the case's task to its end, waiting for it as the operator does.
func (p *performance) execute(e provisioning.Executor, attempt int) (string, error) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), 2*time.Minute)
	defer cancel()
	task := p.target.Task(p, p.id)
	task.Attempt = attempt
	engine := &provisioning.Engine{Executor: e}
	for {
		out, err := engine.Execute(ctx, task, func(context.Context, provisioning.Intent) error { return nil })
		p.holdsNoSecret(out.Message, err)
		if _, pending := errors.AsType[*provisioning.PendingError](err); !pending {
			if ctx.Err() != nil {
				p.Error("the time of the whole call was used up")
			}
			return out.Message, err
		}
		select {
		case <-ctx.Done():
			p.Fatal("the task never ended: ", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (p *performance) holdsNoSecret(message string, err error) {
	p.Helper()
	if p.traits.Secrets == nil {
		return
	}
	for _, secret := range p.traits.Secrets() {
		if secret != "" && strings.Contains(fmt.Sprint(message, err), secret) {
			p.Errorf("a secret shows: %s %v", message, err)
		}
	}
}

func (p *performance) succeeds(e provisioning.Executor, attempt int) {
	p.Helper()
	if _, err := p.execute(e, attempt); err != nil {
		p.Error(err)
	}
}

func (p *performance) carried(want int) {
	p.Helper()
	if got := p.target.Carried(p, p.id); got != want {
		p.Errorf("the task was carried out %d times, want %d", got, want)
	}
}

func (p *performance) once() {
	p.target.Ends(p, p.id, Succeeds)
	p.succeeds(p.target.Executor(p), 1)
	p.carried(1)
	p.succeeds(p.target.Executor(p), 1)
	p.succeeds(p.target.Executor(p), 2)
	p.carried(1)
}

func (p *performance) again() {
	p.target.Ends(p, p.id, FailsForNow, Succeeds)
	if _, err := p.execute(p.target.Executor(p), 1); provisioning.Word(err) != "retryable" {
		p.Errorf("%v, want a retryable error", err)
	}
	p.carried(1)
	p.succeeds(p.target.Executor(p), 2)
	p.carried(2)
	p.succeeds(p.target.Executor(p), 2)
	p.carried(2)
}

func (p *performance) forGood() {
	p.target.Ends(p, p.id, Fails)
	for range 2 {
		_, err := p.execute(p.target.Executor(p), 1)
		if wrong, ok := asPermanent(err); !ok || wrong.Reason != provisioning.ReasonTaskFailed {
			p.Errorf("%v, want a permanent error, %s", err, provisioning.ReasonTaskFailed)
		}
	}
}

func (p *performance) twoAtOnce() {
	p.target.Ends(p, p.id, Succeeds)
	var all sync.WaitGroup
	for range 2 {
		e := p.target.Executor(p)
		all.Go(func() { p.succeeds(e, 1) })
	}
	all.Wait()
	p.carried(1)
}

func (p *performance) crash() {
	p.target.Ends(p, p.id, Succeeds)
	ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
	defer cancel()
	task := p.target.Task(p, p.id)
	task.Attempt = 1
	if _, err := p.target.Executor(p).Execute(ctx, task); err != nil && provisioning.Word(err) != "pending" {
		p.Error(err)
	}
	p.succeeds(p.target.Executor(p), 2)
	p.carried(1)
}

func (p *performance) busy(f Fault, after time.Duration) {
	p.Helper()
	p.target.Ends(p, p.id, Succeeds)
	e := p.target.Executor(p)
	p.target.Proxy().Inject(f, Write, 0)
	_, err := p.execute(e, 1)
	p.met()
	if busy, ok := errors.AsType[*provisioning.RetryableError](err); !ok || !busy.RateLimited || busy.After != after {
		p.Errorf("%v (%+v), want a retryable error that is rate limited and asks to wait for %s", err, busy, after)
	}
	p.carried(0)
	p.succeeds(e, 2)
	p.carried(1)
}

func (p *performance) met() {
	p.Helper()
	if p.target.Proxy().Clear() == 0 {
		p.Error("no request met the fault")
	}
}

func (p *performance) retried(f Fault) {
	p.target.Ends(p, p.id, Succeeds)
	e := p.target.Executor(p)
	p.target.Proxy().Inject(f, Write, 0)
	if _, err := p.execute(e, 1); provisioning.Word(err) != "retryable" {
		p.Errorf("%v, want a retryable error", err)
	}
	p.met()
	p.succeeds(p.target.Executor(p), 2)
	p.carried(1)
}

func (p *performance) unauthorized(err error) {
	p.Helper()
	if unavailable, ok := errors.AsType[*provisioning.UnavailableError](err); !ok || unavailable.Reason != provisioning.ReasonUnauthorized {
		p.Errorf("%v, want an unavailable error with the reason %s", err, provisioning.ReasonUnauthorized)
	}
}

func (p *performance) check(e provisioning.Executor, want string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), patience)
	defer cancel()
	err := (&provisioning.Engine{Executor: e}).Check(ctx)
	p.holdsNoSecret("", err)
	if provisioning.Word(err) != want || ctx.Err() != nil {
		p.Errorf("check: %v, want %s", err, want)
	}
}
