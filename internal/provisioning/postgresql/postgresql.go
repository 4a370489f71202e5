// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package postgresql provisions the membership of roles in a PostgreSQL server. A subject is a role that may log in, an
// entitlement is a role of which it becomes a direct member. What is seen comes from the system catalogue alone.
package postgresql

import (
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/time/rate"

	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/sqlclient"
)

// Options say which server is spoken to, and as whom.
type Options struct {
	// Host and Port are the server's.
	Host string
	Port uint16
	// Database is the database to connect to. Roles are the whole server's, whichever it is.
	Database string
	// Username and Password are the credentials.
	Username, Password string
	// TLS says how the server is verified. Nil: the connection is not encrypted.
	TLS *tls.Config
	// Timeout is how long one request may take, with connecting.
	Timeout time.Duration
	// Limiter is waited for before every request. Nil: no limit.
	Limiter *rate.Limiter
	// NewPassword returns the password of an account that is created, the same one each time for the same account. Nil:
	// an account is created without one, and cannot log in by a password.
	NewPassword func(ctx context.Context, account string) (string, error)
}

// Backend is a provisioning.Backend. It may be used by several goroutines.
type Backend struct {
	options Options
	sql     *sqlclient.Client
}

var (
	_ provisioning.Backend            = (*Backend)(nil)
	_ provisioning.EntitlementEmptier = (*Backend)(nil)
	_ provisioning.EntitlementCreator = (*Backend)(nil)
)

// New returns a Backend. It connects when it is used; Close ends its connections.
func New(o Options) (*Backend, error) {
	// Every setting is ours: what the environment of the process says (PGHOST, PGPASSFILE and so on) must not count.
	config, err := pgx.ParseConfig("host=localhost sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("the settings of PostgreSQL in the environment of the process are wrong: %w", err)
	}
	config.Host, config.Port, config.Database = o.Host, o.Port, o.Database
	config.User, config.Password, config.TLSConfig = o.Username, o.Password, o.TLS
	config.Fallbacks = nil
	if o.TLS == nil {
		// Who answers in the server's place must not be told the password for the asking.
		config.RequireAuth = "!password"
	}
	config.ConnectTimeout = o.Timeout
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.RuntimeParams = map[string]string{
		"application_name": "access-operator",
		// Nobody's functions or tables shadow the catalogue's.
		"search_path": "pg_catalog",
	}
	db := stdlib.OpenDB(*config)
	return &Backend{options: o, sql: sqlclient.New(db, sqlclient.Options{Timeout: o.Timeout, Limiter: o.Limiter, Word: word, WithoutTLS: withoutTLS})}, nil
}

// Close ends the connections.
func (b *Backend) Close() { b.sql.Close() }

// Check implements provisioning.Backend.
func (b *Backend) Check(ctx context.Context) error {
	_, err := b.sql.Strings(ctx, "SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname = current_user")
	return err
}

// account is a role that is looked at as an account.
type account struct {
	oid      uint32
	canLogin bool
	super    bool
	// members is how many roles are members of it.
	members int
}

// findAccount returns the role of a name, nil for none. Names of roles are unique, and have a case.
func (b *Backend) findAccount(ctx context.Context, name string) (*account, error) {
	var found []account
	err := b.sql.Query(ctx, func(rows *sql.Rows) error {
		var a account
		var is string
		if err := rows.Scan(&is, &a.oid, &a.canLogin, &a.super, &a.members); err != nil {
			return err
		}
		if is == name {
			found = append(found, a)
		}
		return nil
	}, `SELECT r.rolname::text, r.oid, r.rolcanlogin, r.rolsuper, (SELECT count(*) FROM pg_catalog.pg_auth_members m WHERE m.roleid = r.oid)
		FROM pg_catalog.pg_roles r WHERE r.rolname::text = $1::text`, name)
	switch {
	case err != nil || len(found) == 0:
		return nil, err
	case len(found) > 1:
		return nil, provisioning.Permanent(provisioning.ReasonAmbiguousSubject, fmt.Errorf("the server has %d roles of the subject's name", len(found)))
	case !found[0].canLogin && found[0].members > 0:
		return nil, provisioning.Permanent(provisioning.ReasonRefused,
			fmt.Errorf("the subject is the name of a role that others are members of and that cannot log in: that is a group, and no account"))
	default:
		return &found[0], nil
	}
}

