// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mysql

import (
	"database/sql/driver"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/sqlclient"
	"getcakewalk.io/access-operator/internal/sqlclient/sqlclienttest"
)

const (
	ann     = "ann"
	editors = "editors"
)

// grants are the server's answers.
type grants struct {
	version, users, roles, members, own, ofRoles, current sqlclienttest.Answer
}

// backend returns a backend of a server that answers so.
func (g *grants) backend(t *testing.T, host string) *Backend {
	t.Helper()
	db := sqlclienttest.Open(func(statement string) sqlclienttest.Answer {
		switch statement {
		case "SELECT VERSION()":
			return g.version
		case "SELECT CURRENT_USER()":
			return g.current
		case mariaDB.accounts, mySQL.accounts:
			return g.users
		case mariaDB.roles, mySQL.roles:
			return g.roles
		case mariaDB.members, mySQL.members:
			return g.members
		case mariaDB.rolesOf, mySQL.rolesOf:
			return g.own
		case mariaDB.rolesOfRoles, mySQL.rolesOfRoles:
			return g.ofRoles
		default:
			t.Errorf("nobody answers %s", statement)
			return sqlclienttest.Answer{}
		}
	})
	b := &Backend{options: Options{AccountHost: host}, sql: sqlclient.New(db, sqlclient.Options{Timeout: time.Minute, Word: word, WithoutTLS: withoutTLS})}
	t.Cleanup(b.Close)
	return b
}

func failure(code, message string) error {
	number, _ := strconv.ParseUint(code, 10, 16)
	return &mysqldriver.MySQLError{Number: uint16(number), Message: message}
}

// FuzzAnswers lets a server answer with any rows. What cannot be read is an error, and what is seen is what the rows say.
func FuzzAnswers(f *testing.F) {
	const (
		version = "11.4.2-MariaDB"
		user    = "ann|%|#0"
		member  = "editors|ann|%\neditors|bob|%"
	)
	f.Add(version, user, "'editors", member, "", "", "operator@%", "")
	f.Add("8.4.0", "ann|%|1\nann|10.0.0.1|0", editors, member, "", "", "bob@%", "")
	f.Add("8.4.0", "ann|%|1\nann|10.0.0.1|0", editors, member+"\neditors|ann|10.0.0.1\nEditors|ann|%", "staff\neditors", "staff|editors", "", "10.0.0.1")
	f.Add(version, "Ann|%|0\nann |%|0", "Editors", member, "", "", "", "")
	f.Add(version, "Ann|%|0", editors, member, "", "", "", "")
	f.Add(version, user, editors, "Editors|ann|%\neditors|Ann|%\neditors|ann|localhost\neditors|ann|", "", "", "", "")
	f.Add(version, "ann|x@y|false", editors, "editors|ann@x|y", "", "", "ann@x@y", "")
	f.Add(version, user, editors, member+"\neditors|NULL|%", "", "", "", "")
	f.Add(version, user, "editors|editors", member, "", "", "", "")
	f.Add(version, "ann|%|2", editors, member, "", "", "", "")
	f.Add(version, user, editors, member, "a\nb\nb", "a|b\nb|c\nc|a\nb|editors\neditors|b", "NULL", "")
	f.Add(version, user, editors, member, "a|b", "a|editors", "", "")
	f.Add(version, user, editors, member+"\n!", "", "", "", "")
	f.Add(version, "ann|localhost|'true", editors, "editors|ann|localhost\neditors|staff|", "staff\neditors\nwriters", "staff|editors\neditors|staff", "'operator@%", "localhost")
	f.Add(version, user+"\n!1045 Access denied\tfor\x1b[31m user \xff", editors, member, "", "", "", "")
	f.Add("!1040 Too many connections", "", "", "", "", "", "", "")
	f.Add(version, user, "!1142 SELECT command denied", "", "", "", "", "")
	f.Add(version, user, editors, member, "", "!1213 "+strings.Repeat("x", 600), "!", "%")
	f.Fuzz(func(t *testing.T, version, users, roles, members, own, ofRoles, current, host string) {
		read := func(text string) sqlclienttest.Answer { return sqlclienttest.Read(text, failure) }
		g := grants{version: read(version), users: read(users), roles: read(roles), members: read(members), own: read(own), ofRoles: read(ofRoles), current: read(current)}
		g.check(t, host)
	})
}

