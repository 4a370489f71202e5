// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
)

const (
	// defaultRetryAfter is how long the client closes after a 429 that does not say.
	defaultRetryAfter = 10 * time.Second
	// maxPages and maxItems bound a list.
	maxPages = 100
	maxItems = 10_000
	// maxCursor bounds what is repeated of a link, in bytes.
	maxCursor = 4096

	fetchFrom      = "spec.verification.rsa.fetchFrom"
	credentialsRef = "spec.cakewalkAPI.credentialsSecretRef"
)

// operation is a kind of request.
type operation struct {
	// name is the operation in metrics.
	name string
	// what is the object that is asked for.
	what  string
	write bool
}

// call sends one request when it may be sent, and gives a 2xx answer to read.
func (c *Client) call(ctx context.Context, op operation, method, address string, body []byte, read func(*httpclient.Response) error) error {
	epoch, err := c.gate.enter(ctx, c.background)
	if err != nil {
		return err
	}
	header := http.Header{"Accept": {"application/json"}}
	if op.name == "get_keys" {
		header.Set("Accept", "*/*")
	}
	if body != nil {
		header.Set("Content-Type", "application/json")
	}
	found, fault := untold, (*APIError)(nil)
	// Deferred, because a request that is never taken in would keep the gate closed for ever.
	defer func() { c.gate.breaker.leave(epoch, c.gate.now(), found, fault) }()
	start := time.Now()
	res, err := c.http.Do(ctx, method, address, header, body)
	took := time.Since(start)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		// The caller does not want to know any more.
		return ctx.Err()
	}
	status := 0
	switch {
	case err != nil:
		err = unreached(err)
	case res.Status/100 == 2:
		status = res.Status
		if err = read(res); err == nil {
			c.known.Store(true)
		}
	default:
		status = res.Status
		err = c.refusal(op, res)
	}
	found, fault = judge(err)
	c.observe(Observation{Operation: op.name, Write: op.write, Status: status, Took: took, Err: err, Answered: found == passed})
	return err
}

// judge says what an error tells about the way to the API.
func judge(err error) (outcome, *APIError) {
	fault, ok := errors.AsType[*APIError](err)
	if !ok || fault.answered {
		return passed, nil
	}
	switch fault.Fault {
	case FaultAway, FaultRateLimited, FaultUnauthorized:
		return failed, fault
	default:
		return passed, nil
	}
}

// unreached is the error of a request without a usable answer.
func unreached(err error) *APIError {
	after := time.Duration(0)
	if retry, ok := errors.AsType[*provisioning.RetryableError](err); ok {
		after = retry.After
	}
	return &APIError{Fault: FaultAway, After: after, Detail: "Cakewalk's API cannot be used: " + err.Error()}
}

// refusal is the error of an answer other than 2xx.
func (c *Client) refusal(op operation, res *httpclient.Response) *APIError {
	text, isProblem := readProblem(res.Body)
	if text = c.http.Redact(text); text != "" {
		text = ": " + text
	}
	e := &APIError{Status: res.Status, After: httpclient.RetryAfter(res.Header)}
	switch s := res.Status; {
	case s == http.StatusUnauthorized:
		e.Fault = FaultUnauthorized
		e.Detail = "Cakewalk refuses the API credentials (401): check apiKey and apiSecret in the Secret of " + credentialsRef
	case s == http.StatusForbidden && op.write:
		e.Fault = FaultForbidden
		e.Detail = "Cakewalk does not let the API key write (403): the key may be read-only; put one that may read and write into the Secret of " + credentialsRef
	case s == http.StatusForbidden:
		e.Fault = FaultForbidden
		e.Detail = fmt.Sprintf("Cakewalk does not let the API key read this %s (403): check what the key of %s may do", op.what, credentialsRef)
	case s == http.StatusNotFound && !isProblem && !c.known.Load():
		// Any web server says 404 of an address that is not the API's. That must not read as "no such task".
		e.Fault, e.answered = FaultAway, true
		e.Detail = "the address answers 404 and not as Cakewalk's API does: check spec.cakewalkAPI.url"
	case s == http.StatusNotFound:
		e.Fault = FaultNotFound
		e.Detail = fmt.Sprintf("Cakewalk knows no such %s (404)", op.what)
	case s == http.StatusConflict:
		e.Fault = FaultConflict
		e.Detail = fmt.Sprintf("Cakewalk says that somebody already acted on the %s (409)", op.what)
	case s == http.StatusTooManyRequests:
		e.Fault = FaultRateLimited
		if e.After == 0 {
			e.After = defaultRetryAfter
		}
		e.Detail = "Cakewalk asks for fewer requests (429): its limit is 1,000 a minute; look for what else uses it"
	case s >= 500, s == http.StatusRequestTimeout:
		e.Fault = FaultAway
		e.Detail = fmt.Sprintf("Cakewalk's API fails (%d)", s)
	case s >= 400:
		e.Fault = FaultRefused
		e.Detail = fmt.Sprintf("Cakewalk does not take the request %s (%d)", op.name, s)
	default:
		e.Fault = FaultAway
		e.Detail = fmt.Sprintf("the address answers %d, which Cakewalk's API does not: check spec.cakewalkAPI.url", s)
	}
	e.Detail += text
	return e
}

