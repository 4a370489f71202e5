// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package sqlclient sends SQL for the backends that speak to databases: it bounds time, rate and connections, and gives
// errors in the words of the package provisioning.
package sqlclient

import (
	"cmp"
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"getcakewalk.io/access-operator/internal/limit"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// Options say how a Client speaks.
type Options struct {
	// Timeout is how long one request may take, with connecting.
	Timeout time.Duration
	// Limiter is waited for before every request. Nil: no limit.
	Limiter *rate.Limiter
	// Word turns what the server answered into ours, nil for an error that is not of the server's. write tells whether
	// something was to be changed.
	Word func(err error, write bool) error
	// WithoutTLS tells whether an error means that the server does not speak TLS.
	WithoutTLS func(err error) bool
}

// errUnreadable stands for what a scan says, which repeats the values.
var errUnreadable = errors.New("the server answered with rows that cannot be read")

// Client speaks to a database. It may be used by several goroutines.
type Client struct {
	db      *sql.DB
	options Options
}

// maxConnections is how many connections are open at the same time.
const maxConnections = 4

// New returns a Client. It connects when it is used; Close ends its connections.
func New(db *sql.DB, o Options) *Client {
	db.SetMaxOpenConns(maxConnections)
	db.SetMaxIdleConns(maxConnections)
	db.SetConnMaxIdleTime(time.Minute)
	return &Client{db: db, options: o}
}

// Close ends the connections.
func (c *Client) Close() { _ = c.db.Close() }

// Query sends one query and has its rows scanned.
func (c *Client) Query(ctx context.Context, scan func(*sql.Rows) error, statement string, args ...any) error {
	return c.request(ctx, false, func(ctx context.Context) error {
		rows, err := c.db.QueryContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if err := scan(rows); err != nil {
				// A scan also fails when the time is up.
				return cmp.Or(rows.Err(), errUnreadable)
			}
		}
		return rows.Err()
	})
}

// Strings sends one query whose rows are one string each.
func (c *Client) Strings(ctx context.Context, statement string, args ...any) ([]string, error) {
	var all []string
	err := c.Query(ctx, func(rows *sql.Rows) error {
		var one string
		err := rows.Scan(&one)
		all = append(all, one)
		return err
	}, statement, args...)
	return all, err
}

// Exec sends one statement that changes something. Its identifiers must be quoted: they cannot be arguments.
func (c *Client) Exec(ctx context.Context, statement string) error {
	return c.request(ctx, true, func(ctx context.Context) error {
		_, err := c.db.ExecContext(ctx, statement)
		return err
	})
}

func (c *Client) request(ctx context.Context, write bool, send func(context.Context) error) error {
	if err := limit.Wait(ctx, c.options.Limiter); err != nil {
		return err
	}
	call, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	err := send(call)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errUnreadable):
		return provisioning.Retryable(err)
	}
	if word := c.options.Word(err, write); word != nil {
		return word
	}
	return &provisioning.RetryableError{Unreachable: true, Err: c.unanswered(err)}
}

// unanswered says why there was no answer, without what the driver says of the connection's settings.
func (c *Client) unanswered(err error) error {
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
	case c.options.WithoutTLS(err):
		return errors.New("the server does not speak TLS: set tls.mode to Disabled if that is right in this network")
	default:
		return errors.New("the server cannot be reached, or cut the connection")
	}
}

// maxDetail is how much of a server's text is repeated, in characters.
const maxDetail = 256

// Detail makes a server's text fit for status and logs: one line of at most 256 characters, without control
// characters and what is no text.
func Detail(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError }), " ")
	if runes := []rune(text); len(runes) > maxDetail {
		return string(runes[:maxDetail]) + "..."
	}
	return text
}