// check holds what is seen through a server against its answers.
func (g *grants) check(t *testing.T, host string) {
	t.Helper()
	b := g.backend(t, host)
	want, wantErr := g.access(host)
	seen, err := b.Observe(t.Context(), provisioning.Subject{ID: ann}, []string{editors})
	sqlclienttest.CheckError(t, err, wantErr, g.version, g.users, g.roles, g.members, g.own, g.ofRoles)
	if err == nil {
		if diff := cmp.Diff(want, seen, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("seen (+) is not what is so (-):\n%s", diff)
		}
	}
	exists, wantErr := g.exists()
	has, err := b.HasEntitlement(t.Context(), editors)
	sqlclienttest.CheckError(t, err, wantErr, g.version, g.roles)
	if err == nil && has != exists {
		t.Errorf("HasEntitlement: %t", has)
	}
	others, wantErr := g.others()
	count, err := b.CountMembers(t.Context(), editors)
	sqlclienttest.CheckError(t, err, wantErr, g.version, g.roles, g.members, g.current)
	if err == nil && count != others {
		t.Errorf("CountMembers: %d, want %d", count, others)
	}
}

// access is what the answers say of ann and the editors.
func (g *grants) access(host string) (provisioning.Access, error) {
	seen := provisioning.Access{Account: provisioning.AccountAbsent, Entitlements: map[string]provisioning.Membership{}}
	users, ok := g.users.Texts(3)
	if _, known := g.version.Texts(1); !ok || !known {
		return seen, sqlclienttest.ErrUnclear
	}
	var hosts []string
	for _, u := range users {
		locked, err := strconv.ParseBool(u[2])
		if err != nil {
			return seen, sqlclienttest.ErrUnclear
		}
		if u[0] != ann || host != "" && u[1] != host {
			continue
		}
		hosts = append(hosts, u[1])
		seen.Account, seen.AccountID = provisioning.AccountActive, ann+"@"+u[1]
		if locked {
			seen.Account = provisioning.AccountInactive
		}
	}
	if len(hosts) > 1 {
		return seen, provisioning.Permanent(provisioning.ReasonAmbiguousSubject, sqlclienttest.ErrUnclear)
	}
	rows, err := g.holders()
	if err != nil {
		return seen, err
	}
	m := provisioning.Membership{Presence: provisioning.Absent, OthersKnown: true}
	for _, r := range rows {
		if len(hosts) == 1 && r[1] == ann && r[2] == hosts[0] {
			m.Presence = provisioning.Present
		} else {
			m.Others = append(m.Others, r[1]+"@"+r[2])
		}
	}
	if len(hosts) == 1 {
		if m.Inherited, err = g.inherited(); err != nil {
			return seen, err
		}
	}
	seen.Entitlements[editors] = m
	return seen, nil
}

func (g *grants) exists() (bool, error) {
	roles, ok := g.roles.Texts(1)
	if _, known := g.version.Texts(1); !ok || !known {
		return false, sqlclienttest.ErrUnclear
	}
	return slices.ContainsFunc(roles, func(row []string) bool { return row[0] == editors }), nil
}

// holders are the rows of who has the editors.
func (g *grants) holders() ([][]string, error) {
	exists, err := g.exists()
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, provisioning.Permanent(provisioning.ReasonEntitlementNotFound, sqlclienttest.ErrUnclear)
	}
	rows, ok := g.members.Texts(3)
	if !ok {
		return nil, sqlclienttest.ErrUnclear
	}
	return slices.DeleteFunc(rows, func(row []string) bool { return row[0] != editors }), nil
}

// others is how many have the editors but for the operator.
func (g *grants) others() (int, error) {
	rows, err := g.holders()
	if err != nil {
		return 0, err
	}
	current, ok := g.current.Texts(1)
	if !ok {
		return 0, sqlclienttest.ErrUnclear
	}
	return len(slices.DeleteFunc(rows, func(row []string) bool {
		return slices.ContainsFunc(current, func(c []string) bool { return c[0] == row[1]+"@"+row[2] })
	})), nil
}

