// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mysql

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// quote makes an identifier of a name. Unlike a string, it means the same in every sql_mode.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func (a *account) quoted() string { return quote(a.name) + "@" + quote(a.host) }

// quoteRole is a role in a statement.
func (d *dialect) quoteRole(role string) string {
	if d.roleHost {
		return quote(role) + "@" + quote(anyHost)
	}
	return quote(role)
}

// Apply implements provisioning.Backend.
func (b *Backend) Apply(ctx context.Context, s provisioning.Subject, c provisioning.Change) error {
	d, err := b.dialectOf(ctx)
	if err != nil {
		return err
	}
	if c.Action == provisioning.CreateAccount {
		return b.createAccount(ctx, s.ID)
	}
	a, err := b.findAccount(ctx, s.ID)
	if err != nil {
		return err
	}
	if a == nil {
		return provisioning.Retryable(errors.New("the account vanished meanwhile"))
	}
	switch c.Action {
	case provisioning.AddEntitlement:
		return b.sql.Exec(ctx, "GRANT "+d.quoteRole(c.Entitlement)+" TO "+a.quoted())
	case provisioning.RemoveEntitlement:
		return b.sql.Exec(ctx, "REVOKE "+d.quoteRole(c.Entitlement)+" FROM "+a.quoted())
	case provisioning.ActivateAccount:
		return b.sql.Exec(ctx, "ALTER USER "+a.quoted()+" ACCOUNT UNLOCK")
	case provisioning.DeactivateAccount:
		return b.sql.Exec(ctx, "ALTER USER "+a.quoted()+" ACCOUNT LOCK")
	default:
		return provisioning.Permanent(provisioning.ReasonNotSupported,
			fmt.Errorf("%s: users are locked and not dropped; set lifecycle.onRemove to DeactivateAccount", c.Action))
	}
}

// createAccount creates a user with a password, always: without one anybody could log in.
func (b *Backend) createAccount(ctx context.Context, name string) error {
	password := rand.Text() + "a1!"
	if b.options.NewPassword != nil {
		var err error
		if password, err = b.options.NewPassword(ctx, name); err != nil {
			return err
		}
	}
	if strings.ContainsAny(password, `'\`) {
		return provisioning.Permanent(provisioning.ReasonRefused, errors.New("the password in the Secret holds a quote or a backslash"))
	}
	a := account{name: name, host: anyHost}
	if b.options.AccountHost != "" {
		a.host = b.options.AccountHost
	}
	return b.sql.Exec(ctx, "CREATE USER "+a.quoted()+" IDENTIFIED BY '"+password+"'")
}

// CreateEntitlement implements provisioning.EntitlementCreator.
func (b *Backend) CreateEntitlement(ctx context.Context, role string) error {
	d, err := b.dialectOf(ctx)
	if err != nil {
		return err
	}
	return b.sql.Exec(ctx, "CREATE ROLE "+d.quoteRole(role))
}

// RemoveAllMembers implements provisioning.EntitlementEmptier.
func (b *Backend) RemoveAllMembers(ctx context.Context, role string) error {
	d, err := b.dialectOf(ctx)
	if err != nil {
		return err
	}
	members, err := b.otherMembers(ctx, role)
	if err != nil {
		return err
	}
	for _, m := range members {
		who := m.quoted()
		if m.host == "" {
			// A role of MariaDB.
			who = quote(m.name)
		}
		if err := b.sql.Exec(ctx, "REVOKE "+d.quoteRole(role)+" FROM "+who); err != nil {
			return err
		}
	}
	return nil
}
