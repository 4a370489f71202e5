// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// machine is what the numbers hold for.
type machine struct {
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	MemoryMiB int64  `json:"memoryMiB"`
	Kernel    string `json:"kernel"`
	Go        string `json:"go"`
	Etcd      string `json:"etcd"`
	APIServer string `json:"apiServer"`
	// Sync is how long the disk takes to sync a small write.
	Sync spread `json:"syncMilliseconds"`
}

// describe describes this machine, and the disk of a folder of it.
func describe(ctx context.Context, dir string) (machine, error) {
	m := machine{Processor: "unknown", Cores: runtime.NumCPU(), Go: runtime.Version(), Kernel: firstLine("/proc/sys/kernel/osrelease")}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for l := range strings.Lines(string(text)) {
			if name, ok := strings.CutPrefix(l, "model name"); ok {
				m.Processor = strings.TrimLeft(strings.TrimSpace(name), ": ")
				break
			}
		}
	}
	var kib int64
	if _, err := fmt.Sscanf(firstLine("/proc/meminfo"), "MemTotal: %d kB", &kib); err == nil {
		m.MemoryMiB = kib >> 10
	}
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	m.Etcd = versionOf(ctx, filepath.Join(assets, "etcd"))
	m.APIServer = versionOf(ctx, filepath.Join(assets, "kube-apiserver"))
	var err error
	m.Sync, err = measureSync(dir)
	return m, err
}

// facts are lines of a list.
func (m machine) facts() []string {
	return []string{
		fmt.Sprintf("%s, %d cores, %d MiB, Linux %s, %s", m.Processor, m.Cores, m.MemoryMiB, m.Kernel, m.Go),
		fmt.Sprintf("%s, syncing every write to the disk: %s ms each (%s to %s); %s", m.Etcd, number(m.Sync.Median), number(m.Sync.Lowest), number(m.Sync.Highest), m.APIServer),
		"the load, the manager, kube-apiserver and etcd share the cores",
	}
}

func versionOf(ctx context.Context, program string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return filepath.Base(program) + " of an unknown version"
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.NewReplacer("Kubernetes", "kube-apiserver", "etcd Version:", "etcd").Replace(strings.TrimSpace(first))
}

func firstLine(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return first
}

// measureSync measures how long a folder's disk takes to sync 2 KiB, in milliseconds.
func measureSync(dir string) (spread, error) {
	file, err := os.CreateTemp(dir, "sync-")
	if err != nil {
		return spread{}, err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	defer file.Close()
	var took []float64
	for range 50 {
		start := time.Now()
		if _, err := file.Write(make([]byte, 2<<10)); err != nil {
			return spread{}, err
		}
		if err := file.Sync(); err != nil {
			return spread{}, err
		}
		took = append(took, milliseconds(time.Since(start)))
	}
	return spreadOf(took), nil
}
