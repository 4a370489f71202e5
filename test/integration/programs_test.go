// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// What the libraries log is not what a test fails of.
func init() { ctrl.SetLogger(logr.Discard()) }

// program finds a program, which must be there: a server that is not tested fails the tests.
func program(tb testing.TB, name, debianPackage string, folders ...string) string {
	tb.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, folder := range folders {
		if found, err := filepath.Glob(filepath.Join(folder, name)); err == nil && len(found) > 0 {
			return found[len(found)-1]
		}
	}
	tb.Fatalf("%s is not installed, which these tests need: it is in Debian's package %s", name, debianPackage)
	return ""
}

// account returns the user of the system that a server is to run as, where the tests run as root: some servers refuse it.
func systemUser(tb testing.TB, name string) *syscall.Credential {
	tb.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup(name)
	must(tb, err)
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	must(tb, err)
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	must(tb, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// dataFolder makes a folder that the user of a server can write to, and that is removed with the test.
func dataFolder(tb testing.TB, owner *syscall.Credential) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "access-operator-")
	must(tb, err)
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	if owner != nil {
		must(tb, os.Chown(dir, int(owner.Uid), int(owner.Gid)))
	}
	return dir
}

// runProgram runs a program to its end.
func runProgram(tb testing.TB, as *syscall.Credential, dir, path string, args ...string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as}
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", path, err, out)
	}
}

// startProgram starts a server, which is ended with the test, and waits until something listens at an address.
func startProgram(tb testing.TB, as *syscall.Credential, env []string, dir, addr, path string, args ...string) {
	tb.Helper()
	var log bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &log, &log
	cmd.Env = append(os.Environ(), env...)
	// A group of its own, so that what it starts ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as, Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	must(tb, cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	tb.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
		}
		if tb.Failed() {
			text := log.Bytes()
			tb.Logf("%s: %s", path, text[max(0, len(text)-3000):])
		}
	})
	for range 600 {
		if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			tb.Fatalf("%s ended: %s", path, log.String())
		case <-time.After(100 * time.Millisecond):
		}
	}
	tb.Fatalf("%s does not listen at %s", path, addr)
}

// freePort returns a port of loopback that nobody listens at.
func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(tb, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// record is the record of plans that nobody keeps.
func record(context.Context, provisioning.Intent) error { return nil }
