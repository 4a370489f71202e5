// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package references reads the Secrets and ConfigMaps that a custom resource names: live, by name, and from the
// resource's own namespace alone.
package references

import (
	"context"
	"crypto/x509"
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// References are the Secrets and ConfigMaps that a spec names, as far as they exist.
type References struct {
	secrets    map[string]*corev1.Secret
	configMaps map[string]*corev1.ConfigMap
}

// Read reads every Secret and ConfigMap of a namespace that a spec, or a part of one, names. An error means trouble with
// the API server; what does not exist is none.
func Read(ctx context.Context, reader client.Reader, namespace string, spec any) (*References, error) {
	refs := &References{secrets: map[string]*corev1.Secret{}, configMaps: map[string]*corev1.ConfigMap{}}
	secrets, configMaps := named(spec)
	for _, name := range secrets {
		s := &corev1.Secret{}
		if err := reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, s); err == nil {
			refs.secrets[name] = s
		} else if !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("reading secret %q: %w", name, err)
		}
	}
	for _, name := range configMaps {
		m := &corev1.ConfigMap{}
		if err := reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, m); err == nil {
			refs.configMaps[name] = m
		} else if !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("reading configmap %q: %w", name, err)
		}
	}
	return refs, nil
}

// named lists the Secrets and ConfigMaps that a spec names, each once: every reference of its Go types, so that none can
// be forgotten.
func named(spec any) (secrets, configMaps []string) {
	walk(reflect.ValueOf(spec), func(reference any) {
		switch ref := reference.(type) {
		case accessv1alpha1.SecretReference:
			secrets = append(secrets, ref.Name)
		case accessv1alpha1.SecretKeyReference:
			secrets = append(secrets, ref.Name)
		case accessv1alpha1.ConfigMapKeyReference:
			configMaps = append(configMaps, ref.Name)
		}
	})
	slices.Sort(secrets)
	slices.Sort(configMaps)
	return slices.Compact(secrets), slices.Compact(configMaps)
}

// walk visits every struct inside a value.
func walk(v reflect.Value, visit func(any)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			walk(v.Elem(), visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), visit)
		}
	case reflect.Struct:
		visit(v.Interface())
		for _, field := range v.Fields() {
			walk(field, visit)
		}
	default:
	}
}

// Revision names the state of what is referred to. It changes when any of it does.
func (r *References) Revision() string {
	parts := make([]string, 0, len(r.secrets)+len(r.configMaps))
	for name, s := range r.secrets {
		parts = append(parts, fmt.Sprintf("secret/%s/%s/%s", name, s.UID, s.ResourceVersion))
	}
	for name, m := range r.configMaps {
		parts = append(parts, fmt.Sprintf("configmap/%s/%s/%s", name, m.UID, m.ResourceVersion))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// Secret returns one value, without the white space around it that editors and `echo` leave. The error names the
// field, the Secret and the key.
func (r *References) Secret(field, name, key string) (string, error) {
	value, err := r.SecretValue(field, name, key)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(value)
	if text == "" {
		return "", notFound("%s: key %q of secret %q is empty", field, key, name)
	}
	if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "", provisioning.Unavailable(accessv1alpha1.ReasonInvalidConfiguration,
			fmt.Errorf("%s: key %q of secret %q holds control characters: it must be one line of text", field, key, name))
	}
	return text, nil
}

// SecretValue returns one value as it is.
func (r *References) SecretValue(field, name, key string) (string, error) {
	s, ok := r.secrets[name]
	if !ok {
		return "", notFound("%s: secret %q does not exist in the namespace", field, name)
	}
	value, ok := s.Data[key]
	if !ok {
		return "", notFound("%s: secret %q has no key %q", field, name, key)
	}
	return string(value), nil
}

// KeySource returns PEM text.
func (r *References) KeySource(field string, source *accessv1alpha1.KeySource) (string, error) {
	if ref := source.SecretRef; ref != nil {
		return r.SecretValue(field, ref.Name, ref.Key)
	}
	ref := source.ConfigMapRef
	m, ok := r.configMaps[ref.Name]
	if !ok {
		return "", notFound("%s: configmap %q does not exist in the namespace", field, ref.Name)
	}
	value, ok := m.Data[ref.Key]
	if !ok {
		return "", notFound("%s: configmap %q has no key %q", field, ref.Name, ref.Key)
	}
	return value, nil
}

// Roots returns the certificates that a server's certificate is verified with, nil for those of the system.
func (r *References) Roots(field string, source *accessv1alpha1.KeySource) (*x509.CertPool, error) {
	if source == nil {
		return nil, nil
	}
	pem, err := r.KeySource(field, source)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		return nil, provisioning.Unavailable(accessv1alpha1.ReasonInvalidConfiguration,
			fmt.Errorf("%s: holds no certificate in PEM", field))
	}
	return pool, nil
}

func notFound(format string, args ...any) error {
	return provisioning.Unavailable(accessv1alpha1.ReasonSecretNotFound, fmt.Errorf(format, args...))
}
