// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package testenv gives tests a real etcd and kube-apiserver with the operator's custom resource definitions.
//
// The environment variable KUBEBUILDER_ASSETS names the folder with the programs etcd, kube-apiserver and kubectl;
// `make test` sets it.
package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// Env is a running API server.
type Env struct {
	// Config connects to it with every right.
	Config *rest.Config
	// Kubeconfig connects other programs to it.
	Kubeconfig []byte
	// Scheme knows the built-in kinds and the operator's.
	Scheme *k8sruntime.Scheme

	env *envtest.Environment
	// dir holds the API server's audit log, auditLog.
	dir, auditLog string
	// apiServerAgain and etcdAgain were started in the place of those that were killed; nil for none.
	apiServerAgain, etcdAgain *os.Process
}

// Main starts an API server, runs the tests of a package, stops the server and exits. It is the body of TestMain; the
// running server is stored in env before the first test.
func Main(m *testing.M, env **Env) {
	e, err := Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting etcd and kube-apiserver:", err)
		os.Exit(1)
	}
	*env = e
	code := m.Run()
	if err := e.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping etcd and kube-apiserver:", err)
	}
	os.Exit(code)
}

// Start starts etcd and kube-apiserver and installs the custom resource definitions. configure changes how they are run.
func Start(configure ...func(*envtest.Environment)) (*Env, error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, fmt.Errorf("KUBEBUILDER_ASSETS is not set: run `make test`, or `export KUBEBUILDER_ASSETS=\"$(make -s assets)\"` first")
	}
	scheme := k8sruntime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := accessv1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	env := &envtest.Environment{
		CRDDirectoryPaths:        []string{filepath.Join(root(), "config", "crd", "bases")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: 2 * time.Minute,
		ControlPlaneStopTimeout:  time.Minute,
	}
	dir, err := os.MkdirTemp("", "access-operator-testenv-")
	if err != nil {
		return nil, err
	}
	log, err := configureAudit(env, dir)
	if err != nil {
		return nil, err
	}
	for _, change := range configure {
		change(env)
	}
	config, err := env.Start()
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	return &Env{Config: config, Kubeconfig: env.KubeConfig, Scheme: scheme, env: env, dir: dir, auditLog: log}, nil
}

// Stop stops the API server and etcd.
func (e *Env) Stop() error {
	var errs []error
	if e.apiServerAgain != nil {
		errs = append(errs, e.apiServerAgain.Kill())
	}
	// An API server waits for etcd when it is told to end, so that etcd goes last.
	errs = append(errs, e.env.Stop())
	if e.etcdAgain != nil {
		errs = append(errs, e.etcdAgain.Kill())
	}
	return errors.Join(append(errs, os.RemoveAll(e.dir))...)
}

// Client returns a client that reads from the API server itself.
func (e *Env) Client(tb testing.TB) client.WithWatch {
	tb.Helper()
	c, err := client.NewWithWatch(e.Config, client.Options{Scheme: e.Scheme})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// Namespace makes a namespace for one test.
func (e *Env) Namespace(tb testing.TB) string {
	tb.Helper()
	name := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		default:
			return '-'
		}
	}, tb.Name()), "-")
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: strings.Trim(name[:min(len(name), 50)], "-") + "-"}}
	if err := e.Client(tb).Create(tb.Context(), ns); err != nil {
		tb.Fatal(err)
	}
	return ns.Name
}

// root is the repository's root, found from where this file was compiled.
func root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Eventually repeats check until it returns nil, for a minute at most.
func (*Env) Eventually(tb testing.TB, check func() error) {
	tb.Helper()
	// What a test cleans up waits, too, and its context has ended by then.
	if err := eventually(context.WithoutCancel(tb.Context()), check); err != nil {
		tb.Fatal(err)
	}
}

// eventually repeats check until it returns nil, for a minute at most.
func eventually(ctx context.Context, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("never came true: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// MayNow returns nil once the authorizer lets a service account do all that a rule says.
func (e *Env) MayNow(tb testing.TB, namespace, serviceAccount string, rule rbacv1.PolicyRule) error {
	tb.Helper()
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				attributes := &authorizationv1.ResourceAttributes{Namespace: namespace, Group: group, Resource: resource, Verb: verb}
				if len(rule.ResourceNames) > 0 {
					attributes.Name = rule.ResourceNames[0]
				}
				review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
					User: "system:serviceaccount:" + namespace + ":" + serviceAccount, ResourceAttributes: attributes,
				}}
				if err := e.Client(tb).Create(tb.Context(), review); err != nil {
					return err
				}
				if !review.Status.Allowed {
					return fmt.Errorf("%s may not %s %s", serviceAccount, verb, resource)
				}
			}
		}
	}
	return nil
}
