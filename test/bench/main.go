// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command bench measures what the operator costs, against a real etcd and kube-apiserver that it starts, and prints every
// budget of the design with what was measured. It is run by `make bench`, in the repository's root: it runs bin/manager.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	var b bench
	flag.BoolVar(&b.short, "short", false, "measure less, in a few minutes, and fail where a ratio is less than half as good as its budget")
	only := flag.String("case", "", "regular expression of the cases to run; empty: all")
	file := flag.String("json", "", "file to write the report to, as JSON")
	flag.StringVar(&b.profiles, "profile", "", "folder to keep profiles of the manager in; empty: none are taken")
	flag.Parse()
	// What a client has to say, such as warnings, is no part of the report.
	ctrl.SetLogger(logr.Discard())
	pattern, err := regexp.Compile(*only)
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = b.run(ctx, pattern, *file)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is a run of the benchmark.
type bench struct {
	report

	short    bool
	profiles string
	// dir holds what is thrown away in the end, and logs those of the managers.
	dir, logs string

	// plane is that of the case that runs.
	plane *plane
}

// benchCase is something that is measured.
type benchCase struct {
	name string
	// short tells that a short run of all cases measures it too.
	short bool
	run   func(ctx context.Context, b *bench, name string) error
}

// cases are all, in the order in which they are run.
var cases = []benchCase{
	{"single-1", false, singles(1)},
	{"single-32", true, singles(bareInFlight)},
	{"single-128", false, singles(128)},
	{"single-512", false, singles(512)},
	{"batch-10", false, batches(10)},
	{"batch-100", true, batches(100)},
	{"batch-1000", false, batches(1000)},
	{"rsa", false, withRSA},
	{"duplicates", false, duplicates},
	{"bad-signatures-hmac", true, badSignatures(receiverHMAC)},
	{"bad-signatures-rsa", false, badSignatures(receiverRSA)},
	{"huge-body", true, hugeBody},
	{"loss", true, loss},
	{"end-to-end", true, endToEnd(provisions{tasks: 500, shortTasks: 200})},
	{"end-to-end-slow-target", false, endToEnd(provisions{delay: 200 * time.Millisecond, tasks: 200})},
	{"already-provisioned", true, endToEnd(provisions{already: true, tasks: 500, shortTasks: 200})},
	{"reporting", false, endToEnd(provisions{reporting: true, tasks: 50})},
	{"ten-connectors", false, shared},
	{"finished-tasks", false, scale(1000, 10_000, manyTasks)},
}

func (b *bench) run(ctx context.Context, only *regexp.Regexp, file string) (err error) {
	b.out, b.Short = os.Stderr, b.short
	if b.dir, err = os.MkdirTemp("", "access-operator-bench-"); err != nil {
		return err
	}
	defer func() {
		if err == nil {
			_ = os.RemoveAll(b.dir)
		}
	}()
	b.logs = b.dir
	if b.profiles != "" {
		// Beside the profiles they can tell more of them.
		b.logs = b.profiles
		if err := os.MkdirAll(b.profiles, 0o750); err != nil {
			return err
		}
	}
	if b.Machine, err = describe(ctx, b.dir); err != nil {
		return err
	}
	var failed []error
	for _, c := range cases {
		if !only.MatchString(c.name) || b.short && !c.short && only.String() == "" {
			continue
		}
		start := time.Now()
		b.progress("== %s", c.name)
		if err := b.measure(ctx, c); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			// What the others measure is worth having.
			b.progress("   failed: %s", err)
			failed = append(failed, fmt.Errorf("%s: %w", c.name, err))
		}
		b.progress("   took %s", time.Since(start).Round(time.Second))
	}
	b.table(os.Stdout)
	if file != "" {
		if err := b.write(file); err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	if far := b.farOff(); b.short && len(far) > 0 {
		return fmt.Errorf("far from the budget: %q", far)
	}
	return nil
}

// measure runs a case on an etcd and a kube-apiserver of its own: the tens of thousands of tasks that another has stored
// take their memory and their time.
func (b *bench) measure(ctx context.Context, c benchCase) (err error) {
	if b.plane, err = startPlane(b.dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.plane.env.Stop()) }()
	return c.run(ctx, b, c.name)
}

// runs is how often each is run.
func (b *bench) runs() int { return b.size(7, 5) }

// size is how much is measured, in a full run and in a short one.
func (b *bench) size(full, short int) int {
	if b.short {
		return short
	}
	return full
}

func (b *bench) progress(format string, args ...any) {
	_, _ = fmt.Fprintf(b.out, format+"\n", args...)
}
