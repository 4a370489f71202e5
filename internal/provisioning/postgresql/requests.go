// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package postgresql

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

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

// queryStrings sends one query whose rows are one string each.
func queryStrings(ctx context.Context, b *Backend, statement string, args ...any) ([]string, error) {
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

// word turns an error into ours. It is the one table of SQLSTATEs (PostgreSQL documentation, appendix A).
func word(err error, write bool) error {
	said, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return &provisioning.RetryableError{Unreachable: true, Err: transport(err)}
	}
	text := strings.Join(strings.Fields(said.Message), " ")
	if runes := []rune(text); len(runes) > maxDetail {
		text = string(runes[:maxDetail]) + "..."
	}
	detail := fmt.Errorf("the server answered %s: %s", said.Code, text)
	class := said.Code[:min(len(said.Code), 2)]
	switch {
	case class == "28":
		return provisioning.Unavailable(provisioning.ReasonUnauthorized, fmt.Errorf("the server refuses the credentials: %w", detail))
	case said.Code == "3D000":
		return provisioning.Unavailable(provisioning.ReasonEndpointNotFound, detail)
	case said.Code == "42501" && write:
		return provisioning.Permanent(provisioning.ReasonForbidden, fmt.Errorf("the credentials may not make this change; they need ADMIN OPTION on the role: %w", detail))
	case said.Code == "42501":
		return provisioning.Unavailable(provisioning.ReasonAccessForbidden, fmt.Errorf("the credentials may not read the catalogue: %w", detail))
	case class == "53":
		return &provisioning.RetryableError{RateLimited: true, Err: detail}
	case class == "08", class == "40", class == "55", class == "57", class == "58", class == "XX", class == "42" && write, class == "0A":
		// Of the class 42 is what is there already, or no longer: it is observed again.
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
	case strings.Contains(err.Error(), "server refused TLS connection"):
		return errors.New("the server does not speak TLS: set tls.mode to Disabled if that is right in this network")
	default:
		return errors.New("the server cannot be reached, or cut the connection")
	}
}
