// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestALineIsOneObject(t *testing.T) {
	var out bytes.Buffer
	l := New(&out, func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600)) })
	if err := l.Write(t.Context(), Line{ID: "x", Event: TaskRetried, Namespace: "n", Task: "t", Outcome: Waiting, By: "ann:\nagain \u2028 <b>"}); err != nil {
		t.Fatal(err)
	}
	want := `{"schema":"access.getcakewalk.io/audit/v1","logger":"audit","id":"x","time":"2026-01-02T02:04:05.000006Z","event":"TaskRetried",` +
		`"namespace":"n","task":"t","outcome":"waiting","by":"ann:\nagain \u2028 \u003cb\u003e"}` + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestLinesAreWholeWhoeverWrites(t *testing.T) {
	var out bytes.Buffer
	l := New(&out, nil)
	var writers sync.WaitGroup
	var ids atomic.Int64
	for range 8 {
		writers.Go(func() {
			for range 100 {
				n := fmt.Sprint(ids.Add(1))
				if err := l.Write(t.Context(), Line{ID: "a" + n, Message: strings.Repeat("x", 500)}, Line{ID: "b" + n}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 1600 {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Fatal(line)
		}
	}
}

func TestALineIsWrittenOnce(t *testing.T) {
	out := &failing{}
	l := New(out, nil)
	write := func(id string) {
		t.Helper()
		if err := l.Write(t.Context(), Line{ID: id}); (err != nil) != out.fails {
			t.Fatal(err)
		}
	}
	out.fails = true
	write("a")
	out.fails = false
	write("a")
	write("a")
	if n := strings.Count(out.String(), `"id":"a"`); n != 1 {
		t.Errorf("written %d times", n)
	}
	for i := range remembered {
		write(fmt.Sprint(i))
	}
	if len(l.written) != remembered {
		t.Errorf("%d ids are remembered", len(l.written))
	}
	write("a")
	if n := strings.Count(out.String(), `"id":"a"`); n != 2 {
		t.Errorf("a line that was forgotten is written %d times", n)
	}
}

// failing is a buffer that fails when it is told to.
type failing struct {
	bytes.Buffer
	fails bool
}

func (f *failing) Write(text []byte) (int, error) {
	if f.fails {
		return 0, errors.New("broken")
	}
	return f.Buffer.Write(text)
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestWhatIsNotWrittenIsAnError(t *testing.T) {
	if err := New(broken{}, nil).Write(t.Context(), Line{}); err == nil || !strings.Contains(err.Error(), "audit log: broken") {
		t.Error(err)
	}
	if err := New(broken{}, nil).Write(t.Context()); err != nil {
		t.Error("nothing is nothing:", err)
	}
	if err := (*Log)(nil).Write(t.Context(), Line{}); err != nil {
		t.Error(err)
	}
}
