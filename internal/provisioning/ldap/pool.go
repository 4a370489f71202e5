// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"context"
	"fmt"
	"net"
	"slices"
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

// pageSize and maxPages bound a search that is read on by pages.
const (
	pageSize = 100
	maxPages = 1000
)

// search sends one search, and tells whether the directory has more that match than it returned. A directory that gives
// up a search for its own limits of entries, time or work is asked again by pages, for which many have other limits.
func (b *Backend) search(ctx context.Context, request *ldapv3.SearchRequest) (found []*ldapv3.Entry, more bool, err error) {
	found, err = b.ask(ctx, request)
	if request.Scope != ldapv3.ScopeBaseObject && len(found) < request.SizeLimit && cutShort(err) {
		found, err = b.askByPages(ctx, request)
	}
	if hasCode(err, ldapv3.LDAPResultSizeLimitExceeded) && len(found) > 0 {
		return found, true, nil
	}
	return found, false, err
}

func cutShort(err error) bool {
	return hasCode(err, ldapv3.LDAPResultSizeLimitExceeded) || hasCode(err, ldapv3.LDAPResultTimeLimitExceeded) || hasCode(err, ldapv3.LDAPResultAdminLimitExceeded)
}

// ask sends one request of a search. Entries that come before an error are returned with it.
func (b *Backend) ask(ctx context.Context, request *ldapv3.SearchRequest) ([]*ldapv3.Entry, error) {
	var found []*ldapv3.Entry
	err := b.do(ctx, false, func(c *ldapv3.Conn) error {
		result, err := c.Search(request)
		if result != nil {
			found = result.Entries
		}
		return err
	})
	return found, err
}

// askByPages sends a search in parts (RFC 2696) until as many entries are found as it asks for. All parts go over one
// connection, which alone knows where they go on.
func (b *Backend) askByPages(ctx context.Context, request *ldapv3.SearchRequest) ([]*ldapv3.Entry, error) {
	var found []*ldapv3.Entry
	paging := ldapv3.NewControlPaging(pageSize)
	paged := *request
	// The limit of entries is kept here: servers leave paging out where the limit is below the size of a page.
	paged.SizeLimit, paged.Controls = 0, append(slices.Clone(request.Controls), paging)
	err := b.do(ctx, false, func(c *ldapv3.Conn) error {
		for range maxPages {
			result, err := c.Search(&paged)
			if result != nil {
				found = append(found, result.Entries...)
			}
			if err != nil || len(found) >= request.SizeLimit {
				return err
			}
			next, ok := ldapv3.FindControl(result.Controls, ldapv3.ControlTypePaging).(*ldapv3.ControlPaging)
			if !ok || len(next.Cookie) == 0 {
				return nil
			}
			paging.SetCookie(next.Cookie)
		}
		return ldapv3.NewError(ldapv3.LDAPResultAdminLimitExceeded, fmt.Errorf("more than %d pages", maxPages))
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
