// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mysql

import (
	"context"
	"strings"
	"sync"
)

// dialect is what differs between MariaDB and MySQL: where the grant tables keep users, roles and who has them.
type dialect struct {
	// accounts takes a name and yields name, host and whether the account is locked.
	accounts string
	// roles takes a name and yields names of roles.
	roles string
	// members takes a role and a limit and yields the role, and name and host of whom it is granted to.
	members string
	// rolesOf takes a name and a host and yields the roles that are granted to that user.
	rolesOf string
	// rolesOfRoles takes a limit and yields who of the roles has which.
	rolesOfRoles string
	// roleHost is whether a role is a name at a host, as a user is.
	roleHost bool
}

// mariaDB keeps users and roles in mysql.global_priv, and who has which role in mysql.roles_mapping.
var mariaDB = dialect{
	accounts:     "SELECT User, Host, COALESCE(JSON_VALUE(Priv, '$.account_locked'), '0') IN ('1', 'true') FROM mysql.global_priv WHERE User = ? AND COALESCE(JSON_VALUE(Priv, '$.is_role'), '0') NOT IN ('1', 'true')",
	roles:        "SELECT User FROM mysql.global_priv WHERE User = ? AND JSON_VALUE(Priv, '$.is_role') IN ('1', 'true')",
	members:      "SELECT Role, User, Host FROM mysql.roles_mapping WHERE Role = ? LIMIT ?",
	rolesOf:      "SELECT Role FROM mysql.roles_mapping WHERE User = ? AND Host = ?",
	rolesOfRoles: "SELECT User, Role FROM mysql.roles_mapping WHERE Host = '' LIMIT ?",
}

// mySQL keeps roles as users, and who has them in mysql.role_edges, from version 8 on. Roles are looked for at any host,
// as CREATE ROLE makes them. That a user is a role shows in that somebody has it.
var mySQL = dialect{
	accounts:     "SELECT User, Host, account_locked = 'Y' FROM mysql.user WHERE User = ?",
	roles:        "SELECT User FROM mysql.user WHERE User = ? AND Host = '%'",
	members:      "SELECT FROM_USER, TO_USER, TO_HOST FROM mysql.role_edges WHERE FROM_USER = ? AND FROM_HOST = '%' LIMIT ?",
	rolesOf:      "SELECT FROM_USER FROM mysql.role_edges WHERE TO_USER = ? AND TO_HOST = ?",
	rolesOfRoles: "SELECT TO_USER, FROM_USER FROM mysql.role_edges WHERE TO_HOST = '%' AND TO_USER IN (SELECT FROM_USER FROM mysql.role_edges) LIMIT ?",
	roleHost:     true,
}

// dialects remembers which one the server speaks.
type dialects struct {
	mu    sync.Mutex
	known *dialect
}

// dialectOf asks the server once what it is.
func (b *Backend) dialectOf(ctx context.Context) (*dialect, error) {
	b.dialect.mu.Lock()
	defer b.dialect.mu.Unlock()
	if b.dialect.known != nil {
		return b.dialect.known, nil
	}
	version, err := b.sql.Strings(ctx, "SELECT VERSION()")
	if err != nil {
		return nil, err
	}
	b.dialect.known = &mySQL
	if strings.Contains(strings.ToLower(strings.Join(version, "")), "mariadb") {
		b.dialect.known = &mariaDB
	}
	return b.dialect.known, nil
}
