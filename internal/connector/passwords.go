// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// passwordStore keeps the passwords of accounts that are created, in one Secret.
type passwordStore struct {
	secrets typedcorev1.SecretInterface
	field   string
	name    string
}

func newPasswordStore(field, name string, refs *references) (*passwordStore, error) {
	client, err := kubernetes.NewForConfig(refs.cluster)
	if err != nil {
		return nil, invalid("%s: %w", field, err)
	}
	return &passwordStore{secrets: client.CoreV1().Secrets(refs.namespace), field: field, name: name}, nil
}

// passwordOf returns the password of an account. It is written before it is returned: what is in the target system can
// always be found in the Secret, and after a crash the same one is used.
func (s *passwordStore) passwordOf(ctx context.Context, account string) (string, error) {
	key := passwordKey(account)
	there, err := s.secrets.Get(ctx, s.name, metav1.GetOptions{})
	if err == nil && len(there.Data[key]) > 0 {
		return string(there.Data[key]), nil
	}
	password := rand.Text() + "a1!"
	switch {
	case apierrors.IsNotFound(err):
		_, err = s.secrets.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: s.name, Labels: map[string]string{"app.kubernetes.io/managed-by": "access-operator"}},
			StringData: map[string]string{key: password},
		}, metav1.CreateOptions{})
	case err == nil:
		there.StringData = map[string]string{key: password}
		_, err = s.secrets.Update(ctx, there, metav1.UpdateOptions{})
	}
	switch {
	case err == nil:
		return password, nil
	case apierrors.IsForbidden(err):
		return "", provisioning.Unavailable(provisioning.ReasonAccessForbidden,
			fmt.Errorf("%s: the operator may not get, create and update the secret %q, which the account's password is written to", s.field, s.name))
	default:
		return "", provisioning.Retryable(fmt.Errorf("%s: the account's password could not be written to secret %q: %w", s.field, s.name, reasonOf(err)))
	}
}

// reasonOf is why the API server refuses: what it says besides could repeat what was sent.
func reasonOf(err error) error {
	if reason := apierrors.ReasonForError(err); reason != metav1.StatusReasonUnknown {
		return errors.New(string(reason))
	}
	return errors.New("the API server did not answer")
}

// passwordKey is the key of an account: its name, as far as keys may hold it, and what tells it from others like it.
func passwordKey(account string) string {
	readable := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, account)
	sum := sha256.Sum256([]byte(account))
	return readable[:min(len(readable), 200)] + "-" + hex.EncodeToString(sum[:4])
}
