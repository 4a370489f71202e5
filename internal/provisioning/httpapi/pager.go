// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// pager goes through the pages of a lookup. A list that is not whole is an error: it cannot be told who is not in it.
type pager struct {
	base  string
	name  string
	pages *pages

	// count is how many pages were read, items how many items.
	count, items int
	// address is the next page's address, empty for the request's own.
	address string
	cursor  string
	// tail is the last item of the page before, with which a page by items must begin, and body the whole of it.
	tail any
	body []byte
}

func newPager(b *Backend, l *lookup) *pager {
	return &pager{base: b.base, name: l.name, pages: l.pages}
}

// query are the parameters that choose the page.
func (p *pager) query() url.Values {
	q := url.Values{}
	if p.pages == nil {
		return q
	}
	if p.pages.CursorParameter != "" && p.cursor != "" {
		q.Set(p.pages.CursorParameter, p.cursor)
	}
	if n := p.pages.Page; n != nil {
		number := n.First + p.count
		if n.ByItems {
			// One item is read twice: where it has moved, the list has changed, and somebody may be missed.
			number = n.First + max(p.items-1, 0)
		}
		q.Set(n.Parameter, strconv.Itoa(number))
		if n.SizeParameter != "" {
			q.Set(n.SizeParameter, strconv.Itoa(n.Size))
		}
	}
	return q
}

// next tells whether there is another page, and goes to it.
func (p *pager) next(ctx context.Context, a *reply, seen variables, items []any) (bool, error) {
	if p.pages == nil {
		return false, nil
	}
	if n := p.pages.Page; n != nil && p.count > 0 {
		if n.ByItems {
			if len(items) == 0 || !reflect.DeepEqual(items[0], p.tail) {
				return false, p.changed()
			}
			items = items[1:]
		} else if len(items) > 0 && bytes.Equal(p.body, a.Body) {
			return false, p.changed()
		}
	}
	p.count++
	p.items += len(items)
	if len(items) > 0 {
		p.tail = items[len(items)-1]
	}
	p.body = a.Body
	more, err := p.forward(ctx, a, seen, len(items))
	if err != nil || !more {
		return false, err
	}
	if p.count >= p.pages.MaxPages {
		return false, provisioning.Permanent(provisioning.ReasonRefused,
			fmt.Errorf("the list of http.%s has more than %d pages: it cannot be told who is not in it. Let the API filter, or raise pagination.maxPages", p.name, p.pages.MaxPages))
	}
	return true, nil
}

// changed is the error of pages that do not fit together.
func (p *pager) changed() error {
	return provisioning.Retryable(fmt.Errorf("the list of http.%s changed while it was read, or the API does not page as `pagination` says", p.name))
}

func (p *pager) forward(ctx context.Context, a *reply, seen variables, items int) (bool, error) {
	switch {
	case p.pages.Link:
		return p.follow(nextLink(a.Header))
	case p.pages.nextURL != nil:
		address, err := p.pages.nextURL.Text(ctx, seen)
		if err != nil {
			return false, unreadable(p.name+".pagination.nextURL", err)
		}
		return p.follow(address)
	case p.pages.cursor != nil:
		cursor, err := p.pages.cursor.Text(ctx, seen)
		if err != nil {
			return false, unreadable(p.name+".pagination.cursor.next", err)
		}
		if cursor != "" && cursor == p.cursor {
			return false, unreadable(p.name+".pagination.cursor.next", errors.New("the cursor stays the same"))
		}
		p.cursor = cursor
		return cursor != "", nil
	default:
		return items > 0, nil
	}
}

// follow goes to an address, which must stay below the base URL: credentials must not travel elsewhere.
func (p *pager) follow(address string) (bool, error) {
	if address == "" {
		return false, nil
	}
	base, err := url.Parse(strings.TrimSuffix(p.base, "/") + "/")
	if err != nil {
		return false, unreadable(p.name, errors.New("the base URL is no address"))
	}
	to, err := base.Parse(address)
	if err != nil || to.Scheme != base.Scheme || !strings.EqualFold(to.Host, base.Host) || to.User != nil ||
		!strings.HasPrefix(to.EscapedPath(), base.EscapedPath()) || unsafeSegment(strings.Trim(to.EscapedPath(), "/")) != nil {
		return false, provisioning.Unavailable(provisioning.ReasonEndpointNotFound,
			fmt.Errorf("the next page of http.%s is not below baseURL, and is not followed", p.name))
	}
	p.address = to.String()
	return true, nil
}

// nextLink reads the address with rel="next" out of the header Link (RFC 8288).
func nextLink(h http.Header) string {
	for _, field := range h.Values("Link") {
		for rest := field; ; {
			_, after, ok := strings.Cut(rest, "<")
			if !ok {
				break
			}
			address, parameters, ok := strings.Cut(after, ">")
			if !ok {
				break
			}
			own, _, _ := strings.Cut(parameters, "<")
			for parameter := range strings.SplitSeq(own, ";") {
				name, value, _ := strings.Cut(strings.TrimSpace(strings.TrimRight(strings.TrimSpace(parameter), ",")), "=")
				if strings.EqualFold(strings.TrimSpace(name), "rel") && containsWord(strings.Trim(strings.TrimSpace(value), `"`), "next") {
					return address
				}
			}
			rest = parameters
		}
	}
	return ""
}

func containsWord(words, word string) bool {
	for w := range strings.FieldsSeq(words) {
		if strings.EqualFold(w, word) {
			return true
		}
	}
	return false
}
