// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/mysql"
	"getcakewalk.io/access-operator/internal/provisioning/provisioningtest"
)

// mariadb is a MariaDB server, judged by what an administrator sees.
type mariadb struct {
	port    int
	root    *sql.DB
	proxy   *provisioningtest.WireProxy
	secrets []string
}

var _ provisioningtest.Target = (*mariadb)(nil)

func startMariaDB(t *testing.T, more ...string) *mariadb {
	t.Helper()
	const debian = "mariadb-server"
	as := systemUser(t, "mysql")
	data := dataFolder(t, as)
	args := []string{"--no-defaults", "--datadir=" + filepath.Join(data, "db"), "--tmpdir=" + data, "--auth-root-authentication-method=normal", "--skip-test-db"}
	if as != nil {
		args = append(args, "--user=mysql")
	}
	runProgram(t, nil, data, program(t, "mariadb-install-db", debian), args...)
	m := &mariadb{port: freePort(t)}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(m.port))
	args = append([]string{
		"--no-defaults", "--datadir=" + filepath.Join(data, "db"), "--tmpdir=" + data, "--bind-address=127.0.0.1", "--port=" + strconv.Itoa(m.port),
		"--socket=" + filepath.Join(data, "socket"), "--pid-file=" + filepath.Join(data, "pid"), "--skip-name-resolve",
	}, more...)
	startProgram(t, as, nil, data, addr, program(t, "mariadbd", debian, "/usr/sbin"), args...)
	config := driver.NewConfig()
	config.Net, config.Addr, config.User = "unix", filepath.Join(data, "socket"), "root"
	config.MultiStatements = true
	connector, err := driver.NewConnector(config)
	must(t, err)
	m.root = sql.OpenDB(connector)
	t.Cleanup(func() { _ = m.root.Close() })
	m.exec(t, `CREATE USER operator@'%'; GRANT SELECT ON mysql.* TO operator@'%'; GRANT CREATE USER ON *.* TO operator@'%'`)
	m.Rotate(t)
	m.proxy = provisioningtest.NewWireProxy(t, addr, mysqlProtocol)
	return m
}

func (m *mariadb) exec(tb testing.TB, statement string) {
	tb.Helper()
	if _, err := m.root.ExecContext(tb.Context(), statement); err != nil {
		tb.Fatalf("%s: %v", statement[:min(len(statement), 200)], err)
	}
}

