// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mysql

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// query sends one query and reads its rows.
func (b *Backend) query(ctx context.Context, scan func(*sql.Rows) error, statement string, args ...any) error {
	return b.request(ctx, false, func(ctx context.Context) error {
		rows, err := b.db.QueryContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := scan(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// strings sends one query whose rows are one string each.
func (b *Backend) strings(ctx context.Context, statement string, args ...any) ([]string, error) {
	var all []string
	err := b.query(ctx, func(rows *sql.Rows) error {
		var one string
		err := rows.Scan(&one)
		all = append(all, one)
		return err
	}, statement, args...)
	return all, err
}

// exec sends one statement that changes something. Its identifiers are quoted.
func (b *Backend) exec(ctx context.Context, statement string) error {
	return b.request(ctx, true, func(ctx context.Context) error {
		_, err := b.db.ExecContext(ctx, statement)
		return err
	})
}

func (b *Backend) request(ctx context.Context, write bool, send func(context.Context) error) error {
	if b.options.Limiter != nil {
		if err := b.options.Limiter.Wait(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return provisioning.Retryable(errors.New("the connector's limit of requests leaves no room for this one in time"))
		}
	}
	call, cancel := context.WithTimeout(ctx, b.options.Timeout)
	defer cancel()
	err := send(call)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		return word(err, write)
	}
}

// maxDetail is how much of the server's text is repeated, in characters.
const maxDetail = 256

// word turns an error into ours. It is the one table of the servers' error numbers.
func word(err error, write bool) error {
	said, ok := errors.AsType[*driver.MySQLError](err)
	if !ok {
		return &provisioning.RetryableError{Unreachable: true, Err: transport(err)}
	}
	text := strings.Join(strings.Fields(said.Message), " ")
	if runes := []rune(text); len(runes) > maxDetail {
		text = string(runes[:maxDetail]) + "..."
	}
	detail := fmt.Errorf("the server answered %d: %s", said.Number, text)
	switch said.Number {
	case 1045, 1698, 1862, 3118, 4151: // denied, a password that expired, a locked account
		return provisioning.Unavailable(provisioning.ReasonUnauthorized, fmt.Errorf("the server refuses the credentials: %w", detail))
	case 1044, 1142, 1227, 1370, 1410, 1961, 3879: // a right is missing
		if write {
			return provisioning.Permanent(provisioning.ReasonForbidden, fmt.Errorf("the credentials may not make this change; they need ADMIN OPTION on the role, or CREATE USER: %w", detail))
		}
		return provisioning.Unavailable(provisioning.ReasonAccessForbidden, fmt.Errorf("the credentials may not read the grant tables: %w", detail))
	case 1040, 1203, 1226: // too many connections or requests
		return &provisioning.RetryableError{RateLimited: true, Err: detail}
	case 1053, 1105, 1141, 1205, 1213, 1290, 1396, 1792, 1836, 1959, 1962, 3523, 3530:
		// Not now, or there already, or no longer: it is observed again.
		return provisioning.Retryable(detail)
	default:
		return provisioning.Permanent(provisioning.ReasonRefused, detail)
	}
}

// transport says why there was no answer, without what the driver says of the connection's settings.
func transport(err error) error {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &unknown):
		return errors.New("the server's certificate is not trusted; give its authority as tls.certificateAuthority")
	case errors.As(err, &hostname), errors.As(err, &invalid):
		return errors.New("the server's certificate is not valid for its name, or not any more")
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("the server did not answer in time")
	case errors.Is(err, driver.ErrNoTLS):
		return errors.New("the server does not speak TLS: set tls.mode to Disabled if that is right in this network")
	default:
		return errors.New("the server cannot be reached, or cut the connection")
	}
}
