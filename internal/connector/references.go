// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// references are the Secrets and ConfigMaps that a Connector names, as far as they exist.
type references struct {
	// namespace is the Connector's.
	namespace string
	// cluster reaches the operator's own API server, as the operator.
	cluster *rest.Config

	secrets    map[string]*corev1.Secret
	configMaps map[string]*corev1.ConfigMap
}

// readReferences reads them live. An error means trouble with the API server; what does not exist is none.
func readReferences(ctx context.Context, reader client.Reader, c *accessv1alpha1.Connector) (*references, error) {
	refs := &references{namespace: c.Namespace, secrets: map[string]*corev1.Secret{}, configMaps: map[string]*corev1.ConfigMap{}}
	secrets, configMaps := named(c)
	for _, name := range secrets {
		s := &corev1.Secret{}
		if err := reader.Get(ctx, types.NamespacedName{Namespace: c.Namespace, Name: name}, s); err == nil {
			refs.secrets[name] = s
		} else if !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("reading secret %q: %w", name, err)
		}
	}
	for _, name := range configMaps {
		m := &corev1.ConfigMap{}
		if err := reader.Get(ctx, types.NamespacedName{Namespace: c.Namespace, Name: name}, m); err == nil {
			refs.configMaps[name] = m
		} else if !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("reading configmap %q: %w", name, err)
		}
	}
	return refs, nil
}

// named lists the Secrets and ConfigMaps that a Connector names, each once: every reference of the spec's Go types,
// so that no backend can forget one.
func named(c *accessv1alpha1.Connector) (secrets, configMaps []string) {
	walk(reflect.ValueOf(c.Spec), func(reference any) {
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

// revision names the state of the Connector's spec and of the references.
func (r *references) revision(c *accessv1alpha1.Connector) string {
	parts := make([]string, 0, 1+len(r.secrets)+len(r.configMaps))
	parts = append(parts, fmt.Sprintf("%s/%d", c.UID, c.Generation))
	for name, s := range r.secrets {
		parts = append(parts, fmt.Sprintf("secret/%s/%s/%s", name, s.UID, s.ResourceVersion))
	}
	for name, m := range r.configMaps {
		parts = append(parts, fmt.Sprintf("configmap/%s/%s/%s", name, m.UID, m.ResourceVersion))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// secret returns one value, without the white space around it that editors and `echo` leave. The error names the field
// of the Connector, the Secret and the key.
func (r *references) secret(field, name, key string) (string, error) {
	value, err := r.secretValue(field, name, key)
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

// secretValue returns one value as it is.
func (r *references) secretValue(field, name, key string) (string, error) {
	s, ok := r.secrets[name]
	if !ok {
		return "", notFound("%s: secret %q does not exist in the connector's namespace", field, name)
	}
	value, ok := s.Data[key]
	if !ok {
		return "", notFound("%s: secret %q has no key %q", field, name, key)
	}
	return string(value), nil
}

// keySource returns PEM text.
func (r *references) keySource(field string, source *accessv1alpha1.KeySource) (string, error) {
	if ref := source.SecretRef; ref != nil {
		return r.secretValue(field, ref.Name, ref.Key)
	}
	ref := source.ConfigMapRef
	m, ok := r.configMaps[ref.Name]
	if !ok {
		return "", notFound("%s: configmap %q does not exist in the connector's namespace", field, ref.Name)
	}
	value, ok := m.Data[ref.Key]
	if !ok {
		return "", notFound("%s: configmap %q has no key %q", field, ref.Name, ref.Key)
	}
	return value, nil
}

func notFound(format string, args ...any) error {
	return provisioning.Unavailable(accessv1alpha1.ReasonSecretNotFound, fmt.Errorf(format, args...))
}
