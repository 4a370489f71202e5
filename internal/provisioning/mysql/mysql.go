// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package mysql provisions the membership of roles in a MariaDB or MySQL server. A subject is the name of a user, an
// entitlement is a role that is granted to it directly. What is seen comes from the grant tables alone.
package mysql

import (
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"golang.org/x/time/rate"

	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/sqlclient"
)

// Options say which server is spoken to, and as whom.
type Options struct {
	// Host and Port are the server's.
	Host string
	Port uint16
	// Username and Password are the credentials.
	Username, Password string
	// TLS says how the server is verified. Nil: the connection is not encrypted.
	TLS *tls.Config
	// AccountHost is the host part of accounts, for example % or 10.0.0.0/255.0.0.0. Empty: the one that the account has,
	// and % for one that is created.
	AccountHost string
	// Timeout is how long one request may take, with connecting.
	Timeout time.Duration
	// Limiter is waited for before every request. Nil: no limit.
	Limiter *rate.Limiter
	// NewPassword returns the password of an account that is created, the same one each time for the same account. Nil:
	// an account gets one that nobody knows, since without one anybody could log in.
	NewPassword func(ctx context.Context, account string) (string, error)
}

// Backend is a provisioning.Backend. It may be used by several goroutines.
type Backend struct {
	options Options
	sql     *sqlclient.Client
	dialect dialects
}

var (
	_ provisioning.Backend            = (*Backend)(nil)
	_ provisioning.EntitlementEmptier = (*Backend)(nil)
	_ provisioning.EntitlementCreator = (*Backend)(nil)
)

const anyHost = "%"

// New returns a Backend. It connects when it is used; Close ends its connections.
func New(o Options) (*Backend, error) {
	config := driver.NewConfig()
	config.Net, config.Addr = "tcp", net.JoinHostPort(o.Host, strconv.Itoa(int(o.Port)))
	config.User, config.Passwd, config.TLS = o.Username, o.Password, o.TLS
	config.DBName = "mysql"
	config.Timeout, config.ReadTimeout, config.WriteTimeout = o.Timeout, o.Timeout, o.Timeout
	config.Logger = silent{}
	connector, err := driver.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("the settings of the connection are wrong: %w", err)
	}
	db := sql.OpenDB(connector)
	return &Backend{options: o, sql: sqlclient.New(db, sqlclient.Options{Timeout: o.Timeout, Limiter: o.Limiter, Word: word, WithoutTLS: withoutTLS})}, nil
}

// silent keeps the driver from writing to the process's standard error.
type silent struct{}

func (silent) Print(...any) {}

// Close ends the connections.
func (b *Backend) Close() { b.sql.Close() }

// Check implements provisioning.Backend.
func (b *Backend) Check(ctx context.Context) error {
	_, err := b.findAccount(ctx, "access-operator-probe")
	return err
}

// account is a user at a host.
type account struct {
	name, host string
	locked     bool
}

// key names an account for people, and as the server does.
func (a *account) key() string { return a.name + "@" + a.host }

// findAccount returns the one user of a name, nil for none. A user is a name at a host.
func (b *Backend) findAccount(ctx context.Context, name string) (*account, error) {
	d, err := b.dialectOf(ctx)
	if err != nil {
		return nil, err
	}
	var found []account
	err = b.sql.Query(ctx, func(rows *sql.Rows) error {
		var a account
		if err := rows.Scan(&a.name, &a.host, &a.locked); err != nil {
			return err
		}
		// The server may compare names without regard to case.
		if a.name == name && (b.options.AccountHost == "" || a.host == b.options.AccountHost) {
			found = append(found, a)
		}
		return nil
	}, d.accounts, name)
	switch {
	case err != nil:
		return nil, err
	case len(found) > 1:
		return nil, provisioning.Permanent(provisioning.ReasonAmbiguousSubject,
			fmt.Errorf("the server has %d users of the subject's name, at different hosts: say which one is meant (mysql.accountHost)", len(found)))
	case len(found) == 0:
		return nil, nil
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
		seen.Account, seen.AccountID = provisioning.AccountActive, a.key()
		if a.locked {
			seen.Account = provisioning.AccountInactive
		}
	}
	for _, e := range entitlements {
		if seen.Entitlements[e], err = b.membership(ctx, a, e); err != nil {
			return seen, err
		}
	}
	return seen, nil
}

