// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// KillAPIServer is CrashAPIServer for tests.
func (e *Env) KillAPIServer(tb testing.TB) (restart func()) {
	tb.Helper()
	return killed(tb, e.CrashAPIServer)
}

// CrashAPIServer ends kube-apiserver at once, as a crash does (SIGKILL). Etcd goes on, and keeps what is stored. The returned
// function starts the API server again at the same address with the same arguments, and returns when it is ready.
// It needs Linux.
func (e *Env) CrashAPIServer(ctx context.Context) (restart func(context.Context) error, err error) {
	return e.crash(ctx, &e.apiServerAgain, e.apiServer)
}

// KillEtcd ends etcd at once, as a crash does (SIGKILL). Its files stay. The API server goes on without it. The returned
// function starts etcd again at the same address with the same files, and returns when the API server is ready again.
// It needs Linux.
func (e *Env) KillEtcd(tb testing.TB) (restart func()) {
	tb.Helper()
	return killed(tb, func(ctx context.Context) (func(context.Context) error, error) {
		return e.crash(ctx, &e.etcdAgain, e.etcd)
	})
}

// killed ends the test where something cannot be killed, or cannot be started again.
func killed(tb testing.TB, crash func(context.Context) (func(context.Context) error, error)) (restart func()) {
	tb.Helper()
	start, err := crash(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return func() {
		tb.Helper()
		if err := start(tb.Context()); err != nil {
			tb.Fatal(err)
		}
	}
}

// crash kills a process. The returned function starts it again, and stores in again what it started.
func (e *Env) crash(ctx context.Context, again **os.Process, find func() (int, []string, error)) (restart func(context.Context) error, err error) {
	pid, args, err := find()
	if err != nil {
		return nil, err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return nil, err
	}
	err = eventually(ctx, func() error {
		if _, err := os.Stat(procFile(pid, "")); err == nil {
			return fmt.Errorf("process %d is there", pid)
		}
		return nil
	})
	return func(ctx context.Context) error {
		cmd := exec.Command(args[0], args[1:]...) //nolint:gosec,noctx // what ran before, and it outlives the caller
		if err := cmd.Start(); err != nil {
			return err
		}
		go func() { _ = cmd.Wait() }()
		*again = cmd.Process
		return eventually(ctx, func() error { return e.ready(ctx) })
	}, err
}

// StopAPIServer has kube-apiserver answer nothing any more, while its connections stay (SIGSTOP), until goOn is called.
func (e *Env) StopAPIServer(tb testing.TB) (goOn func()) {
	tb.Helper()
	pid, _, err := e.apiServer()
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGSTOP)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			tb.Error(err)
		}
	}
}

// APIServerPID returns the number of kube-apiserver's process. It needs Linux.
func (e *Env) APIServerPID() (int, error) {
	pid, _, err := e.apiServer()
	return pid, err
}

// apiServer finds the process of the API server, and its command line.
func (e *Env) apiServer() (pid int, args []string, err error) {
	host, err := url.Parse(e.Config.Host)
	if err != nil {
		return 0, nil, err
	}
	if host.Port() == "" {
		host, err = url.Parse("https://" + e.Config.Host)
		if err != nil {
			return 0, nil, err
		}
	}
	return process("kube-apiserver", "--secure-port="+host.Port())
}

// etcd finds the process of etcd, and its command line.
func (e *Env) etcd() (pid int, args []string, err error) {
	return process("etcd", "--listen-client-urls="+e.env.ControlPlane.Etcd.URL.String())
}

// process finds the process of a program that was started with an argument, and its command line.
func process(program, argument string) (pid int, args []string, err error) {
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, nil, err
	}
	for _, file := range all {
		text, err := os.ReadFile(file) //nolint:gosec // the kernel's
		if err != nil {
			continue
		}
		args = strings.Split(string(bytes.TrimSuffix(text, []byte{0})), "\x00")
		if filepath.Base(args[0]) == program && slices.Contains(args, argument) {
			pid, err = strconv.Atoi(filepath.Base(filepath.Dir(file)))
			return pid, args, err
		}
	}
	return 0, nil, fmt.Errorf("there is no process of %s with %s", program, argument)
}

func procFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

// ready returns nil when the API server says that it is.
func (e *Env) ready(ctx context.Context) error {
	_, err := e.get(ctx, "readyz")
	return err
}

// get reads a path that is no resource's.
func (e *Env) get(ctx context.Context, path string) (string, error) {
	c, err := rest.HTTPClientFor(e.Config)
	if err != nil {
		return "", err
	}
	target, _, err := rest.DefaultServerUrlFor(e.Config)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.JoinPath(path).String(), nil)
	if err != nil {
		return "", err
	}
	response, err := c.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s", response.Status, text)
	}
	return string(text), err
}