// inherited are the roles of ann's that lead to the editors: rows are gone through until none adds a role to these.
func (g *grants) inherited() ([]string, error) {
	edges, ok := g.ofRoles.Texts(2)
	if !ok {
		return nil, sqlclienttest.ErrUnclear
	}
	if len(edges) == 0 {
		return nil, nil
	}
	own, ok := g.own.Texts(1)
	if !ok {
		return nil, sqlclienttest.ErrUnclear
	}
	leads := map[string]bool{}
	for grew := true; grew; {
		grew = false
		for _, e := range edges {
			if (e[1] == editors || leads[e[1]]) && !leads[e[0]] {
				leads[e[0]], grew = true, true
			}
		}
	}
	var through []string
	for _, r := range own {
		if r[0] != editors && leads[r[0]] {
			through = append(through, r[0])
		}
	}
	return through, nil
}

// FuzzInherited lets roles have each other in any way: the walk through them ends, at every role that leads to the asked.
func FuzzInherited(f *testing.F) {
	f.Add([]byte{1, 0}, []byte{1}, uint16(0))
	f.Add([]byte{1, 2, 2, 1, 2, 2, 0, 1}, []byte{0, 1, 2, 1}, uint16(3))
	f.Add([]byte{1, 0, 0, 1}, []byte{0, 1}, uint16(0))
	f.Add([]byte{1, 2, 2, 1, 3, 0}, []byte{1, 2, 3}, uint16(0))
	f.Add([]byte{1, 2, 2, 3, 3, 4, 4, 0}, []byte{1, 9, 9}, uint16(255))
	f.Fuzz(func(t *testing.T, edges, own []byte, chain uint16) {
		g := newGraph()
		for pair := range slices.Chunk(edges, 2) {
			if len(pair) == 2 {
				g.grant(node(pair[0]), node(pair[1]))
			}
		}
		// A chain leads from the last role to the second.
		g.chain(node(0xff), node(1), int(chain%256))
		for _, n := range own {
			g.own.Rows = append(g.own.Rows, []driver.Value{node(n)})
		}
		g.check(t, "")
	})
}

// node names one of eight roles; the first are the editors.
func node(n byte) string {
	if n%8 == 0 {
		return editors
	}
	return string(rune('a' + n%8))
}

// newGraph is a server with ann and the editors, where roles have no roles yet.
func newGraph() *grants {
	return &grants{
		version: sqlclienttest.Answer{Rows: [][]driver.Value{{"8.4.0"}}},
		users:   sqlclienttest.Answer{Rows: [][]driver.Value{{ann, anyHost, int64(0)}}},
		roles:   sqlclienttest.Answer{Rows: [][]driver.Value{{editors}}},
	}
}

func (g *grants) grant(holder, held string) {
	g.ofRoles.Rows = append(g.ofRoles.Rows, []driver.Value{holder, held})
}

// chain lets a role have another through so many between them.
func (g *grants) chain(from, to string, between int) {
	for i := range between {
		next := "chain " + strconv.Itoa(i)
		g.grant(from, next)
		from = next
	}
	g.grant(from, to)
}

// The longest chain of roles that is read is gone through once, and not once for each role of the account.
func TestALongChainOfRolesEnds(t *testing.T) {
	g := newGraph()
	g.chain("first", editors, maxMembers-1)
	for i := range maxMembers - 1 {
		g.own.Rows = append(g.own.Rows, []driver.Value{"chain " + strconv.Itoa(i)})
	}
	b := g.backend(t, "")
	ended := make(chan int, 1)
	go func() {
		seen, err := b.Observe(t.Context(), provisioning.Subject{ID: ann}, []string{editors})
		if err != nil {
			t.Error(err)
		}
		ended <- len(seen.Entitlements[editors].Inherited)
	}()
	select {
	case got := <-ended:
		if got != maxMembers-1 {
			t.Errorf("%d roles lead to the editors", got)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
}

// Of more roles than are read some could lead to the role, unseen.
func TestMoreRolesOfRolesThanAreRead(t *testing.T) {
	g := newGraph()
	g.chain("first", "another", maxMembers)
	_, err := g.backend(t, "").Observe(t.Context(), provisioning.Subject{ID: ann}, []string{editors})
	if permanent, ok := errors.AsType[*provisioning.PermanentError](err); !ok || permanent.Reason != provisioning.ReasonRefused {
		t.Errorf("error %v", err)
	}
}
