// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/postgresql"
	"getcakewalk.io/access-operator/internal/provisioning/provisioningtest"
)

// postgres is a PostgreSQL server, judged by its catalogue as a superuser sees it.
type postgres struct {
	port    int
	super   *sql.DB
	proxy   *provisioningtest.WireProxy
	secrets []string
}

var _ provisioningtest.Target = (*postgres)(nil)

func startPostgres(t *testing.T, args ...string) *postgres {
	t.Helper()
	const debian, folder = "postgresql", "/usr/lib/postgresql/*/bin"
	as := systemUser(t, "postgres")
	data := dataFolder(t, as)
	runProgram(t, as, data, program(t, "initdb", debian, folder), "-A", "trust", "-U", "root", "-D", data, "--no-sync")
	must(t, os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte("host all root 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"), 0o600))
	if as != nil {
		must(t, os.Chown(filepath.Join(data, "pg_hba.conf"), int(as.Uid), int(as.Gid)))
	}
	p := &postgres{port: freePort(t)}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port))
	args = append([]string{"-D", data, "-p", strconv.Itoa(p.port), "-k", data, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"}, args...)
	startProgram(t, as, nil, data, addr, program(t, "postgres", debian, folder), args...)
	config, err := pgx.ParseConfig(fmt.Sprintf("host=127.0.0.1 port=%d user=root database=postgres sslmode=disable", p.port))
	must(t, err)
	p.super = stdlib.OpenDB(*config)
	t.Cleanup(func() { _ = p.super.Close() })
	p.exec(t, `CREATE ROLE operator LOGIN CREATEROLE`)
	p.Rotate(t)
	p.proxy = provisioningtest.NewWireProxy(t, addr, postgresProtocol)
	return p
}

func (p *postgres) exec(tb testing.TB, statement string) {
	tb.Helper()
	for range 20 {
		_, err := p.super.ExecContext(tb.Context(), statement)
		if err == nil {
			return
		}
		// The server may still be starting.
		if !strings.Contains(err.Error(), "57P03") {
			tb.Fatalf("%s: %v", statement, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	tb.Fatal("the server does not come up")
}

func (p *postgres) list(tb testing.TB, query string, args ...any) []string {
	tb.Helper()
	rows, err := p.super.QueryContext(tb.Context(), query, args...)
	must(tb, err)
	defer rows.Close()
	var all []string
	for rows.Next() {
		var one string
		must(tb, rows.Scan(&one))
		all = append(all, one)
	}
	must(tb, rows.Err())
	return all
}

func TestPostgreSQLConformance(t *testing.T) {
	provisioningtest.RunConformance(t, startPostgres(t))
}

func (p *postgres) Traits() provisioningtest.Traits {
	return provisioningtest.Traits{
		CaseSensitive: true, Creates: true, Deactivates: true,
		OddSubjects:     []string{`o'neil"`, `x"; DROP ROLE operator; --`, "$1", "ä😀", "a\\b"},
		OddEntitlements: []string{`R&D "all"`, `x", postgres, "`, "ünï😀", "public ", "Select"},
		Faults: []provisioningtest.Fault{
			provisioningtest.Busy, provisioningtest.Fail, provisioningtest.FailAfter, provisioningtest.Refuse, provisioningtest.Swallow, provisioningtest.Hang,
		},
		InheritsByEntitlement: true,
		Inherit: func(tb testing.TB, subject, entitlement string) string {
			through := "through " + subject
			p.exec(tb, "CREATE ROLE "+pgQuote(through)+" NOLOGIN")
			p.exec(tb, "GRANT "+pgQuote(entitlement)+" TO "+pgQuote(through))
			p.exec(tb, "GRANT "+pgQuote(through)+" TO "+pgQuote(subject))
			return through
		},
		Secrets:     func() []string { return p.secrets },
		WrongSecret: func(tb testing.TB) provisioning.Backend { return p.backend(tb, p.proxy.Addr, "a-wrong-password", nil) },
		Nowhere:     func(tb testing.TB) provisioning.Backend { return p.backend(tb, "127.0.0.1:1", "x", nil) },
	}
}

func pgQuote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func (p *postgres) Backend(tb testing.TB) provisioning.Backend {
	return p.backend(tb, p.proxy.Addr, p.secrets[len(p.secrets)-1], nil)
}

func (*postgres) backend(tb testing.TB, addr, password string, newPassword func(context.Context, string) (string, error)) provisioning.Backend {
	tb.Helper()
	host, port, err := net.SplitHostPort(addr)
	must(tb, err)
	n, err := strconv.ParseUint(port, 10, 16)
	must(tb, err)
	b, err := postgresql.New(postgresql.Options{
		Host: host, Port: uint16(n), Database: "postgres", Username: "operator", Password: password, Timeout: 3 * time.Second, NewPassword: newPassword,
	})
	must(tb, err)
	tb.Cleanup(b.Close)
	return b
}

func (p *postgres) Proxy() provisioningtest.Proxy { return p.proxy }

func (p *postgres) AddAccounts(tb testing.TB, subjects ...string) {
	tb.Helper()
	p.inBulk(tb, subjects, func(s string) string { return "CREATE ROLE " + pgQuote(s) + " LOGIN" })
}

// inBulk sends a statement for each in one request.
func (p *postgres) inBulk(tb testing.TB, all []string, statement func(string) string) {
	tb.Helper()
	for chunk := range slices.Chunk(all, 500) {
		var text strings.Builder
		for _, one := range chunk {
			text.WriteString(statement(one) + ";\n")
		}
		p.exec(tb, text.String())
	}
}

func (p *postgres) AddEntitlement(tb testing.TB, entitlement string, holders ...string) {
	tb.Helper()
	p.exec(tb, "CREATE ROLE "+pgQuote(entitlement)+" NOLOGIN")
	p.inBulk(tb, holders, func(h string) string { return "GRANT " + pgQuote(entitlement) + " TO " + pgQuote(h) })
}

func (p *postgres) Holders(tb testing.TB, entitlement string) []string {
	tb.Helper()
	return p.list(tb, "SELECT m.rolname FROM pg_group g, unnest(g.grolist) o JOIN pg_roles m ON m.oid = o WHERE g.groname::text = $1", entitlement)
}

func (p *postgres) Account(tb testing.TB, subject string) provisioning.AccountState {
	tb.Helper()
	switch got := p.list(tb, "SELECT rolcanlogin::text FROM pg_authid WHERE rolname::text = $1", subject); {
	case len(got) == 0:
		return provisioning.AccountAbsent
	case got[0] == "true":
		return provisioning.AccountActive
	default:
		return provisioning.AccountInactive
	}
}

func (p *postgres) Rotate(tb testing.TB) {
	tb.Helper()
	p.secrets = append(p.secrets, fmt.Sprintf("a-password-of-postgres-%d", len(p.secrets)))
	p.exec(tb, "ALTER ROLE operator PASSWORD '"+p.secrets[len(p.secrets)-1]+"'")
}

// A password that is made for an account works, and no statement that the server was sent holds it.
func TestPostgreSQLSetsThePasswordOfTheSecret(t *testing.T) {
	p := startPostgres(t)
	p.AddEntitlement(t, "editors")
	const password = "made-for-ann"
	b := p.backend(t, p.proxy.Addr, p.secrets[len(p.secrets)-1], func(_ context.Context, account string) (string, error) {
		if account != ann {
			t.Errorf("a password for %q", account)
		}
		return password, nil
	})
	e := &provisioning.Engine{Backend: b}
	goal := provisioning.Goal{Kind: provisioning.Grant, Levels: [][]string{{"editors"}}, CreateAccount: true}
	if _, err := e.Provision(t.Context(), provisioning.Subject{ID: ann}, goal, func(context.Context, provisioning.Intent) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for given, works := range map[string]bool{password: true, "another": false} {
		conn, err := pgx.Connect(t.Context(), fmt.Sprintf("host=127.0.0.1 port=%d user=%s password=%s database=postgres sslmode=disable", p.port, ann, given))
		if (err == nil) != works {
			t.Errorf("logging in with %q: %v", given, err)
		}
		if err == nil {
			must(t, conn.Close(t.Context()))
		}
	}
}

// What is no account is not made one, and a superuser is not locked out.
func TestPostgreSQLLeavesGroupsAndSuperusersAlone(t *testing.T) {
	p := startPostgres(t)
	p.AddAccounts(t, ann)
	p.AddEntitlement(t, "editors", ann)
	e := &provisioning.Engine{Backend: p.Backend(t)}
	intend := func(context.Context, provisioning.Intent) error { return nil }
	_, err := e.Provision(t.Context(), provisioning.Subject{ID: "editors"}, provisioning.Goal{Kind: provisioning.Grant, Levels: [][]string{{"editors"}}}, intend)
	if provisioning.Word(err) != "permanent" || p.Account(t, "editors") != provisioning.AccountInactive {
		t.Errorf("a grant to a group: %v", err)
	}
	_, err = e.Provision(t.Context(), provisioning.Subject{ID: "root"},
		provisioning.Goal{Kind: provisioning.Remove, Level: provisioning.NoLevel, Levels: [][]string{{"editors"}}, OnRemove: provisioning.ThenDeactivate}, intend)
	if provisioning.Word(err) != "permanent" || p.Account(t, "root") != provisioning.AccountActive {
		t.Errorf("a superuser is locked out: %v", err)
	}
}

// postgresProtocol is the frontend/backend protocol 3.0. One message is everything that the client sends until it waits:
// up to Query or Sync.
var postgresProtocol = provisioningtest.Protocol{
	Next: func(r *bufio.Reader, first bool) ([]byte, error) {
		var all []byte
		for {
			var tag byte
			if !first {
				var err error
				if tag, err = r.ReadByte(); err != nil {
					return nil, err
				}
				all = append(all, tag)
			}
			size := make([]byte, 4)
			if _, err := io.ReadFull(r, size); err != nil {
				return nil, err
			}
			body := make([]byte, binary.BigEndian.Uint32(size)-4)
			if _, err := io.ReadFull(r, body); err != nil {
				return nil, err
			}
			all = append(append(all, size...), body...)
			if !strings.ContainsRune("PBDEC", rune(tag)) || first {
				return all, nil
			}
		}
	},
	Kind: func(m []byte) provisioningtest.Request {
		if m[0] != 'Q' && m[0] != 'P' {
			return provisioningtest.Other
		}
		return kindOfSQL(m[5:])
	},
	Answer: func(_ []byte, f provisioningtest.Fault) []byte {
		ready := []byte{'Z', 0, 0, 0, 5, 'I'}
		failure := func(code, text string) []byte {
			body := "SERROR\x00C" + code + "\x00M" + text + "\x00\x00"
			return append(binary.BigEndian.AppendUint32([]byte{'E'}, uint32(len(body)+4)), body...)
		}
		switch f {
		case provisioningtest.Busy:
			return append(failure("53300", "sorry, too many clients already"), ready...)
		case provisioningtest.Fail:
			return append(failure("57P03", "the database system is in recovery mode"), ready...)
		case provisioningtest.Refuse:
			return append(failure("28P01", "password authentication failed"), ready...)
		case provisioningtest.Swallow:
			tag := "GRANT ROLE\x00"
			return append(append(binary.BigEndian.AppendUint32([]byte{'C'}, uint32(len(tag)+4)), tag...), ready...)
		default:
			return nil
		}
	},
}

// kindOfSQL tells what a statement is by its first word.
func kindOfSQL(text []byte) provisioningtest.Request {
	text = bytes.TrimLeft(text, "\x00 \n\t")
	for _, word := range []string{"GRANT", "REVOKE", "CREATE", "ALTER", "DROP"} {
		if bytes.HasPrefix(text, []byte(word)) {
			return provisioningtest.Write
		}
	}
	if bytes.HasPrefix(text, []byte("SELECT")) {
		return provisioningtest.Read
	}
	return provisioningtest.Other
}
