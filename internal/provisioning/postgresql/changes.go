// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package postgresql

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// maxName is the longest name of a role, in bytes. A longer one is cut by the server, and would be another's.
const maxName = 63

// quote makes an identifier of a name.
func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// Apply implements provisioning.Backend.
func (b *Backend) Apply(ctx context.Context, s provisioning.Subject, c provisioning.Change) error {
	for _, name := range []string{s.ID, c.Entitlement} {
		if len(name) > maxName {
			return provisioning.Permanent(provisioning.ReasonRefused, fmt.Errorf("the name %q is longer than %d bytes, which PostgreSQL cuts", name, maxName))
		}
	}
	switch c.Action {
	case provisioning.AddEntitlement:
		return b.sql.Exec(ctx, "GRANT "+quote(c.Entitlement)+" TO "+quote(s.ID))
	case provisioning.RemoveEntitlement:
		return b.revoke(ctx, c.Entitlement, s.ID)
	case provisioning.CreateAccount:
		return b.createAccount(ctx, s.ID)
	case provisioning.ActivateAccount:
		return b.alterAccount(ctx, s.ID, "LOGIN")
	case provisioning.DeactivateAccount:
		return b.alterAccount(ctx, s.ID, "NOLOGIN")
	default:
		return provisioning.Permanent(provisioning.ReasonNotSupported,
			fmt.Errorf("%s: a role that owns something cannot be dropped; set lifecycle.onRemove to DeactivateAccount, which takes its right to log in", c.Action))
	}
}

// revoke takes a role from a member. From version 16 on every grantor's grant is one of its own.
func (b *Backend) revoke(ctx context.Context, role, member string) error {
	grantors, err := b.sql.Strings(ctx, `SELECT g.rolname::text FROM pg_catalog.pg_auth_members m
		JOIN pg_catalog.pg_roles r ON r.oid = m.roleid JOIN pg_catalog.pg_roles u ON u.oid = m.member JOIN pg_catalog.pg_roles g ON g.oid = m.grantor
		WHERE r.rolname::text = $1::text AND u.rolname::text = $2::text AND current_setting('server_version_num')::int >= 160000`, role, member)
	if err != nil {
		return err
	}
	statement := "REVOKE " + quote(role) + " FROM " + quote(member)
	if len(grantors) == 0 {
		return b.sql.Exec(ctx, statement)
	}
	for _, g := range grantors {
		if err := b.sql.Exec(ctx, statement+" GRANTED BY "+quote(g)); err != nil {
			return err
		}
	}
	return nil
}

func (b *Backend) createAccount(ctx context.Context, name string) error {
	statement := "CREATE ROLE " + quote(name) + " LOGIN"
	if b.options.NewPassword != nil {
		password, err := b.options.NewPassword(ctx, name)
		if err != nil {
			return err
		}
		verifier, err := scramVerifier(password)
		if err != nil {
			return provisioning.Retryable(fmt.Errorf("making a password: %w", err))
		}
		// The verifier has no quote in it.
		statement += " PASSWORD '" + verifier + "'"
	}
	return b.sql.Exec(ctx, statement)
}

func (b *Backend) alterAccount(ctx context.Context, name, option string) error {
	a, err := b.findAccount(ctx, name)
	if err != nil {
		return err
	}
	if a != nil && a.super {
		return provisioning.Permanent(provisioning.ReasonRefused, fmt.Errorf("the subject is a superuser of the server, whose account is left alone"))
	}
	return b.sql.Exec(ctx, "ALTER ROLE "+quote(name)+" "+option)
}

// CreateEntitlement implements provisioning.EntitlementCreator.
func (b *Backend) CreateEntitlement(ctx context.Context, role string) error {
	if len(role) > maxName {
		return provisioning.Permanent(provisioning.ReasonRefused, fmt.Errorf("the name %q is longer than %d bytes, which PostgreSQL cuts", role, maxName))
	}
	return b.sql.Exec(ctx, "CREATE ROLE "+quote(role)+" NOLOGIN")
}

// RemoveAllMembers implements provisioning.EntitlementEmptier.
func (b *Backend) RemoveAllMembers(ctx context.Context, role string) error {
	members, err := b.otherMembers(ctx, role)
	if err != nil {
		return err
	}
	for _, name := range members {
		if err := b.revoke(ctx, role, name); err != nil {
			return err
		}
	}
	return nil
}
