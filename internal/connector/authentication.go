// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"crypto/x509"
	"fmt"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
)

func newAuthentication(field string, a accessv1alpha1.HTTPAuthentication, refs *references) (httpclient.Authentication, error) {
	switch {
	case a.Bearer != nil:
		token, err := refs.secret(field+".bearer.tokenSecretRef", a.Bearer.TokenSecretRef.Name, a.Bearer.TokenSecretRef.Key)
		if err != nil {
			return nil, err
		}
		return httpclient.Bearer(token), nil
	case a.Basic != nil:
		field += ".basic.secretRef"
		username, err := refs.secret(field, a.Basic.SecretRef.Name, "username")
		if err != nil {
			return nil, err
		}
		password, err := refs.secret(field, a.Basic.SecretRef.Name, "password")
		if err != nil {
			return nil, err
		}
		return httpclient.Basic(username, password), nil
	case a.OAuth2 != nil:
		field += ".oauth2.secretRef"
		id, err := refs.secret(field, a.OAuth2.SecretRef.Name, "clientID")
		if err != nil {
			return nil, err
		}
		secret, err := refs.secret(field, a.OAuth2.SecretRef.Name, "clientSecret")
		if err != nil {
			return nil, err
		}
		return httpclient.ClientCredentials(a.OAuth2.TokenURL, id, secret, a.OAuth2.Scopes), nil
	default:
		return nil, provisioning.Unavailable(accessv1alpha1.ReasonInvalidConfiguration,
			fmt.Errorf("%s: must have exactly one of bearer, basic and oauth2", field))
	}
}

// newRoots returns the certificates that a server's certificate is verified with, nil for those of the system.
func newRoots(field string, source *accessv1alpha1.KeySource, refs *references) (*x509.CertPool, error) {
	if source == nil {
		return nil, nil
	}
	pem, err := refs.keySource(field, source)
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
