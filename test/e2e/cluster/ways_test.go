// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build cluster

package cluster

import (
	"context"
	"path/filepath"
	"strings"
)

// systemNamespace is where the overlays install the operator.
const systemNamespace = "access-operator-system"

// way is a way to install the operator.
type way struct {
	name string
	// namespace is where the operator runs, tenant where its users' objects are. They may be one.
	namespace, tenant string
	// given is true where the install expects the namespace to be there.
	given bool
	// install installs the operator with the image under test. remove removes it, and is no error where there is none.
	install, remove func(context.Context) (string, error)
}

var (
	defaultOverlay    = overlay(way{name: "default", namespace: systemNamespace, tenant: "e2e-default"})
	hardenedOverlay   = overlay(way{name: "hardened", namespace: systemNamespace, tenant: "e2e-hardened"})
	namespacedOverlay = overlay(way{name: "namespaced", namespace: systemNamespace, tenant: systemNamespace, given: true})
	chart             = helm("access-operator", "e2e-helm")
	ways              = []way{chart, defaultOverlay, hardenedOverlay, namespacedOverlay}
)

// helm installs the chart, with the custom resource definitions in it.
func helm(release, tenant string) way {
	return way{
		name: "helm", namespace: systemNamespace, tenant: tenant, given: true,
		install: func(ctx context.Context) (string, error) {
			repository, tag, _ := strings.Cut(filepath.Base(cluster.image), ":")
			return program(ctx, "", cluster.helm, "install", release, "charts/access-operator", "--namespace", systemNamespace,
				"--set-string", "image.repository="+filepath.Join(filepath.Dir(cluster.image), repository)+",image.tag="+tag)
		},
		remove: func(ctx context.Context) (string, error) {
			return program(ctx, "", cluster.helm, "uninstall", release, "--namespace", systemNamespace, "--ignore-not-found")
		},
	}
}

// overlay installs a folder of config.
func overlay(w way) way {
	text := func(ctx context.Context) (string, error) {
		out, err := kubectl(ctx, "", "kustomize", filepath.Join("config", w.name))
		return strings.ReplaceAll(out, "image: access-operator:dev", "image: "+cluster.image), err
	}
	w.install = func(ctx context.Context) (string, error) {
		if out, err := kubectl(ctx, "", "apply", "--server-side", "-k", "config/crd"); err != nil {
			return out, err
		}
		manifests, err := text(ctx)
		if err != nil {
			return "", err
		}
		return kubectl(ctx, manifests, "apply", "--server-side", "-f", "-")
	}
	w.remove = func(ctx context.Context) (string, error) {
		manifests, err := text(ctx)
		if err != nil {
			return "", err
		}
		if out, err := removePods(ctx, w.namespace); err != nil {
			return out, err
		}
		return kubectl(ctx, manifests, "delete", "--ignore-not-found", "-f", "-")
	}
	return w
}

func removeCRDs(ctx context.Context) (string, error) {
	return kubectl(ctx, "", "delete", "--ignore-not-found", "-k", "config/crd")
}

// removePods removes the Deployments of a namespace, and returns when their pods are gone. A namespace with pods in it
// takes half of their grace period to go, however soon they have ended.
func removePods(ctx context.Context, namespace string) (string, error) {
	return kubectl(ctx, "", "delete", "deployments", "--all", "--namespace", namespace, "--cascade=foreground")
}
