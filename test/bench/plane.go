// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"getcakewalk.io/access-operator/internal/testenv"
)

// plane is a running etcd and kube-apiserver.
type plane struct {
	client.WithWatch

	env *testenv.Env
	// watcher watches no more of objects than their metadata.
	watcher metadata.Interface
	// kubeconfig is a file.
	kubeconfig string
}

// startPlane starts etcd, which syncs every write to the disk as it does in a cluster, and kube-apiserver.
func startPlane(dir string) (*plane, error) {
	env, err := testenv.Start(func(e *envtest.Environment) {
		e.ControlPlane.Etcd = &envtest.Etcd{}
		e.ControlPlane.Etcd.Configure().Set("unsafe-no-fsync", "false").Set("quota-backend-bytes", "8589934592")
	})
	if err != nil {
		return nil, fmt.Errorf("starting etcd and kube-apiserver: %w", err)
	}
	p := &plane{env: env, kubeconfig: filepath.Join(dir, "kubeconfig")}
	if p.WithWatch, err = client.NewWithWatch(env.Config, client.Options{Scheme: env.Scheme}); err != nil {
		return nil, err
	}
	// In the API server's binary format, so that counting costs little.
	if p.watcher, err = metadata.NewForConfig(metadata.ConfigFor(env.Config)); err != nil {
		return nil, err
	}
	return p, os.WriteFile(p.kubeconfig, env.Kubeconfig, 0o600)
}

// namespace makes a namespace whose name begins with a text.
func (p *plane) namespace(ctx context.Context, name string) (string, error) {
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-"}}
	err := p.Create(ctx, n)
	return n.Name, err
}

// apiServerMemory is what is resident of kube-apiserver, in bytes.
func (p *plane) apiServerMemory() (int64, error) {
	pid, err := p.env.APIServerPID()
	if err != nil {
		return 0, err
	}
	return memoryOf(pid, "VmRSS")
}
