// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"golang.org/x/time/rate"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// backend is a provisioning.Backend or a provisioning.Executor, one of them, and how to end its connections, if it has any.
type backend struct {
	provisioning.Backend
	executor provisioning.Executor
	close    func()
}

// member is one member of the union of backends in a Connector's spec.
type member struct {
	// kind is the kind's name, as status, metrics and logs show it.
	kind string
	// chosen tells whether a Connector has this backend.
	chosen func(*accessv1alpha1.ConnectorSpec) bool
	// make makes it. An error is an *provisioning.UnavailableError. Nil for a kind that leaves everything to a person.
	make func(*accessv1alpha1.ConnectorSpec, *references, *rate.Limiter) (*backend, error)
}

// members are all of them: the one switch over the kinds of backends.
var members = []member{
	{"scim", func(s *accessv1alpha1.ConnectorSpec) bool { return s.SCIM != nil }, newSCIM},
	{"ldap", func(s *accessv1alpha1.ConnectorSpec) bool { return s.LDAP != nil }, newLDAP},
	{"postgresql", func(s *accessv1alpha1.ConnectorSpec) bool { return s.PostgreSQL != nil }, newPostgreSQL},
	{"mysql", func(s *accessv1alpha1.ConnectorSpec) bool { return s.MySQL != nil }, newMySQL},
	{"kubernetes", func(s *accessv1alpha1.ConnectorSpec) bool { return s.Kubernetes != nil }, newKubernetes},
	{"http", func(s *accessv1alpha1.ConnectorSpec) bool { return s.HTTP != nil }, newHTTP},
	{"job", func(s *accessv1alpha1.ConnectorSpec) bool { return s.Job != nil }, newJob},
	{"webhook", func(s *accessv1alpha1.ConnectorSpec) bool { return s.Webhook != nil }, newWebhook},
	{"manual", func(s *accessv1alpha1.ConnectorSpec) bool { return s.Manual != nil }, nil},
}

// memberOf returns the backend that a Connector has.
func memberOf(c *accessv1alpha1.Connector) member {
	for _, m := range members {
		if m.chosen(&c.Spec) {
			return m
		}
	}
	return member{kind: "unknown"}
}

func kind(c *accessv1alpha1.Connector) string { return memberOf(c).kind }

// newBackend makes a Connector's backend, nil where it leaves everything to a person. An error is an
// *provisioning.UnavailableError.
func newBackend(c *accessv1alpha1.Connector, refs *references, limiter *rate.Limiter) (*backend, error) {
	if m := memberOf(c); m.make != nil {
		return m.make(&c.Spec, refs, limiter)
	}
	return nil, nil
}
