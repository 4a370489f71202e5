// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookkeys

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// minSecretBytes is the length under which an HMAC secret is warned of.
const minSecretBytes = 16

// Problem is something that is wrong with a receiver's keys.
type Problem struct {
	// Reason is accessv1alpha1.ReasonKeyNotFound, accessv1alpha1.ReasonKeysNotFetched or accessv1alpha1.ReasonInvalidKey.
	Reason string
	// Warning means that the key is used all the same.
	Warning bool
	// Message says what is wrong. It names the Secret or ConfigMap and its key, and never a value.
	Message string
}

// Load reads the keys that a receiver's spec names from the Secrets and ConfigMaps of its namespace, and those that were
// fetched for it (StoreFetched). What is wrong with the
// keys is in the problems, in the order of the spec; the keys that are good are returned all the same. The error is only
// for trouble with the API server: the caller keeps the last good keys. The caller bounds ctx.
func Load(ctx context.Context, reader client.Reader, receiver *accessv1alpha1.WebhookReceiver) (Keys, []Problem, error) {
	l := loader{reader: reader, namespace: receiver.Namespace, secrets: map[string]*corev1.Secret{}}
	verification := receiver.Spec.Verification
	switch {
	case verification.HMAC != nil:
		err := l.loadHMAC(ctx, verification.HMAC)
		return l.result(err)
	case verification.RSA != nil:
		err := l.loadRSA(ctx, verification.RSA)
		if err == nil && verification.RSA.FetchFrom != "" {
			err = l.loadFetched(ctx, receiver)
		}
		return l.result(err)
	default:
		return Keys{}, []Problem{{Reason: accessv1alpha1.ReasonInvalidKey, Message: "spec.verification names no keys"}}, nil
	}
}

type loader struct {
	reader    client.Reader
	namespace string
	// secrets are those read already; nil for one that does not exist.
	secrets  map[string]*corev1.Secret
	keys     Keys
	problems []Problem
}

func (l *loader) result(err error) (Keys, []Problem, error) {
	if err != nil {
		return Keys{}, nil, err
	}
	return l.keys, l.problems, nil
}

func (l *loader) problem(reason string, warning bool, format string, args ...any) {
	l.problems = append(l.problems, Problem{Reason: reason, Warning: warning, Message: fmt.Sprintf(format, args...)})
}

func (l *loader) loadHMAC(ctx context.Context, spec *accessv1alpha1.HMACVerification) error {
	l.keys = Keys{header: headerOr(spec.Header), hash: hashOf(spec.Algorithm)}
	for _, ref := range spec.SecretRefs {
		value, ok, err := l.secretValue(ctx, ref)
		switch {
		case err != nil:
			return err
		case !ok:
			continue
		case len(value) == 0:
			l.problem(accessv1alpha1.ReasonInvalidKey, false, "key %q of Secret %q is empty", ref.Key, ref.Name)
			continue
		case len(value) < minSecretBytes:
			l.problem(accessv1alpha1.ReasonInvalidKey, true, "key %q of Secret %q is shorter than %d bytes", ref.Key, ref.Name, minSecretBytes)
		}
		if last := value[len(value)-1]; last == '\n' || last == '\r' {
			l.problem(accessv1alpha1.ReasonInvalidKey, true, "key %q of Secret %q ends with a line break, which counts as a part of it", ref.Key, ref.Name)
		}
		l.keys.secrets = append(l.keys.secrets, value)
	}
	return nil
}

func (l *loader) loadRSA(ctx context.Context, spec *accessv1alpha1.RSAVerification) error {
	l.keys = Keys{header: headerOr(spec.Header)}
	switch {
	case spec.Keys == nil:
		// Fetched ones alone.
	case spec.Keys.SecretRef != nil:
		ref := *spec.Keys.SecretRef
		value, ok, err := l.secretValue(ctx, ref)
		if err != nil {
			return err
		}
		if ok {
			l.parsePEM(value, fmt.Sprintf("key %q of Secret %q", ref.Key, ref.Name))
		}
	case spec.Keys.ConfigMapRef != nil:
		ref := *spec.Keys.ConfigMapRef
		value, ok, err := l.configMapValue(ctx, ref)
		if err != nil {
			return err
		}
		if ok {
			l.parsePEM(value, fmt.Sprintf("key %q of ConfigMap %q", ref.Key, ref.Name))
		}
	default:
		l.problem(accessv1alpha1.ReasonInvalidKey, false, "spec.verification.rsa.keys names neither a Secret nor a ConfigMap")
	}
	return nil
}

// secretValue returns a value of a Secret. Without one it notes the problem.
func (l *loader) secretValue(ctx context.Context, ref accessv1alpha1.SecretKeyReference) ([]byte, bool, error) {
	secret, err := l.secret(ctx, ref.Name)
	if err != nil {
		return nil, false, err
	}
	if secret == nil {
		l.problem(accessv1alpha1.ReasonKeyNotFound, false, "Secret %q does not exist", ref.Name)
		return nil, false, nil
	}
	value, ok := secret.Data[ref.Key]
	if !ok {
		l.problem(accessv1alpha1.ReasonKeyNotFound, false, "Secret %q has no key %q", ref.Name, ref.Key)
	}
	return value, ok, nil
}

// secret reads a Secret once. It is nil where there is none.
func (l *loader) secret(ctx context.Context, name string) (*corev1.Secret, error) {
	secret, known := l.secrets[name]
	if known {
		return secret, nil
	}
	secret = &corev1.Secret{}
	err := l.reader.Get(ctx, client.ObjectKey{Namespace: l.namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		secret = nil
	} else if err != nil {
		return nil, fmt.Errorf("reading Secret %s/%s: %w", l.namespace, name, err)
	}
	l.secrets[name] = secret
	return secret, nil
}

// configMapValue returns a value of a ConfigMap. Without one it notes the problem.
func (l *loader) configMapValue(ctx context.Context, ref accessv1alpha1.ConfigMapKeyReference) ([]byte, bool, error) {
	configMap := &corev1.ConfigMap{}
	err := l.reader.Get(ctx, client.ObjectKey{Namespace: l.namespace, Name: ref.Name}, configMap)
	if apierrors.IsNotFound(err) {
		l.problem(accessv1alpha1.ReasonKeyNotFound, false, "ConfigMap %q does not exist", ref.Name)
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading ConfigMap %s/%s: %w", l.namespace, ref.Name, err)
	}
	if text, ok := configMap.Data[ref.Key]; ok {
		return []byte(text), true, nil
	}
	if value, ok := configMap.BinaryData[ref.Key]; ok {
		return value, true, nil
	}
	l.problem(accessv1alpha1.ReasonKeyNotFound, false, "ConfigMap %q has no key %q", ref.Name, ref.Key)
	return nil, false, nil
}

func headerOr(name string) string {
	if name == "" {
		return defaultHeader
	}
	return name
}
