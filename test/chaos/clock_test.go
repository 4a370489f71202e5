// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// clockShift is how far the clock of managerAhead is ahead, in seconds.
const clockShift = 60

// managerAhead builds the manager with a wall clock that is clockShift ahead, and returns its program. All else is as it
// is: a static program reads the clock by itself, so that nothing around it can show it another. So Go's own time.Now is
// compiled with another first line.
func managerAhead(t *testing.T) string {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	const reads = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(text), reads) != 1 {
		t.Fatalf("%s reads the clock otherwise than this test knows", source)
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, "time.go")
	shifted := strings.Replace(string(text), reads, fmt.Sprintf("%s\tsec += %d\n", reads, clockShift), 1)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{source: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{changed: []byte(shifted), filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program("manager-ahead"), "./cmd/manager")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the manager with another clock: %v\n%s", err, out)
	}
	ahead, here := saidTime(t, program("manager-ahead")), saidTime(t, program("manager"))
	if shift := ahead.Sub(here); shift < clockShift*time.Second/2 {
		t.Fatalf("the clock that should be %d s ahead is %s ahead", clockShift, shift)
	}
	return program("manager-ahead")
}

// saidTime is what time it is by a manager that is started in vain.
func saidTime(t *testing.T, program string) time.Time {
	t.Helper()
	// It ends with an error, which is not the point.
	out, _ := exec.CommandContext(t.Context(), program, "--kubeconfig", os.DevNull+"/none").CombinedOutput()
	first, _, _ := bytes.Cut(out, []byte("\n"))
	var line struct{ TS time.Time }
	if err := json.Unmarshal(first, &line); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return line.TS
}
