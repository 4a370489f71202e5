// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package httpclient is the HTTP client of the backends that speak to HTTP APIs: it authenticates, bounds time, size and
// rate, follows no redirect, and gives errors in the words of the package provisioning.
package httpclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/time/rate"

	"getcakewalk.io/access-operator/internal/limit"
	"getcakewalk.io/access-operator/internal/provisioning"
)

const (
	defaultTimeout          = 10 * time.Second
	defaultMaxResponseBytes = 32 << 20
	maxResponseHeaderBytes  = 64 << 10
	userAgent               = "access-operator"
)

// Options say how a Client speaks.
type Options struct {
	// Authentication says how requests are authenticated. Nil: not at all.
	Authentication Authentication
	// RootCAs are the certificates that servers' certificates are verified with. Nil: the system's.
	RootCAs *x509.CertPool
	// Timeout is how long one request may take, with the reading of the answer. Default: 10 seconds.
	Timeout time.Duration
	// Limiter is waited for before every request. Nil: no limit.
	Limiter *rate.Limiter
	// MaxResponseBytes is the largest answer that is read. Default: 32 MiB.
	MaxResponseBytes int64
	// Transport sends the requests in place of the one that is made for RootCAs: a seam for tests. Nil: none.
	Transport http.RoundTripper
}

// Client speaks to HTTP APIs. It may be used by several goroutines.
type Client struct {
	options Options
	http    *http.Client
}

// Response is an answer, read whole.
type Response struct {
	// Status is the status code.
	Status int
	// Header is the header.
	Header http.Header
	// Body is the body.
	Body []byte
}

// New returns a Client. Close ends its idle connections.
func New(o Options) *Client {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxResponseBytes <= 0 {
		o.MaxResponseBytes = defaultMaxResponseBytes
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: o.Timeout, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    o.Timeout,
			MaxResponseHeaderBytes: maxResponseHeaderBytes,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        90 * time.Second,
			ForceAttemptHTTP2:      true,
		}
	}
	c := &Client{options: o, http: &http.Client{
		Transport: traced{o.Transport},
		// A redirect is an answer like any other, and is refused: credentials must not travel to another place.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	return c
}

// Close ends the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Do sends a request and reads the answer, whatever its status. It returns a *provisioning.RetryableError where there
// is no answer, and a *provisioning.UnavailableError where the credentials were refused by the authorization server or
// the answer is a redirect.
func (c *Client) Do(ctx context.Context, method, address string, header http.Header, body []byte) (*Response, error) {
	if err := limit.Wait(ctx, c.options.Limiter); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, provisioning.Unavailable(provisioning.ReasonEndpointNotFound, fmt.Errorf("not an address: %w", withoutURL(err)))
	}
	maps.Copy(req.Header, header)
	req.Header.Set("User-Agent", userAgent)
	if c.options.Authentication != nil {
		if err := c.options.Authentication.authenticate(ctx, c.http, req); err != nil {
			return nil, err
		}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, unanswered(err)
	}
	defer res.Body.Close()
	c.noteRequestID(ctx, res.Header)
	if res.StatusCode >= 300 && res.StatusCode < 400 && res.StatusCode != http.StatusNotModified {
		return nil, redirected(res)
	}
	if res.StatusCode == http.StatusUnauthorized && c.options.Authentication != nil {
		c.options.Authentication.refused()
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, c.options.MaxResponseBytes+1))
	if err != nil {
		return nil, unanswered(err)
	}
	if int64(len(text)) > c.options.MaxResponseBytes {
		return nil, provisioning.Retryable(fmt.Errorf("the answer (%d) is larger than %d bytes", res.StatusCode, c.options.MaxResponseBytes))
	}
	return &Response{Status: res.StatusCode, Header: res.Header, Body: text}, nil
}

// redirected is the error of a redirect. It names the host alone: the rest of an address can hold secrets.
func redirected(res *http.Response) error {
	where := "elsewhere"
	if to, err := res.Location(); err == nil {
		where = fmt.Sprintf("to %q", to.Host)
	}
	return provisioning.Unavailable(provisioning.ReasonEndpointNotFound,
		fmt.Errorf("the server redirects %s (%d), and redirects are not followed: give the address that it redirects to", where, res.StatusCode))
}

// unanswered is the error of a request without an answer: it may or may not have been carried out.
func unanswered(err error) error {
	err = withoutURL(err)
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &unknown):
		err = fmt.Errorf("the server's certificate is not trusted; give its authority as certificateAuthority: %w", err)
	case errors.As(err, &hostname), errors.As(err, &invalid):
		err = fmt.Errorf("the server's certificate is not valid: %w", err)
	case errors.Is(err, context.DeadlineExceeded):
		err = errors.New("the server did not answer in time")
	}
	return &provisioning.RetryableError{Unreachable: true, Err: err}
}

// withoutURL drops the address from an error: a query can hold personal data.
func withoutURL(err error) error {
	if of, ok := errors.AsType[*url.Error](err); ok {
		return of.Err
	}
	return err
}
