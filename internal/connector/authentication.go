// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"cmp"
	"crypto"
	"fmt"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
)

func newAuthentication(field string, a accessv1alpha1.HTTPAuthentication, refs *references) (httpclient.Authentication, error) {
	switch {
	case a.Bearer != nil:
		token, err := refs.Secret(field+".bearer.tokenSecretRef", a.Bearer.TokenSecretRef.Name, a.Bearer.TokenSecretRef.Key)
		if err != nil {
			return nil, err
		}
		return httpclient.Bearer(token), nil
	case a.Basic != nil:
		field += ".basic.secretRef"
		username, err := refs.Secret(field, a.Basic.SecretRef.Name, "username")
		if err != nil {
			return nil, err
		}
		password, err := refs.Secret(field, a.Basic.SecretRef.Name, "password")
		if err != nil {
			return nil, err
		}
		return httpclient.Basic(username, password), nil
	case a.OAuth2 != nil:
		field += ".oauth2.secretRef"
		id, err := refs.Secret(field, a.OAuth2.SecretRef.Name, "clientID")
		if err != nil {
			return nil, err
		}
		secret, err := refs.Secret(field, a.OAuth2.SecretRef.Name, "clientSecret")
		if err != nil {
			return nil, err
		}
		return httpclient.ClientCredentials(a.OAuth2.TokenURL, id, secret, a.OAuth2.Scopes), nil
	case a.Header != nil:
		value, err := refs.Secret(field+".header.valueSecretRef", a.Header.ValueSecretRef.Name, a.Header.ValueSecretRef.Key)
		if err != nil {
			return nil, err
		}
		return httpclient.Header(a.Header.Name, a.Header.Prefix, value), nil
	case a.JWTBearer != nil:
		return newJWTBearer(field+".jwtBearer", a.JWTBearer, refs)
	case a.GitHubApp != nil:
		return newGitHubApp(field+".githubApp", a.GitHubApp, refs)
	default:
		return nil, provisioning.Unavailable(accessv1alpha1.ReasonInvalidConfiguration,
			fmt.Errorf("%s: must have exactly one member", field))
	}
}

func newJWTBearer(field string, j *accessv1alpha1.JWTBearerAuthentication, refs *references) (httpclient.Authentication, error) {
	key, err := privateKey(field+".privateKeySecretRef", string(j.Algorithm), j.PrivateKeySecretRef, refs)
	if err != nil {
		return nil, err
	}
	return httpclient.JWTBearer(j.TokenURL, httpclient.Assertion{
		Key: key, KeyID: j.KeyID, Issuer: j.Issuer, Subject: cmp.Or(j.Subject, j.Issuer), Audience: cmp.Or(j.Audience, j.TokenURL), Scopes: j.Scopes,
	}), nil
}

func newGitHubApp(field string, g *accessv1alpha1.GitHubAppAuthentication, refs *references) (httpclient.Authentication, error) {
	key, err := privateKey(field+".privateKeySecretRef", "RS256", g.PrivateKeySecretRef, refs)
	if err != nil {
		return nil, err
	}
	return httpclient.GitHubApp(g.APIURL, g.InstallationID, httpclient.Assertion{Key: key, Issuer: g.AppID}), nil
}

// privateKey reads a private key. The error says nothing of what the Secret holds.
func privateKey(field, algorithm string, ref accessv1alpha1.SecretKeyReference, refs *references) (crypto.Signer, error) {
	pem, err := refs.SecretValue(field, ref.Name, ref.Key)
	if err != nil {
		return nil, err
	}
	key, err := httpclient.ParseKey(algorithm, []byte(pem))
	if err != nil {
		return nil, invalid("%s: key %q of secret %q %w", field, ref.Key, ref.Name, err)
	}
	return key, nil
}
