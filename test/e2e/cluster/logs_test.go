// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build cluster

package cluster

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// logs holds what the operator's pods have written, also those that are gone.
type logs struct {
	mu sync.Mutex
	// of holds the log of every container by pod and number of its restarts.
	of map[string]*bytes.Buffer
	// readers ends when no log is read any more.
	readers sync.WaitGroup
	stop    context.CancelFunc
}

// follow reads the logs of the operator's pods in a namespace until the test ends.
func follow(t *testing.T, namespace string) *logs {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &logs{of: map[string]*bytes.Buffer{}, stop: cancel}
	l.readers.Go(func() {
		for ctx.Err() == nil {
			l.look(ctx, namespace)
			time.Sleep(300 * time.Millisecond)
		}
	})
	t.Cleanup(func() {
		l.stop()
		l.readers.Wait()
	})
	return l
}

// look begins to read the logs that are not being read yet.
func (l *logs) look(ctx context.Context, namespace string) {
	var pods corev1.PodList
	if err := cluster.List(ctx, &pods, client.InNamespace(namespace), operatorLabels); err != nil {
		return
	}
	for _, p := range pods.Items {
		for _, s := range p.Status.ContainerStatuses {
			if s.State.Running == nil {
				continue
			}
			key := fmt.Sprintf("%s, start %d", p.Name, s.RestartCount+1)
			l.mu.Lock()
			buffer := l.of[key]
			if buffer == nil {
				buffer = &bytes.Buffer{}
				l.of[key] = buffer
				l.readers.Go(func() { l.read(ctx, p.Namespace, p.Name, s.Name, buffer) })
			}
			l.mu.Unlock()
		}
	}
}

func (l *logs) read(ctx context.Context, namespace, pod, container string, into *bytes.Buffer) {
	stream, err := cluster.pods.CoreV1().Pods(namespace).GetLogs(pod, &corev1.PodLogOptions{Container: container, Follow: true}).Stream(ctx)
	if err != nil {
		return
	}
	defer stream.Close()
	chunk := make([]byte, 32<<10)
	for {
		n, err := stream.Read(chunk)
		l.mu.Lock()
		into.Write(chunk[:n])
		l.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// all is every log, each under the name of its pod.
func (l *logs) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for key, text := range l.of {
		fmt.Fprintf(&b, "--- %s\n", key)
		b.Write(text.Bytes())
	}
	return b.String()
}

// tails is the end of every log.
func (l *logs) tails(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for key, text := range l.of {
		fmt.Fprintf(&b, "--- %s\n%s\n", key, text.Bytes()[max(0, text.Len()-n):])
	}
	return b.String()
}
