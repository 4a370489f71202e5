// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"context"
	"net"
	"sync"
	"time"

	ldapv3 "github.com/go-ldap/ldap/v3"

	"getcakewalk.io/access-operator/internal/limit"
)

// maxIdle is how many connections are kept. As many more as the connector has tasks at work may be open.
const maxIdle = 4

// pool keeps connections that are bound.
type pool struct {
	options Options

	mu     sync.Mutex
	idle   []*ldapv3.Conn
	closed bool
}

// get returns a connection that is bound, and whether it was used before.
func (p *pool) get(timeout time.Duration) (*ldapv3.Conn, error) {
	p.mu.Lock()
	for len(p.idle) > 0 {
		c := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if !c.IsClosing() {
			p.mu.Unlock()
			c.SetTimeout(timeout)
			return c, nil
		}
		_ = c.Close()
	}
	p.mu.Unlock()
	return p.connect(timeout)
}

func (p *pool) connect(timeout time.Duration) (*ldapv3.Conn, error) {
	o := p.options
	c, err := ldapv3.DialURL(o.URL, ldapv3.DialWithDialer(&net.Dialer{Timeout: timeout}), ldapv3.DialWithTLSConfig(o.TLS))
	if err != nil {
		return nil, err
	}
	c.SetTimeout(timeout)
	if o.StartTLS {
		if err := c.StartTLS(o.TLS); err != nil {
			_ = c.Close()
			return nil, err
		}
	}
	if err := c.Bind(o.BindDN, o.Password); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// put takes a connection back. One that failed is not used again: an answer that was waited for in vain may still come.
func (p *pool) put(c *ldapv3.Conn, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= maxIdle || c.IsClosing() || isNetwork(err) {
		_ = c.Close()
		return
	}
	p.idle = append(p.idle, c)
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.idle {
		_ = c.Close()
	}
	p.idle = nil
}

// do sends one request.
func (b *Backend) do(ctx context.Context, write bool, send func(*ldapv3.Conn) error) error {
	if err := limit.Wait(ctx, b.options.Limiter); err != nil {
		return err
	}
	timeout := b.options.Timeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, max(time.Until(deadline), time.Millisecond))
	}
	c, err := b.pool.get(timeout)
	if err != nil {
		return word(err, false)
	}
	// The end of the context ends the request: the library knows no contexts.
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	err = send(c)
	if !stop() {
		_ = c.Close()
	}
	b.pool.put(c, err)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return word(err, write)
}

// search sends one search. That there is more than its size limit is no error: what was found is returned.
func (b *Backend) search(ctx context.Context, request *ldapv3.SearchRequest) ([]*ldapv3.Entry, error) {
	var found []*ldapv3.Entry
	err := b.do(ctx, false, func(c *ldapv3.Conn) error {
		result, err := c.Search(request)
		if result != nil {
			found = result.Entries
		}
		if ldapv3.IsErrorWithCode(err, ldapv3.LDAPResultSizeLimitExceeded) && len(found) > 0 {
			return nil
		}
		return err
	})
	return found, err
}

// modify sends one change of an entry.
func (b *Backend) modify(ctx context.Context, request *ldapv3.ModifyRequest) error {
	return b.do(ctx, true, func(c *ldapv3.Conn) error { return c.Modify(request) })
}

// baseRequest is a search for one entry.
func baseRequest(dn string, attributes ...string) *ldapv3.SearchRequest {
	return ldapv3.NewSearchRequest(dn, ldapv3.ScopeBaseObject, ldapv3.NeverDerefAliases, 1, 0, false, "(objectClass=*)", attributes, nil)
}