// maxMembers bounds how many members of a role, and how many roles of roles, are read.
const maxMembers = 100_000

// membership tells to whom a role is granted directly, and through which roles the account has it besides.
func (b *Backend) membership(ctx context.Context, a *account, role string) (provisioning.Membership, error) {
	m := provisioning.Membership{Presence: provisioning.Absent, OthersKnown: true}
	members, err := b.members(ctx, role)
	if err != nil {
		return m, err
	}
	for _, other := range members {
		if a != nil && other.name == a.name && other.host == a.host {
			m.Presence = provisioning.Present
		} else {
			m.Others = append(m.Others, other.key())
		}
	}
	if a != nil {
		m.Inherited, err = b.inherited(ctx, a, role)
	}
	return m, err
}

// members are the users and roles that a role is granted to. The role must exist.
func (b *Backend) members(ctx context.Context, role string) ([]account, error) {
	d, err := b.dialectOf(ctx)
	if err != nil {
		return nil, err
	}
	exists, err := b.HasEntitlement(ctx, role)
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, provisioning.Permanent(provisioning.ReasonEntitlementNotFound, fmt.Errorf("the server has no role %q", role))
	}
	var all []account
	err = b.sql.Query(ctx, func(rows *sql.Rows) error {
		var a account
		var is string
		if err := rows.Scan(&is, &a.name, &a.host); err != nil {
			return err
		}
		if is == role {
			all = append(all, a)
		}
		return nil
	}, d.members, role, maxMembers+1)
	if err == nil && len(all) > maxMembers {
		err = provisioning.Permanent(provisioning.ReasonRefused, fmt.Errorf("the role %q has more than %d members", role, maxMembers))
	}
	return all, err
}

// inherited returns the roles of an account that have another role themselves, however far.
func (b *Backend) inherited(ctx context.Context, a *account, role string) ([]string, error) {
	d, err := b.dialectOf(ctx)
	if err != nil {
		return nil, err
	}
	holders, edges := map[string][]string{}, 0
	err = b.sql.Query(ctx, func(rows *sql.Rows) error {
		var holder, held string
		err := rows.Scan(&holder, &held)
		holders[held] = append(holders[held], holder)
		edges++
		return err
	}, d.rolesOfRoles, maxMembers+1)
	if err != nil || edges == 0 {
		return nil, err
	}
	if edges > maxMembers {
		return nil, provisioning.Permanent(provisioning.ReasonRefused, fmt.Errorf("the server's roles have more than %d roles", maxMembers))
	}
	own, err := b.sql.Strings(ctx, d.rolesOf, a.name, a.host)
	if err != nil {
		return nil, err
	}
	// From the role back, so that each row is followed once, however many roles the account has.
	leads := map[string]bool{}
	for next := []string{role}; len(next) > 0; next = next[1:] {
		for _, holder := range holders[next[0]] {
			if !leads[holder] {
				leads[holder] = true
				next = append(next, holder)
			}
		}
	}
	return slices.DeleteFunc(own, func(r string) bool { return r == role || !leads[r] }), nil
}

// HasEntitlement implements provisioning.EntitlementCreator.
func (b *Backend) HasEntitlement(ctx context.Context, role string) (bool, error) {
	d, err := b.dialectOf(ctx)
	if err != nil {
		return false, err
	}
	found, err := b.sql.Strings(ctx, d.roles, role)
	return slices.Contains(found, role), err
}

// CountMembers implements provisioning.EntitlementEmptier. The operator's own user is not counted: who may grant a role
// has it, in these servers.
func (b *Backend) CountMembers(ctx context.Context, role string) (int, error) {
	members, err := b.otherMembers(ctx, role)
	return len(members), err
}

// otherMembers are the members of a role but for the operator's own user.
func (b *Backend) otherMembers(ctx context.Context, role string) ([]account, error) {
	members, err := b.members(ctx, role)
	if err != nil {
		return nil, err
	}
	own, err := b.sql.Strings(ctx, "SELECT CURRENT_USER()")
	return slices.DeleteFunc(members, func(m account) bool { return slices.Contains(own, m.key()) }), err
}
