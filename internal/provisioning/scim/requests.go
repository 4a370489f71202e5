// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package scim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
)

const (
	mediaType = "application/scim+json"
	// pageSize and maxPages bound the paging through a server that does not filter.
	pageSize = 100
	maxPages = 100
)

// answerError carries the status of an answer beside its word.
type answerError struct {
	status int
	scim   scimError
	error
}

// Unwrap returns the word.
func (e *answerError) Unwrap() error { return e.error }

// statusOf returns the status of the answer that an error comes from, 0 for none.
func statusOf(err error) int {
	if a, ok := errors.AsType[*answerError](err); ok {
		return a.status
	}
	return 0
}

// read gets a resource.
func (b *Backend) read(ctx context.Context, path string, query url.Values) ([]byte, error) {
	address := b.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	res, err := b.client.Do(ctx, http.MethodGet, address, http.Header{"Accept": {mediaType + ", application/json;q=0.9"}}, nil)
	if err != nil {
		return nil, err
	}
	if res.Status != http.StatusOK {
		return nil, b.refusal(res, false)
	}
	return res.Body, nil
}

// list gets a ListResponse.
func (b *Backend) list(ctx context.Context, path string, query url.Values) (*listResponse, error) {
	text, err := b.read(ctx, path, query)
	if statusOf(err) == http.StatusNotFound {
		return nil, provisioning.Unavailable(provisioning.ReasonEndpointNotFound, fmt.Errorf("there is nothing at %s of the base URL (404): is the base URL right?", path))
	}
	if err != nil {
		return nil, err
	}
	l, err := parseList(text)
	if err != nil {
		return nil, unreadable(err)
	}
	return l, nil
}

// unreadable is the error of an answer that is not what SCIM says.
func unreadable(err error) error {
	return provisioning.Unavailable(provisioning.ReasonEndpointNotFound, fmt.Errorf("the address answers, and not as SCIM 2.0 does: %w", err))
}

// find returns the resources that match, each once; more than one need not be all. An empty filter asks for all. A server that does not filter is
// paged through. That nothing matches is said only of a list that is whole: a removal takes it for done.
func find[T any](ctx context.Context, b *Backend, path, filter string, parse func([]byte) (*T, error), matches func(*T) bool) ([]*T, error) {
	var found []*T
	seen := map[string]bool{}
	next, filtered := int64(1), true
	for range maxPages {
		query := url.Values{}
		if filter != "" {
			query.Set("filter", filter)
		}
		if next > 1 {
			query.Set("startIndex", strconv.FormatInt(next, 10))
		}
		if next > 1 || filter == "" {
			query.Set("count", strconv.Itoa(pageSize))
		}
		l, err := b.list(ctx, path, query)
		if err != nil {
			return nil, err
		}
		for _, text := range l.Resources {
			r, err := parse(text)
			if err != nil {
				return nil, provisioning.Retryable(fmt.Errorf("the server lists something in %s that is not as SCIM 2.0 says: %w", path, err))
			}
			if seen[idOf(r)] {
				continue
			}
			seen[idOf(r)] = true
			if matches(r) {
				found = append(found, r)
			} else {
				filtered = false
			}
		}
		if len(found) > 1 {
			return found, nil
		}
		next += int64(len(l.Resources))
		if len(l.Resources) > 0 && l.TotalResults != nil && next <= *l.TotalResults {
			continue
		}
		whole := l.TotalResults != nil && int64(len(seen)) >= *l.TotalResults || filtered && l.TotalResults == nil
		if !whole && (!filtered || len(found) == 0) {
			return nil, provisioning.Retryable(fmt.Errorf("the server's list of %s is not whole, so that it cannot be told who is not in it", path))
		}
		return found, nil
	}
	return nil, provisioning.Permanent(provisioning.ReasonRefused, fmt.Errorf("the server does not filter %s, and has too many to look through", path))
}

func idOf(resource any) string {
	switch r := resource.(type) {
	case *user:
		return r.ID
	case *group:
		return r.ID
	default:
		return ""
	}
}

// write sends a change. What the answer says besides its status is not read: what counts is observed.
func (b *Backend) write(ctx context.Context, method, path string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return provisioning.Permanent(provisioning.ReasonRefused, err)
	}
	header := http.Header{"Accept": {mediaType + ", application/json;q=0.9"}}
	if body == nil {
		text = nil
	} else {
		header.Set("Content-Type", mediaType)
	}
	res, err := b.client.Do(ctx, method, b.base+path, header, text)
	if err != nil {
		return err
	}
	switch res.Status {
	case http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent:
		return nil
	default:
		return b.refusal(res, true)
	}
}

// refusal turns an answer into the word for it. It is the one table of statuses. A write that is refused for what is
// there already, or no longer, may come true by itself or be so: it is observed again.
func (b *Backend) refusal(res *httpclient.Response, write bool) error {
	var said scimError
	// Many errors are not SCIM's: then there is nothing to repeat.
	_ = object(res.Body, &said)
	detail := fmt.Sprintf("the server answered %d", res.Status)
	if said.ScimType != "" {
		detail += " " + b.client.Redact(said.ScimType)
	}
	if said.Detail != "" {
		detail += ": " + b.client.Redact(said.Detail)
	}
	err := errors.New(detail)
	a := &answerError{status: res.Status, scim: said}
	switch s := res.Status; {
	case s == http.StatusUnauthorized:
		a.error = provisioning.Unavailable(provisioning.ReasonUnauthorized, fmt.Errorf("the server refuses the credentials: %w", err))
	case s == http.StatusForbidden && write:
		a.error = provisioning.Permanent(provisioning.ReasonForbidden, fmt.Errorf("the credentials may not make this change: %w", err))
	case s == http.StatusForbidden:
		a.error = provisioning.Unavailable(provisioning.ReasonAccessForbidden, fmt.Errorf("the credentials may not read: %w", err))
	case s == http.StatusTooManyRequests:
		a.error = &provisioning.RetryableError{After: httpclient.RetryAfter(res.Header), RateLimited: true, Err: err}
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly, s >= 500:
		a.error = &provisioning.RetryableError{After: httpclient.RetryAfter(res.Header), Err: err}
	case write && (s == http.StatusNotFound || s == http.StatusConflict || s == http.StatusPreconditionFailed || s < 300):
		a.error = provisioning.Retryable(err)
	case s < 300:
		a.error = provisioning.Unavailable(provisioning.ReasonEndpointNotFound, fmt.Errorf("the address answers, and not as SCIM 2.0 does: %w", err))
	default:
		a.error = provisioning.Permanent(provisioning.ReasonRefused, err)
	}
	return a
}
