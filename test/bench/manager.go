// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"getcakewalk.io/access-operator/internal/testenv"
)

const (
	// readyWithin and stopWithin bound the waits for the manager.
	readyWithin = 2 * time.Minute
	stopWithin  = time.Minute
	// ticks is how many ticks of /proc/<pid>/stat make a second, on every Linux that Go runs on.
	ticks = 100
)

// manager is a running bin/manager.
type manager struct {
	// receiver, health and profiles are its addresses.
	receiver, health, profiles string

	// dir is the folder of its logs, and args are its arguments.
	dir  string
	args []string

	cmd   *exec.Cmd
	log   string
	ended chan struct{}
	// readyAfter is how long it took from its start to ready.
	readyAfter time.Duration
}

// startManager starts the manager's program and waits until it is ready. Its logs go to a file in dir.
func startManager(ctx context.Context, p *plane, dir string, args ...string) (*manager, error) {
	m := &manager{dir: dir}
	for _, address := range []*string{&m.receiver, &m.health, &m.profiles} {
		var err error
		if *address, err = testenv.FindFreeAddress(ctx); err != nil {
			return nil, err
		}
	}
	m.args = append([]string{
		"--kubeconfig", p.kubeconfig, "--receiver-bind-address", m.receiver, "--health-probe-bind-address", m.health,
		"--pprof-bind-address", m.profiles, "--metrics-bind-address", "0",
	}, args...)
	if err := m.launch(ctx); err != nil {
		return nil, err
	}
	return m, nil
}

// launch starts the program, once more where it ran before and has ended, and waits until it is ready.
func (m *manager) launch(ctx context.Context) error {
	log, err := os.CreateTemp(m.dir, "manager-*.log")
	if err != nil {
		return err
	}
	cmd, ended := exec.Command(filepath.Join("bin", "manager"), m.args...), make(chan struct{})
	cmd.Stdout, cmd.Stderr = log, log
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return errors.Join(err, log.Close())
	}
	m.cmd, m.log, m.ended = cmd, log.Name(), ended
	go func() {
		defer close(ended)
		defer log.Close()
		_ = cmd.Wait()
	}()
	if err := m.awaitReady(ctx); err != nil {
		m.stop()
		return err
	}
	m.readyAfter = time.Since(start)
	return nil
}

func (m *manager) awaitReady(ctx context.Context) error {
	return await(ctx, readyWithin, "the manager is ready", func() (bool, error) {
		select {
		case <-m.ended:
			return false, fmt.Errorf("the manager ended (%s): its log is %s", m.cmd.ProcessState, m.log)
		default:
		}
		_, err := m.get(ctx, m.health, "/readyz", time.Second)
		return err == nil, nil
	})
}

// get reads from one of the manager's addresses.
func (m *manager) get(ctx context.Context, address, path string, within time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s is answered %s", path, res.Status)
	}
	return text, err
}

// stop ends the manager as a cluster does, and waits for that.
func (m *manager) stop() {
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.ended:
	case <-time.After(stopWithin):
		m.kill()
	}
}

// kill ends the manager at once, as a crash does.
func (m *manager) kill() {
	_ = m.cmd.Process.Kill()
	<-m.ended
}

// processor is the processor time that the manager has used, to ten milliseconds.
func (m *manager) processor() (time.Duration, error) {
	text, err := os.ReadFile(m.proc("stat"))
	if err != nil {
		return 0, err
	}
	// The name of the program, in parentheses, may hold anything. utime and stime are fields 14 and 15, which is 12 and 13
	// after it (proc_pid_stat(5)).
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("%s has %d fields", m.proc("stat"), len(fields))
	}
	var used int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		used += n
	}
	return time.Duration(used) * time.Second / ticks, nil
}

// memory is memoryOf the manager.
func (m *manager) memory(line string) (int64, error) { return memoryOf(m.cmd.Process.Pid, line) }

// memoryOf is a line of /proc/<pid>/status in bytes: VmRSS is what is resident now, VmHWM what was at most.
func memoryOf(pid int, line string) (int64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	for l := range strings.Lines(string(text)) {
		if fields := strings.Fields(l); len(fields) == 3 && fields[0] == line+":" {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("there is no %s", line)
}

func (m *manager) proc(file string) string {
	return filepath.Join("/proc", strconv.Itoa(m.cmd.Process.Pid), file)
}

// await repeats check until it is true.
func await(ctx context.Context, within time.Duration, what string, check func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		done, err := check()
		if err != nil || done {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w", what, context.Cause(ctx))
		case <-time.After(10 * time.Millisecond):
		}
	}
}
