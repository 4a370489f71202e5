// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

func keyPEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// secretsOfSamples makes the Secrets that the shipped connectors name.
func secretsOfSamples(t *testing.T, namespace string) {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]string{
		"token": "t", "username": "u", "password": "p", "clientID": "c", "clientSecret": "s",
		"private-key.pem": keyPEM(t, rsaKey), "ec.pem": keyPEM(t, ecKey), "junk": "s3cr3t-junk",
	}
	for _, name := range []string{
		"rabbitmq-access", "openfga-access", "keycloak-access", "grafana-access", "github-app", "gitlab-access", "okta-access", "entra-access", "google-access", "slack-access",
	} {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, StringData: data}
		if err := env.Client(t).Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestShippedHTTPConnectorsCompile(t *testing.T) {
	namespace := env.Namespace(t)
	secretsOfSamples(t, namespace)
	files, err := filepath.Glob("../../config/samples/http/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, file := range files {
		base := filepath.Base(file)
		if base == "kustomization.yaml" || base == "secrets.yaml" {
			continue
		}
		tried++
		c := shippedConnector(t, base)
		c.Namespace, c.UID = namespace, "1"
		r, err := NewResolver(env.Client(t), env.Config, prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		if e, err := r.Engine(t.Context(), c); err != nil || e == nil {
			t.Errorf("%s: %v", base, err)
		}
	}
	if tried < 11 {
		t.Errorf("only %d connectors", tried)
	}
}

// What is wrong with an http Connector is said on it, with the field, line and column, and without the secret.
func TestMistakesOfHTTPConnectorsAreNamed(t *testing.T) {
	namespace := env.Namespace(t)
	secretsOfSamples(t, namespace)
	tests := map[string]struct {
		change func(*accessv1alpha1.HTTPBackend)
		want   string
	}{
		"a misspelt variable": {
			func(h *accessv1alpha1.HTTPBackend) { h.Operations.Observe.Account.ID = "itme.userId" },
			"http.operations.observe.account.id: line 1, column",
		},
		"a syntax error in a second line": {
			func(h *accessv1alpha1.HTTPBackend) {
				h.Operations.AddEntitlement[0].Body = "{'userId':\n user.item.userId,, }"
			},
			"http.operations.addEntitlement[0].body: line 2, column",
		},
		"a wrong type": {
			func(h *accessv1alpha1.HTTPBackend) { h.Operations.Observe.Account.Query["query"] = "1 + 1" },
			"http.operations.observe.account.query[query]: line 1, column 1: must yield a string, not int",
		},
		"a path": {
			func(h *accessv1alpha1.HTTPBackend) { h.Operations.Check.Path = "/{user.id}" },
			"http.operations.check.path: line 1, column 1: undeclared reference to 'user'",
		},
		"a key that is none": {
			func(h *accessv1alpha1.HTTPBackend) {
				h.Authentication = accessv1alpha1.HTTPAuthentication{GitHubApp: &accessv1alpha1.GitHubAppAuthentication{
					AppID: "1", InstallationID: 1, PrivateKeySecretRef: accessv1alpha1.SecretKeyReference{Name: "github-app", Key: "junk"},
				}}
			},
			`http.authentication.githubApp.privateKeySecretRef: key "junk" of secret "github-app" holds no private RSA key`,
		},
		"a key of another algorithm": {
			func(h *accessv1alpha1.HTTPBackend) {
				h.Authentication = accessv1alpha1.HTTPAuthentication{JWTBearer: &accessv1alpha1.JWTBearerAuthentication{
					Algorithm: "ES256", PrivateKeySecretRef: accessv1alpha1.SecretKeyReference{Name: "google-access", Key: "private-key.pem"},
				}}
			},
			`http.authentication.jwtBearer.privateKeySecretRef: key "private-key.pem" of secret "google-access" holds no private key on the curve P-256`,
		},
		"a header that is not there": {
			func(h *accessv1alpha1.HTTPBackend) {
				h.Authentication = accessv1alpha1.HTTPAuthentication{Header: &accessv1alpha1.HeaderAuthentication{
					Name: "X", ValueSecretRef: accessv1alpha1.SecretKeyReference{Name: "nowhere", Key: "x"},
				}}
			},
			`http.authentication.header.valueSecretRef: secret "nowhere" does not exist`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := shippedConnector(t, "grafana.yaml")
			c.Namespace, c.UID = namespace, "1"
			tc.change(c.Spec.HTTP)
			r, err := NewResolver(env.Client(t), env.Config, prometheus.NewRegistry())
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.Engine(t.Context(), c)
			var wrong *provisioning.UnavailableError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}