// Observe implements provisioning.Backend.
func (b *Backend) Observe(ctx context.Context, s provisioning.Subject, entitlements []string) (provisioning.Access, error) {
	seen := provisioning.Access{Account: provisioning.AccountAbsent, Entitlements: make(map[string]provisioning.Membership, len(entitlements))}
	a, err := b.findAccount(ctx, s.ID)
	if err != nil {
		return seen, err
	}
	if a != nil {
		seen.Account, seen.AccountID = provisioning.AccountInactive, s.ID
		if a.canLogin {
			seen.Account = provisioning.AccountActive
		}
	}
	for _, e := range entitlements {
		if seen.Entitlements[e], err = b.membership(ctx, a, s.ID, e); err != nil {
			return seen, err
		}
	}
	return seen, nil
}

// maxMembers bounds how many members of a role are read.
const maxMembers = 100_000

// membership tells who is a direct member of a role, and through which roles the account is one besides.
func (b *Backend) membership(ctx context.Context, a *account, subject, role string) (provisioning.Membership, error) {
	m := provisioning.Membership{Presence: provisioning.Absent, OthersKnown: true}
	exists, err := b.HasEntitlement(ctx, role)
	if err != nil {
		return m, err
	}
	if !exists {
		return m, provisioning.Permanent(provisioning.ReasonEntitlementNotFound, fmt.Errorf("the server has no role %q", role))
	}
	// From version 16 on a member is listed once for each who granted it.
	members, err := b.sql.Strings(ctx, `SELECT DISTINCT u.rolname::text FROM pg_catalog.pg_auth_members m
		JOIN pg_catalog.pg_roles r ON r.oid = m.roleid JOIN pg_catalog.pg_roles u ON u.oid = m.member
		WHERE r.rolname::text = $1::text LIMIT $2::int`, role, maxMembers+1)
	if err != nil {
		return m, err
	}
	if len(members) > maxMembers {
		return m, provisioning.Permanent(provisioning.ReasonRefused, fmt.Errorf("the role %q has more than %d members", role, maxMembers))
	}
	for _, name := range members {
		if a != nil && name == subject {
			m.Presence = provisioning.Present
		} else {
			m.Others = append(m.Others, name)
		}
	}
	if a == nil {
		return m, nil
	}
	m.Inherited, err = b.sql.Strings(ctx, `SELECT DISTINCT d.rolname::text FROM pg_catalog.pg_auth_members m
		JOIN pg_catalog.pg_roles d ON d.oid = m.roleid JOIN pg_catalog.pg_roles r ON r.rolname::text = $2::text
		WHERE m.member = $1::oid AND d.oid <> r.oid AND pg_catalog.pg_has_role(d.oid, r.oid, 'MEMBER') LIMIT 100`, a.oid, role)
	return m, err
}

// HasEntitlement implements provisioning.EntitlementCreator.
func (b *Backend) HasEntitlement(ctx context.Context, role string) (bool, error) {
	found, err := b.sql.Strings(ctx, "SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname::text = $1::text", role)
	return slices.Contains(found, role), err
}

// CountMembers implements provisioning.EntitlementEmptier. The operator's own role is not counted: from version 16 on, who
// makes a role becomes a member that may grant it.
func (b *Backend) CountMembers(ctx context.Context, role string) (int, error) {
	members, err := b.otherMembers(ctx, role)
	return len(members), err
}

// otherMembers are the members of a role but for the operator's own role.
func (b *Backend) otherMembers(ctx context.Context, role string) ([]string, error) {
	m, err := b.membership(ctx, nil, "", role)
	return slices.DeleteFunc(m.Others, func(name string) bool { return name == b.options.Username }), err
}
