// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"crypto/tls"
	"net/url"
	"time"

	"golang.org/x/time/rate"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning/ldap"
)

func newLDAP(spec *accessv1alpha1.ConnectorSpec, refs *references, limiter *rate.Limiter) (*backend, error) {
	s := spec.LDAP
	password, err := refs.Secret("ldap.passwordSecretRef", s.PasswordSecretRef.Name, s.PasswordSecretRef.Key)
	if err != nil {
		return nil, err
	}
	roots, err := refs.Roots("ldap.certificateAuthority", s.CertificateAuthority)
	if err != nil {
		return nil, err
	}
	address, err := url.Parse(s.URL)
	if err != nil || address.Hostname() == "" {
		return nil, invalid("ldap.url: is no URL with a host")
	}
	if err := ldap.CheckUserFilter(s.Users.Filter); err != nil {
		return nil, invalid("ldap.users.filter: %w", err)
	}
	if f := s.Groups.Filter; f != "" {
		if err := ldap.CheckFilter(f); err != nil {
			return nil, invalid("ldap.groups.filter: %w", err)
		}
	}
	b := ldap.New(ldap.Options{
		URL:              s.URL,
		StartTLS:         s.StartTLS != nil && *s.StartTLS,
		TLS:              &tls.Config{ServerName: address.Hostname(), RootCAs: roots, MinVersion: tls.VersionTLS12},
		BindDN:           s.BindDN,
		Password:         password,
		Timeout:          time.Duration(s.RequestTimeoutSeconds) * time.Second,
		Limiter:          limiter,
		UserBase:         s.Users.BaseDN,
		UserFilter:       s.Users.Filter,
		GroupBase:        s.Groups.BaseDN,
		GroupName:        s.Groups.NameAttribute,
		GroupFilter:      s.Groups.Filter,
		GroupClass:       s.Groups.ObjectClass,
		MemberAttribute:  s.Groups.MemberAttribute,
		EmptyGroupMember: s.Groups.PlaceholderDN,
		NewAccount:       newAccountOf(s.NewAccounts),
		Disabling:        disablingOf(s.Disabling),
	})
	return &backend{Backend: b, close: b.Close}, nil
}

func newAccountOf(s *accessv1alpha1.LDAPNewAccounts) *ldap.NewAccount {
	if s == nil {
		return nil
	}
	n := &ldap.NewAccount{Base: s.BaseDN, RDN: s.RDNAttribute, ObjectClasses: s.ObjectClasses, Attributes: map[string]string{}}
	for _, a := range s.Attributes {
		n.Attributes[a.Name] = a.Value
	}
	return n
}

func disablingOf(s *accessv1alpha1.LDAPDisabling) *ldap.Disabling {
	if s == nil {
		return nil
	}
	return &ldap.Disabling{
		UserAccountControl: s.Method == accessv1alpha1.LDAPUserAccountControl,
		PasswordPolicy:     s.Method == accessv1alpha1.LDAPPasswordPolicy,
		Attribute:          s.Attribute,
		Active:             s.ActiveValue,
		Inactive:           s.InactiveValue,
	}
}
