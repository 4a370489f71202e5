// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"time"

	"golang.org/x/time/rate"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning/mysql"
)

func newMySQL(spec *accessv1alpha1.ConnectorSpec, refs *references, limiter *rate.Limiter) (*backend, error) {
	s := spec.MySQL
	d, err := newDatabase("mysql", s.Host, s.SecretRef, s.TLS, s.Accounts, refs)
	if err != nil {
		return nil, err
	}
	b, err := mysql.New(mysql.Options{
		Host:        s.Host,
		Port:        uint16(s.Port), //nolint:gosec // the schema bounds it
		Username:    d.username,
		Password:    d.password,
		TLS:         d.tls,
		AccountHost: s.AccountHost,
		Timeout:     time.Duration(s.RequestTimeoutSeconds) * time.Second,
		Limiter:     limiter,
		NewPassword: d.newPassword,
	})
	if err != nil {
		return nil, invalid("mysql: %w", err)
	}
	return &backend{Backend: b, close: b.Close}, nil
}