func (m *mariadb) list(tb testing.TB, query string, args ...any) []string {
	tb.Helper()
	rows, err := m.root.QueryContext(tb.Context(), query, args...)
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

func TestMySQLConformance(t *testing.T) {
	provisioningtest.RunConformance(t, startMariaDB(t))
}

func (m *mariadb) Traits() provisioningtest.Traits {
	return provisioningtest.Traits{
		CaseSensitive: true, Creates: true, Deactivates: true,
		Ambiguous: func(tb testing.TB) string {
			m.exec(tb, "CREATE USER 'two'@'%'; CREATE USER 'two'@'10.0.0.1'")
			return "two"
		},
		OddSubjects:     []string{"o'neil`", "x`; DROP USER operator; -- ", "%", "ä_", "a\\b"},
		OddEntitlements: []string{"R&D `all`", "x`, `mysql", "ünï", "select", "a'b\\"},
		Faults: []provisioningtest.Fault{
			provisioningtest.Busy, provisioningtest.Fail, provisioningtest.FailAfter, provisioningtest.Refuse, provisioningtest.Swallow, provisioningtest.Hang,
		},
		Inherit: func(tb testing.TB, subject, entitlement string) string {
			through := "through " + subject
			m.exec(tb, "CREATE ROLE "+myQuote(through))
			m.exec(tb, "GRANT "+myQuote(through)+" TO operator@`%` WITH ADMIN OPTION")
			m.exec(tb, "GRANT "+myQuote(entitlement)+" TO "+myQuote(through))
			m.exec(tb, "GRANT "+myQuote(through)+" TO "+myQuote(subject)+"@`%`")
			return through
		},
		InheritsByEntitlement: true,
		Secrets:               func() []string { return m.secrets },
		WrongSecret:           func(tb testing.TB) provisioning.Backend { return m.backend(tb, m.proxy.Addr, "a-wrong-password") },
		Nowhere:               func(tb testing.TB) provisioning.Backend { return m.backend(tb, "127.0.0.1:1", "x") },
	}
}

func myQuote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func (m *mariadb) Backend(tb testing.TB) provisioning.Backend {
	return m.backend(tb, m.proxy.Addr, m.secrets[len(m.secrets)-1])
}

func (*mariadb) backend(tb testing.TB, addr, password string) provisioning.Backend {
	tb.Helper()
	host, port, err := net.SplitHostPort(addr)
	must(tb, err)
	n, err := strconv.ParseUint(port, 10, 16)
	must(tb, err)
	b, err := mysql.New(mysql.Options{Host: host, Port: uint16(n), Username: "operator", Password: password, Timeout: 3 * time.Second})
	must(tb, err)
	tb.Cleanup(b.Close)
	return b
}

func (m *mariadb) Proxy() provisioningtest.Proxy { return m.proxy }

func (m *mariadb) AddAccounts(tb testing.TB, subjects ...string) {
	tb.Helper()
	m.inBulk(tb, subjects, func(s string) string { return "CREATE USER " + myQuote(s) + "@`%`" })
}

func (m *mariadb) inBulk(tb testing.TB, all []string, statement func(string) string) {
	tb.Helper()
	for chunk := range slices.Chunk(all, 200) {
		var text strings.Builder
		for _, one := range chunk {
			text.WriteString(statement(one) + ";\n")
		}
		m.exec(tb, text.String())
	}
}

func (m *mariadb) AddEntitlement(tb testing.TB, entitlement string, holders ...string) {
	tb.Helper()
	m.exec(tb, "CREATE ROLE "+myQuote(entitlement))
	m.exec(tb, "GRANT "+myQuote(entitlement)+" TO operator@`%` WITH ADMIN OPTION")
	m.inBulk(tb, holders, func(h string) string { return "GRANT " + myQuote(entitlement) + " TO " + myQuote(h) + "@`%`" })
}

// Holders leaves out who has a role to give it: root, who made it, and the operator.
func (m *mariadb) Holders(tb testing.TB, entitlement string) []string {
	tb.Helper()
	return m.list(tb, "SELECT User FROM mysql.roles_mapping WHERE Role = ? AND User NOT IN ('operator', 'root') AND User NOT LIKE 'through %'", entitlement)
}

func (m *mariadb) Account(tb testing.TB, subject string) provisioning.AccountState {
	tb.Helper()
	switch got := m.list(tb, "SELECT JSON_VALUE(Priv, '$.account_locked') IS NULL OR NOT JSON_VALUE(Priv, '$.account_locked') FROM mysql.global_priv WHERE User = ? AND Host = '%'", subject); {
	case len(got) == 0:
		return provisioning.AccountAbsent
	case got[0] == "1":
		return provisioning.AccountActive
	default:
		return provisioning.AccountInactive
	}
}

func (m *mariadb) Rotate(tb testing.TB) {
	tb.Helper()
	m.secrets = append(m.secrets, fmt.Sprintf("a-password-of-mariadb-%d", len(m.secrets)))
	m.exec(tb, "ALTER USER operator@'%' IDENTIFIED BY '"+m.secrets[len(m.secrets)-1]+"'")
}

// An account without a password would be anybody's.
func TestMySQLCreatesNoAccountWithoutAPassword(t *testing.T) {
	m := startMariaDB(t)
	m.AddEntitlement(t, "editors")
	e := &provisioning.Engine{Backend: m.Backend(t)}
	goal := provisioning.Goal{Kind: provisioning.Grant, Levels: [][]string{{"editors"}}, CreateAccount: true}
	if _, err := e.Provision(t.Context(), provisioning.Subject{ID: ann}, goal, func(context.Context, provisioning.Intent) error { return nil }); err != nil {
		t.Fatal(err)
	}
	config := driver.NewConfig()
	config.Net, config.Addr, config.User = "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(m.port)), ann
	connector, err := driver.NewConnector(config)
	must(t, err)
	db := sql.OpenDB(connector)
	defer db.Close()
	if err := db.PingContext(t.Context()); err == nil || !strings.Contains(err.Error(), "1045") {
		t.Errorf("logging in without a password: %v", err)
	}
}

// mysqlProtocol is the client/server protocol. Packets of the handshake have another sequence number than 0.
var mysqlProtocol = provisioningtest.Protocol{
	Next: func(r *bufio.Reader, _ bool) ([]byte, error) {
		head := make([]byte, 4)
		if _, err := io.ReadFull(r, head); err != nil {
			return nil, err
		}
		body := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
		_, err := io.ReadFull(r, body)
		return append(head, body...), err
	},
	Kind: func(m []byte) provisioningtest.Request {
		const query, prepare = 0x03, 0x16
		if len(m) < 5 || m[3] != 0 || (m[4] != query && m[4] != prepare) {
			return provisioningtest.Other
		}
		return kindOfSQL(m[5:])
	},
	Answer: func(_ []byte, f provisioningtest.Fault) []byte {
		packet := func(body []byte) []byte {
			return append([]byte{byte(len(body)), byte(len(body) >> 8), 0, 1}, body...)
		}
		failure := func(code uint16, state, text string) []byte {
			return packet(append(binary.LittleEndian.AppendUint16([]byte{0xff}, code), "#"+state+text...))
		}
		switch f {
		case provisioningtest.Busy:
			return failure(1040, "08004", "Too many connections")
		case provisioningtest.Refuse:
			return failure(1045, "28000", "Access denied for user 'operator'@'%' (using password: YES)")
		case provisioningtest.Swallow:
			return packet([]byte{0, 0, 0, 2, 0, 0, 0})
		default:
			return nil
		}
	},
}