// readProblem returns the title and the detail of problem details (RFC 9457), and whether the body is a JSON object.
func readProblem(body []byte) (text string, ok bool) {
	var members map[string]any
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return "", false
	}
	title, _ := members["title"].(string)
	detail, _ := members["detail"].(string)
	if title != "" && detail != "" {
		return title + ": " + detail, true
	}
	return title + detail, true
}

// document reads the JSON object of an answer.
func document(op operation, res *httpclient.Response) (node, error) {
	tree, fault := parseTree(res.Body)
	root := node{value: tree}
	object, isObject := tree.(map[string]any)
	switch {
	case fault != nil && fault.Field != "":
		return root, malformed(op, res, fault)
	case fault != nil, !isObject, object["data"] == nil:
		return root, &APIError{
			Fault: FaultAway, Status: res.Status,
			Detail: fmt.Sprintf("the address answers %s (%d) with something that is not the JSON that Cakewalk documents: check spec.cakewalkAPI.url", op.name, res.Status),
		}
	}
	return root, nil
}

// malformed is the error of an answer of the API with a member that is not as documented. Nothing is known then.
func malformed(op operation, res *httpclient.Response, fault *FieldError) *APIError {
	return &APIError{
		Fault: FaultAway, Status: res.Status, answered: true,
		Detail: fmt.Sprintf("Cakewalk's answer to %s is not as documented: %s", op.name, fault.Error()),
	}
}

// single reads one object, which must have the id that was asked for.
func single[T any](ctx context.Context, c *Client, op operation, path, id string, read func(*reader, node) *T) (*T, error) {
	if err := checkID(op.what, id); err != nil {
		return nil, err
	}
	var value *T
	err := c.call(ctx, op, http.MethodGet, c.base.String()+path+id, nil, func(res *httpclient.Response) error {
		root, err := document(op, res)
		if err != nil {
			return err
		}
		r, data := &reader{}, root.member("data")
		if r.requiredID(data) != strings.ToLower(id) {
			r.fail(data.member("id"), "is not the id that was asked for")
		}
		value = read(r, data)
		if r.err != nil {
			return malformed(op, res, r.err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

// list reads all pages of a list, whose items must have ids. Of the link to the next page only the cursor is taken, so
// that credentials never go to another place.
func list[T any](ctx context.Context, c *Client, op operation, path string, query url.Values, read func(*reader, node) *T) ([]T, error) {
	var all []T
	seen := map[string]bool{}
	for range maxPages {
		address := c.base.String() + path
		if len(query) > 0 {
			address += "?" + query.Encode()
		}
		cursor := ""
		err := c.call(ctx, op, http.MethodGet, address, nil, func(res *httpclient.Response) error {
			root, err := document(op, res)
			if err != nil {
				return err
			}
			r := &reader{}
			each(r, root.member("data"), maxItems-len(all), func(item node) {
				r.requiredID(item)
				if value := read(r, item); value != nil {
					all = append(all, *value)
				}
			})
			cursor = r.cursor(root.member("links").member("next"))
			if seen[cursor] {
				r.fail(root.member("links").member("next"), "leads to a page that was already read")
			}
			if r.err != nil {
				return malformed(op, res, r.err)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if cursor == "" {
			return all, nil
		}
		seen[cursor] = true
		next := url.Values{"cursor": {cursor}}
		for name, values := range query {
			if name != "cursor" {
				next[name] = values
			}
		}
		query = next
	}
	return nil, &APIError{Fault: FaultAway, answered: true, Detail: fmt.Sprintf("Cakewalk's answer to %s has more than %d pages", op.name, maxPages)}
}
