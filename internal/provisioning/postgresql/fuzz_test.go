// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package postgresql

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgconn"

	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/sqlclient"
	"getcakewalk.io/access-operator/internal/sqlclient/sqlclienttest"
)

const (
	ann      = "ann"
	editors  = "editors"
	operator = "operator"
)

// catalogue is the server's answers.
type catalogue struct{ accounts, roles, members, through sqlclienttest.Answer }

// backend returns a backend of a server that answers so.
func (c *catalogue) backend(t *testing.T) *Backend {
	t.Helper()
	db := sqlclienttest.Open(func(statement string) sqlclienttest.Answer {
		switch {
		case strings.Contains(statement, "rolcanlogin"):
			return c.accounts
		case strings.Contains(statement, "pg_has_role"):
			return c.through
		case strings.Contains(statement, "u.oid = m.member"):
			return c.members
		default:
			return c.roles
		}
	})
	b := &Backend{options: Options{Username: operator}, sql: sqlclient.New(db, sqlclient.Options{Timeout: time.Minute, Word: word, WithoutTLS: withoutTLS})}
	t.Cleanup(b.Close)
	return b
}

// FuzzAnswers lets a server answer with any rows. What cannot be read is an error, and what is seen is what the rows say.
func FuzzAnswers(f *testing.F) {
	const account = "'ann|#16384|true|false|#0"
	f.Add(account, "'editors", "'ann\n'bob\n'operator", "")
	f.Add("ann|16384|f|f|0", editors, "bob\nAnn\nann ", "staff\nwriters")
	f.Add("'ann|#16384|false|false|#1", "'editors", "'ann", "")
	f.Add("", "'editors", "'ann", "")
	f.Add("'Ann|#1|true|true|#0", "'editors", "'ann", "")
	f.Add(account+"\n'Ann|#7|false|false|#0", "'Editors\n'editors", "'ann\n'ann", "")
	f.Add(account+"\n'ann|#7|false|false|#0", "'editors", "", "")
	f.Add(account, "'Editors", "'ann", "")
	f.Add(account, "", "'ann", "")
	f.Add("'ann|#-1|true|false|#0", "'editors", "'ann", "")
	f.Add(account, "'editors", "NULL", "'a|'b")
	f.Add(account, "'editors", "'ann", "NULL")
	f.Add(account+"\n!", "'editors", "'ann", "")
	f.Add(account+"\n!57014 canceling\tstatement\x1b[31m \xff", "'editors", "'ann\n!", "")
	f.Add("!28P01 password authentication failed", "!42501 permission denied", "", "")
	f.Add(account, "'editors", "!53300 "+strings.Repeat("x", 600), "!"+strings.Repeat("\xff", 600)+" ")
	f.Add(account, "'editors", "'ann", "!3D000\ttwo words")
	f.Fuzz(func(t *testing.T, accounts, roles, members, through string) {
		read := func(text string) sqlclienttest.Answer {
			return sqlclienttest.Read(text, func(code, message string) error { return &pgconn.PgError{Code: code, Message: message} })
		}
		c := catalogue{accounts: read(accounts), roles: read(roles), members: read(members), through: read(through)}
		c.check(t)
	})
}

// check holds what is seen through a server against its answers.
func (c *catalogue) check(t *testing.T) {
	t.Helper()
	b := c.backend(t)
	want, wantErr := c.access()
	seen, err := b.Observe(t.Context(), provisioning.Subject{ID: ann}, []string{editors})
	sqlclienttest.CheckError(t, err, wantErr, c.accounts, c.roles, c.members, c.through)
	if err == nil {
		if diff := cmp.Diff(want, seen, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("seen (+) is not what is so (-):\n%s", diff)
		}
	}
	exists, wantErr := c.exists()
	has, err := b.HasEntitlement(t.Context(), editors)
	sqlclienttest.CheckError(t, err, wantErr, c.roles)
	if err == nil && has != exists {
		t.Errorf("HasEntitlement: %t", has)
	}
	names, wantErr := c.holders()
	names = slices.DeleteFunc(names, func(name string) bool { return name == operator })
	count, err := b.CountMembers(t.Context(), editors)
	sqlclienttest.CheckError(t, err, wantErr, c.roles, c.members)
	if err == nil && count != len(names) {
		t.Errorf("CountMembers: %d of %q", count, names)
	}
}

// access is what the answers say of ann and the editors.
func (c *catalogue) access() (provisioning.Access, error) {
	seen := provisioning.Access{Account: provisioning.AccountAbsent, Entitlements: map[string]provisioning.Membership{}}
	accounts, ok := c.accounts.Texts(5)
	if !ok {
		return seen, sqlclienttest.ErrUnclear
	}
	found, group := 0, false
	for _, a := range accounts {
		_, notOID := strconv.ParseUint(a[1], 10, 32)
		login, notBool := strconv.ParseBool(a[2])
		_, notSuper := strconv.ParseBool(a[3])
		members, notCount := strconv.Atoi(a[4])
		if errors.Join(notOID, notBool, notSuper, notCount) != nil {
			return seen, sqlclienttest.ErrUnclear
		}
		if a[0] != ann {
			continue
		}
		found++
		group = !login && members > 0
		seen.Account, seen.AccountID = provisioning.AccountInactive, ann
		if login {
			seen.Account = provisioning.AccountActive
		}
	}
	switch {
	case found > 1:
		return seen, provisioning.Permanent(provisioning.ReasonAmbiguousSubject, sqlclienttest.ErrUnclear)
	case group:
		return seen, provisioning.Permanent(provisioning.ReasonRefused, sqlclienttest.ErrUnclear)
	}
	names, err := c.holders()
	if err != nil {
		return seen, err
	}
	m := provisioning.Membership{Presence: provisioning.Absent, OthersKnown: true}
	for _, name := range names {
		if found == 1 && name == ann {
			m.Presence = provisioning.Present
		} else {
			m.Others = append(m.Others, name)
		}
	}
	if found == 1 {
		if m.Inherited, ok = only(c.through); !ok {
			return seen, sqlclienttest.ErrUnclear
		}
	}
	seen.Entitlements[editors] = m
	return seen, nil
}

func (c *catalogue) exists() (bool, error) {
	roles, ok := only(c.roles)
	if !ok {
		return false, sqlclienttest.ErrUnclear
	}
	return slices.Contains(roles, editors), nil
}

// holders are who has the editors.
func (c *catalogue) holders() ([]string, error) {
	exists, err := c.exists()
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, provisioning.Permanent(provisioning.ReasonEntitlementNotFound, sqlclienttest.ErrUnclear)
	}
	names, ok := only(c.members)
	if !ok {
		return nil, sqlclienttest.ErrUnclear
	}
	return names, nil
}

// only are the rows of one column.
func only(a sqlclienttest.Answer) ([]string, bool) {
	rows, ok := a.Texts(1)
	var all []string
	for _, row := range rows {
		all = append(all, row[0])
	}
	return all, ok
}
