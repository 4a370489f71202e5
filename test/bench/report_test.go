// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// measuredVariable has the test's program be the benchmark, with one case, which measures this.
const measuredVariable = "BENCH_TEST_MEASURED"

func TestMain(m *testing.M) {
	text := os.Getenv(measuredVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	cases = []benchCase{{"only", true, func(_ context.Context, b *bench, name string) error {
		measured, err := strconv.ParseFloat(text, 64)
		b.holdRatio(name, "a ratio", one(measured), atMost, 1)
		return err
	}}}
	main()
	os.Exit(0)
}

func TestFarOff(t *testing.T) {
	for name, c := range map[string]struct {
		bound            bound
		budget, measured float64
		far              bool
	}{
		"at least, met":                           {atLeast, 0.9, 0.9, false},
		"at least, missed by less than half":      {atLeast, 0.9, 0.451, false},
		"at least, missed by half":                {atLeast, 0.9, 0.45, false},
		"at least, missed by more than half":      {atLeast, 0.9, 0.449, true},
		"at most, met":                            {atMost, 1.25, 1.25, false},
		"at most, less than twice":                {atMost, 1.25, 2.499, false},
		"at most, twice":                          {atMost, 1.25, 2.5, false},
		"at most, more than twice":                {atMost, 1.25, 2.501, true},
		"at most nothing, met":                    {atMost, 0, 0, false},
		"at most nothing, missed by a single one": {atMost, 0, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := report{out: io.Discard}
			r.holdRatio("case", "what", one(c.measured), c.bound, c.budget)
			if far := len(r.farOff()) > 0; far != c.far {
				t.Errorf("far: %t", far)
			}
		})
	}
}

// What other machines do not share, such as times, says nothing there.
func TestATimeIsNeverFarOff(t *testing.T) {
	r := report{out: io.Discard}
	r.hold("case", "what", "ms", one(1000), 1)
	if far := r.farOff(); len(far) > 0 {
		t.Error(far)
	}
}

func TestABudgetOfNothingCanBeShown(t *testing.T) {
	for measured, verdict := range map[float64]string{0: "met", 1: "missed"} {
		r := report{out: io.Discard}
		r.holdRatio("case", "lost", one(measured), atMost, 0)
		var table bytes.Buffer
		r.table(&table)
		if want := "| case | lost | " + number(measured) + " | at most 0 |  | " + verdict + " |"; !strings.Contains(table.String(), want) {
			t.Errorf("%q is not in %s", want, table.String())
		}
		if _, err := json.Marshal(&r); err != nil {
			t.Error(err)
		}
	}
}

// The program is run whole, with an API server, so that nothing between the verdict and the exit code is left out.
func TestTheExitCodeFollowsTheVerdict(t *testing.T) {
	for name, c := range map[string]struct {
		measured string
		args     []string
		code     int
	}{
		"within":          {"2", []string{"-short"}, 0},
		"far":             {"2.01", []string{"-short"}, 1},
		"far, a full run": {"2.01", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0], c.args...)
			// It leaves its folder where it fails.
			cmd.Env = append(os.Environ(), measuredVariable+"="+c.measured, "TMPDIR="+t.TempDir())
			// So that it stops etcd and the API server.
			cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(syscall.SIGTERM) }, time.Minute
			out, err := cmd.CombinedOutput()
			if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != c.code || strings.Contains(string(out), "far from the budget") != (c.code != 0) {
				t.Errorf("%d: %s", code, out)
			}
		})
	}
}
