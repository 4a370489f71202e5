// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build cluster

// Package cluster installs the operator in a real cluster in every way that it can be installed, and operates it: real
// pods of the real image, deliveries through the Service, a SCIM server beside it. `make e2e` runs it.
//
// The suite must run where the addresses of Services and the processes of pods can be reached: on the node. The cluster is
// its own: the operator must not be installed there, and the custom resource definitions are removed at the end.
package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// marker is a namespace that says that what is installed in a cluster was installed by this suite.
const marker = "access-operator-e2e"

// operatorLabels select what an install made.
var operatorLabels = client.MatchingLabels{"app.kubernetes.io/name": "access-operator"}

// cluster is the cluster under test, reached with every right.
var cluster struct {
	client.Client
	config *rest.Config
	pods   kubernetes.Interface
	// kubeconfig is the file that config was read from.
	kubeconfig string
	// image is the image under test, scimImage and workerImage are what it works with. They are on the node, or can be pulled.
	image, scimImage, workerImage string
	// kubectl and helm are programs.
	kubectl, helm string
	// root is the root of the repository.
	root string
}

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	if err := connect(); err != nil {
		fmt.Fprintln(os.Stderr, "test/e2e/cluster:", err)
		os.Exit(1)
	}
	code := m.Run()
	if code == 0 {
		if err := sweep(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, "cleaning up:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// connect connects to the cluster that the environment names, never to one that it does not.
func connect() error {
	cluster.kubeconfig = or(os.Getenv("E2E_KUBECONFIG"), os.Getenv("KUBECONFIG"))
	if cluster.kubeconfig == "" {
		return fmt.Errorf("neither E2E_KUBECONFIG nor KUBECONFIG is set: this suite touches no cluster that is not named. `make cluster-up` starts one")
	}
	cluster.image, cluster.scimImage = or(os.Getenv("IMAGE"), "access-operator:dev"), or(os.Getenv("SCIM_IMAGE"), "access-operator-scimserver:dev")
	cluster.workerImage = or(os.Getenv("WORKER_IMAGE"), "access-operator-worker:dev")
	cluster.kubectl, cluster.helm = or(os.Getenv("KUBECTL"), "kubectl"), or(os.Getenv("HELM"), "helm")
	root, err := filepath.Abs("../../..")
	if err != nil {
		return err
	}
	cluster.root = root
	if cluster.config, err = clientcmd.BuildConfigFromFlags("", cluster.kubeconfig); err != nil {
		return err
	}
	cluster.config.QPS = -1
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, accessv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	if cluster.pods, err = kubernetes.NewForConfig(cluster.config); err != nil {
		return err
	}
	if _, err := cluster.pods.Discovery().ServerVersion(); err != nil {
		return fmt.Errorf("the cluster of %s does not answer: %w", cluster.kubeconfig, err)
	}
	// The mapper finds kinds when they are first used: the operator's are not there yet.
	if cluster.Client, err = client.New(cluster.config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	return claim()
}

// claim makes the cluster the suite's own, and removes what an earlier run left behind.
func claim() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	mine := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: marker}}
	err := cluster.Get(ctx, client.ObjectKeyFromObject(mine), mine)
	if err == nil {
		return sweep(ctx)
	}
	if !apierrors.IsNotFound(err) {
		return err
	}
	if out, err := kubectl(ctx, "", "get", "crd", "accesstasks.access.getcakewalk.io", "--ignore-not-found", "-o", "name"); err != nil || out != "" {
		return fmt.Errorf("the operator, or what is left of it, is in this cluster (%s, %w), and this suite did not put it there: give it an empty cluster", out, err)
	}
	return cluster.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: marker}})
}

// sweep removes everything that the suite may have installed, but for the marker.
func sweep(ctx context.Context) error {
	for _, w := range ways {
		if out, err := w.remove(ctx); err != nil {
			return fmt.Errorf("%s: %w: %s", w.name, err, out)
		}
	}
	if _, err := kubectl(ctx, "", "delete", "namespaces", "--selector", marker, "--ignore-not-found"); err != nil {
		return err
	}
	_, err := removeCRDs(ctx)
	return err
}

// kubectl runs kubectl against the cluster, with a standard input where there is one, and returns what it prints.
func kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	return program(ctx, stdin, cluster.kubectl, args...)
}

// program runs a program against the cluster in the root of the repository, and returns what it prints.
func program(ctx context.Context, stdin, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = cluster.root
	cmd.Env = append(os.Environ(), "KUBECONFIG="+cluster.kubeconfig)
	cmd.Stdin = strings.NewReader(stdin)
	var out, complaints strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, complaints.String())
	}
	return out.String(), nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// eventually repeats check until it returns nil, and returns how long that took.
func eventually(t *testing.T, within time.Duration, what string, check func() error) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		began := time.Now()
		err := check()
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > within {
			t.Fatalf("after %s it is not so that %s: %v", within, what, err)
		}
		// What is asked for must not slow down what is waited for.
		time.Sleep(max(100*time.Millisecond, 4*time.Since(began)))
	}
}
