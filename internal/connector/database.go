// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// database is what the backends for databases have in common.
type database struct {
	username, password string
	// tls is nil where the connection is not encrypted.
	tls *tls.Config
	// newPassword is nil where accounts get no password that anybody knows.
	newPassword func(ctx context.Context, account string) (string, error)
}

func newDatabase(field, host string, secret accessv1alpha1.SecretReference, t accessv1alpha1.DatabaseTLS, a accessv1alpha1.DatabaseAccounts, refs *references) (database, error) {
	var (
		d   database
		err error
	)
	if d.username, err = refs.Secret(field+".secretRef", secret.Name, "username"); err != nil {
		return d, err
	}
	if d.password, err = refs.Secret(field+".secretRef", secret.Name, "password"); err != nil {
		return d, err
	}
	if d.tls, err = newDatabaseTLS(field+".tls", host, t, refs); err != nil {
		return d, err
	}
	if ref := a.PasswordSecretRef; ref != nil {
		store, err := newPasswordStore(field+".accounts.passwordSecretRef", ref.Name, refs)
		if err != nil {
			return d, err
		}
		d.newPassword = store.passwordOf
	}
	return d, nil
}

func newDatabaseTLS(field, host string, t accessv1alpha1.DatabaseTLS, refs *references) (*tls.Config, error) {
	if t.Mode == accessv1alpha1.DatabaseTLSDisabled {
		return nil, nil
	}
	roots, err := refs.Roots(field+".certificateAuthority", t.CertificateAuthority)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{ServerName: host, RootCAs: roots, MinVersion: tls.VersionTLS12}
	if t.Mode == accessv1alpha1.DatabaseTLSVerifyCA {
		// The certificate is verified below; only its name is not looked at.
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(s, roots) }
	}
	return config, nil
}

// verifyChain verifies a server's certificate without regard to its name.
func verifyChain(s tls.ConnectionState, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the server shows no certificate")
	}
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range s.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(options)
	return err
}
