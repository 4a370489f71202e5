// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package kubernetes provisions RoleBindings and ClusterRoleBindings (rbac.authorization.k8s.io/v1), one per subject and
// role. A subject is the name of a user or a group, and needs no account; an entitlement is a role. Bindings that the
// operator did not make are read, so that nobody is taken for without access who has it, and never changed.
package kubernetes

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/time/rate"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// Options say which cluster is spoken to, and as whom.
type Options struct {
	// Config reaches the API server. Its limits of requests are not used.
	Config *rest.Config
	// SubjectKind is what subjects are: rbacv1.UserKind or rbacv1.GroupKind.
	SubjectKind string
	// Timeout is how long one request may take.
	Timeout time.Duration
	// Limiter is waited for before every request. Nil: no limit.
	Limiter *rate.Limiter
}

// Backend is a provisioning.Backend. It may be used by several goroutines.
type Backend struct {
	api         *apiServer
	subjectKind string
}

var (
	_ provisioning.Backend            = (*Backend)(nil)
	_ provisioning.EntitlementEmptier = (*Backend)(nil)
)

// New returns a Backend. Close ends its idle connections.
func New(o Options) (*Backend, error) {
	api, err := newAPIServer(o)
	if err != nil {
		return nil, err
	}
	return &Backend{api: api, subjectKind: o.SubjectKind}, nil
}

// Close ends the connections that are not in use.
func (b *Backend) Close() { b.api.close() }

// Check implements provisioning.Backend. It asks the API server who it is taken for.
func (b *Backend) Check(ctx context.Context) error { return b.api.whoAmI(ctx) }

// Observe implements provisioning.Backend. Every subject is taken for an active account: users and groups are names.
func (b *Backend) Observe(ctx context.Context, s provisioning.Subject, entitlements []string) (provisioning.Access, error) {
	seen := provisioning.Access{Account: provisioning.AccountActive, AccountID: s.ID, Entitlements: make(map[string]provisioning.Membership, len(entitlements))}
	for _, e := range entitlements {
		r, err := parseRole(e)
		if err != nil {
			return provisioning.Access{}, err
		}
		bindings, err := b.bindingsOf(ctx, r)
		if err != nil {
			return provisioning.Access{}, err
		}
		m := provisioning.Membership{Presence: provisioning.Absent, OthersKnown: true}
		for _, binding := range bindings {
			for _, other := range binding.Subjects {
				switch {
				case b.is(other, s.ID) && made(&binding):
					m.Presence = provisioning.Present
				case b.is(other, s.ID):
					m.Inherited = append(m.Inherited, r.bindingKind()+" "+name(&binding))
				case other.Kind == b.subjectKind:
					m.Others = append(m.Others, other.Name)
				}
			}
		}
		seen.Entitlements[e] = m
	}
	return seen, nil
}

// bindingsOf returns the bindings of a role, which must exist.
func (b *Backend) bindingsOf(ctx context.Context, r role) ([]rbacv1.RoleBinding, error) {
	if err := b.api.mustExist(ctx, r); err != nil {
		return nil, err
	}
	return b.api.list(ctx, r)
}

// is tells whether a binding's subject is the one of a name.
func (b *Backend) is(s rbacv1.Subject, name string) bool {
	return s.Kind == b.subjectKind && s.Name == name && s.APIGroup == rbacv1.GroupName
}

// Apply implements provisioning.Backend.
func (b *Backend) Apply(ctx context.Context, s provisioning.Subject, c provisioning.Change) error {
	if c.Action != provisioning.AddEntitlement && c.Action != provisioning.RemoveEntitlement {
		return provisioning.Permanent(provisioning.ReasonNotSupported,
			fmt.Errorf("%s: Kubernetes has no accounts: set lifecycle.onRemove to RemoveEntitlements", c.Action))
	}
	r, err := parseRole(c.Entitlement)
	if err != nil {
		return err
	}
	if c.Action == provisioning.AddEntitlement {
		return b.add(ctx, s.ID, r)
	}
	return b.remove(ctx, s.ID, r)
}

// add creates the subject's binding.
func (b *Backend) add(ctx context.Context, subject string, r role) error {
	wanted := b.binding(subject, r)
	err := b.api.create(ctx, r, wanted)
	if !isStatus(err, http.StatusConflict) {
		return err
	}
	there, err := b.api.get(ctx, r, wanted.Name)
	if err != nil {
		return err
	}
	if !made(there) || there.RoleRef != wanted.RoleRef {
		return provisioning.Permanent(provisioning.ReasonRefused,
			fmt.Errorf("%s %q is in the way: the operator did not make it, and will not change it", r.bindingKind(), name(there)))
	}
	if b.names(*there, subject) {
		return nil
	}
	// Somebody else was put into it, and stays.
	there.Subjects = append(there.Subjects, wanted.Subjects...)
	return b.api.update(ctx, r, there)
}

// remove takes the subject out of every binding that the operator made. Others are Observe's to tell.
func (b *Backend) remove(ctx context.Context, subject string, r role) error {
	bindings, err := b.api.list(ctx, r)
	if err != nil {
		return err
	}
	for _, binding := range bindings {
		if !made(&binding) || !b.names(binding, subject) {
			continue
		}
		if err := b.withdraw(ctx, r, &binding, subject); err != nil {
			return err
		}
	}
	return nil
}

// withdraw takes a subject out of a binding that the operator made, and deletes the binding where nobody else is in it.
func (b *Backend) withdraw(ctx context.Context, r role, binding *rbacv1.RoleBinding, subject string) error {
	var left []rbacv1.Subject
	for _, s := range binding.Subjects {
		if !b.is(s, subject) {
			left = append(left, s)
		}
	}
	if len(left) == 0 {
		return b.api.delete(ctx, r, binding)
	}
	binding.Subjects = left
	return b.api.update(ctx, r, binding)
}

func (b *Backend) names(binding rbacv1.RoleBinding, subject string) bool {
	for _, s := range binding.Subjects {
		if b.is(s, subject) {
			return true
		}
	}
	return false
}

// CountMembers implements provisioning.EntitlementEmptier.
func (b *Backend) CountMembers(ctx context.Context, entitlement string) (int, error) {
	r, err := parseRole(entitlement)
	if err != nil {
		return 0, err
	}
	bindings, err := b.bindingsOf(ctx, r)
	count := 0
	for _, binding := range bindings {
		count += len(binding.Subjects)
	}
	return count, err
}

// RemoveAllMembers implements provisioning.EntitlementEmptier.
func (b *Backend) RemoveAllMembers(ctx context.Context, entitlement string) error {
	r, err := parseRole(entitlement)
	if err != nil {
		return err
	}
	bindings, err := b.api.list(ctx, r)
	if err != nil {
		return err
	}
	var foreign []string
	for _, binding := range bindings {
		if !made(&binding) {
			foreign = append(foreign, name(&binding))
			continue
		}
		if err := b.api.delete(ctx, r, &binding); err != nil {
			return err
		}
	}
	if len(foreign) > 0 {
		return provisioning.Permanent(provisioning.ReasonRefused, fmt.Errorf(
			"%d %ss of the role were not made by the operator, which will not change them; remove them by hand, for example %q", len(foreign), r.bindingKind(), foreign[0]))
	}
	return nil
}
