// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/client-go/rest"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning/kubernetes"
)

func newKubernetes(spec *accessv1alpha1.ConnectorSpec, refs *references, limiter *rate.Limiter) (*backend, error) {
	s := spec.Kubernetes
	config, err := clusterOf(s, refs)
	if err != nil {
		return nil, err
	}
	b, err := kubernetes.New(kubernetes.Options{
		Config:      config,
		SubjectKind: string(s.SubjectKind),
		Timeout:     time.Duration(s.RequestTimeoutSeconds) * time.Second,
		Limiter:     limiter,
	})
	if err != nil {
		return nil, invalid("kubernetes: the credentials cannot be used: its certificates or keys are not valid")
	}
	return &backend{Backend: b, close: b.Close}, nil
}

// clusterOf is how the cluster is reached: by a kubeconfig, or in the operator's own as a service account of the
// Connector's namespace, so that a Connector can do no more than its own tenant was given.
func clusterOf(s *accessv1alpha1.KubernetesBackend, refs *references) (*rest.Config, error) {
	if ref := s.KubeconfigSecretRef; ref != nil {
		text, err := refs.SecretValue("kubernetes.kubeconfigSecretRef", ref.Name, ref.Key)
		if err != nil {
			return nil, err
		}
		config, err := kubernetes.FromKubeconfig([]byte(text))
		if err != nil {
			return nil, invalid("kubernetes.kubeconfigSecretRef: key %q of secret %q %w", ref.Key, ref.Name, err)
		}
		return config, nil
	}
	config := rest.CopyConfig(refs.cluster)
	config.Impersonate = rest.ImpersonationConfig{UserName: fmt.Sprintf("system:serviceaccount:%s:%s", refs.namespace, s.ServiceAccountName)}
	return config, nil
}
