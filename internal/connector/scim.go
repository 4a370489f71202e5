// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"time"

	"golang.org/x/time/rate"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning/scim"
)

func newSCIM(spec *accessv1alpha1.ConnectorSpec, refs *references, limiter *rate.Limiter) (*backend, error) {
	s := spec.SCIM
	authentication, err := newAuthentication("scim.authentication", s.Authentication, refs)
	if err != nil {
		return nil, err
	}
	roots, err := refs.Roots("scim.certificateAuthority", s.CertificateAuthority)
	if err != nil {
		return nil, err
	}
	c := httpclient.New(httpclient.Options{
		Authentication: authentication,
		RootCAs:        roots,
		Timeout:        time.Duration(s.RequestTimeoutSeconds) * time.Second,
		Limiter:        limiter,
	})
	return &backend{
		Backend: scim.New(scim.Options{BaseURL: s.BaseURL, Client: c, GroupsByID: s.GroupIdentifier == accessv1alpha1.SCIMGroupID}),
		close:   c.Close,
	}, nil
}
