// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"fmt"
	"time"

	"golang.org/x/time/rate"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning/webhook"
)

func newWebhook(spec *accessv1alpha1.ConnectorSpec, refs *references, limiter *rate.Limiter) (*backend, error) {
	s := spec.Webhook
	secrets := make([]webhook.Secret, 0, len(s.SecretRefs))
	for i, ref := range s.SecretRefs {
		field := fmt.Sprintf("webhook.secretRefs[%d]", i)
		text, err := refs.Secret(field, ref.Name, ref.Key)
		if err != nil {
			return nil, err
		}
		secret, err := webhook.ParseSecret(text)
		if err != nil {
			return nil, invalid("%s: key %q of secret %q %w", field, ref.Key, ref.Name, err)
		}
		secrets = append(secrets, secret)
	}
	roots, err := refs.Roots("webhook.certificateAuthority", s.CertificateAuthority)
	if err != nil {
		return nil, err
	}
	c := httpclient.New(httpclient.Options{
		RootCAs: roots,
		Timeout: time.Duration(s.RequestTimeoutSeconds) * time.Second,
		Limiter: limiter,
	})
	return &backend{
		executor: webhook.New(webhook.Options{URL: s.URL, Secrets: secrets, Client: c, PollInterval: time.Duration(s.PollIntervalSeconds) * time.Second}),
		close:    c.Close,
	}, nil
}
