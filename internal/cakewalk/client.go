// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"getcakewalk.io/access-operator/internal/httpclient"
)

const (
	requestTimeout   = 10 * time.Second
	maxResponseBytes = 4 << 20
)

// ClientOptions say where the Open API is and how a Client speaks to it.
type ClientOptions struct {
	// BaseURL is the base of the API, with its version, for example https://open-api.getcakewalk.io/api/v1.
	BaseURL string
	// Key and Secret are the credentials. Every request carries them, in X-API-KEY and X-API-SECRET.
	Key, Secret string
	// RootCAs are the certificates that the server's certificate is verified with. Nil: the system's.
	RootCAs *x509.CertPool
	// Gate is shared by all clients of a receiver. Nil: one of the client's own.
	Gate *Gate
	// Observe is called after every request that was sent. Nil: nobody is told.
	Observe func(Observation)
	// Transport sends the requests: a seam for tests. Nil: over the network.
	Transport http.RoundTripper
}

// Observation is what became of a request that was sent.
type Observation struct {
	// Operation names the request: get_task, approve_task, decline_task, list_tasks, get_user, get_work_app,
	// list_permission_levels or get_keys.
	Operation string
	// Write tells that the request changes something.
	Write bool
	// Status is the status code; 0 where there was no answer.
	Status int
	// Took is how long the request took, without the wait for its turn.
	Took time.Duration
	// Err is what the caller gets.
	Err error
	// Answered tells that the API answered as itself, although Err may say that this one answer is unusable.
	Answered bool
}

// Client is a client of Cakewalk's Open API with one pair of credentials. It may be used by several goroutines.
//
// Its errors are *APIError, or ctx's where that was cancelled. No request is repeated by the client, and none is sent
// that would exceed the limit of requests, or while the API is known to be away, to refuse the credentials or to ask for
// fewer requests.
type Client struct {
	*clientCore
	background bool
}

// clientCore is what a client and its background view share.
type clientCore struct {
	base    *url.URL
	http    *httpclient.Client
	gate    *Gate
	observe func(Observation)
	// known is set once the address gave a documented answer.
	known atomic.Bool
}

// NewClient returns a Client. The error says which option cannot be; it holds no credentials.
func NewClient(o ClientOptions) (*Client, error) {
	base, err := url.Parse(strings.TrimSuffix(o.BaseURL, "/"))
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, errors.New("the URL of Cakewalk's API must be an https URL, for example https://open-api.getcakewalk.io/api/v1")
	}
	if o.Key == "" || o.Secret == "" {
		return nil, errors.New("the credentials of Cakewalk's API are a key and a secret, and one of them is empty")
	}
	if o.Gate == nil {
		o.Gate = NewGate(nil)
	}
	if o.Observe == nil {
		o.Observe = func(Observation) {}
	}
	base.RawQuery, base.Fragment = "", ""
	return &Client{clientCore: &clientCore{
		base:    base,
		gate:    o.Gate,
		observe: o.Observe,
		http: httpclient.New(httpclient.Options{
			Authentication:   httpclient.Headers(map[string]string{"X-API-KEY": o.Key, "X-API-SECRET": o.Secret}),
			RootCAs:          o.RootCAs,
			Timeout:          requestTimeout,
			MaxResponseBytes: maxResponseBytes,
			Transport:        o.Transport,
		}),
	}}, nil
}

// Background returns a view of the client for what may wait: its requests take at most 4 of the 14 a second that all
// requests of the receiver may take together.
func (c *Client) Background() *Client { return &Client{clientCore: c.clientCore, background: true} }

// Close ends the connections that are not in use. Requests that are under way go on.
func (c *Client) Close() { c.http.Close() }

// Task reads a task. An answer about another task is FaultAway.
func (c *Client) Task(ctx context.Context, id string) (*Task, error) {
	return single(ctx, c, operation{name: "get_task", what: "task"}, "/Tasks/", id, (*reader).task)
}

// Approve approves a task, which says that its change was made. extra holds members of the body; nil: none. It is not
// idempotent: after an error other than FaultConflict the task should be read before it is approved again.
func (c *Client) Approve(ctx context.Context, id string, extra json.RawMessage) error {
	return c.act(ctx, operation{name: "approve_task", what: "task", write: true}, id, "/Approve", extra)
}

// Decline declines a task, which ends the request of the person who asked. What is said of Approve holds.
func (c *Client) Decline(ctx context.Context, id string, extra json.RawMessage) error {
	return c.act(ctx, operation{name: "decline_task", what: "task", write: true}, id, "/Decline", extra)
}

// TasksOf lists the tasks of a user, at most 10,000. Cakewalk may leave out the request behind a task in a list.
func (c *Client) TasksOf(ctx context.Context, userID string) ([]Task, error) {
	if err := checkID("user", userID); err != nil {
		return nil, err
	}
	return list(ctx, c, operation{name: "list_tasks", what: "user"}, "/Tasks", url.Values{"userId": {userID}}, (*reader).task)
}

// User reads a user.
func (c *Client) User(ctx context.Context, id string) (*User, error) {
	return single(ctx, c, operation{name: "get_user", what: "user"}, "/Users/", id, (*reader).apiUser)
}

// WorkApp reads the name of a work app.
func (c *Client) WorkApp(ctx context.Context, id string) (*NamedObject, error) {
	return single(ctx, c, operation{name: "get_work_app", what: "work app"}, "/WorkApps/", id, (*reader).named)
}

// PermissionLevels lists the permission levels of a work app.
func (c *Client) PermissionLevels(ctx context.Context, workAppID string) ([]NamedObject, error) {
	if err := checkID("work app", workAppID); err != nil {
		return nil, err
	}
	return list(ctx, c, operation{name: "list_permission_levels", what: "work app"}, "/WorkApps/"+workAppID+"/PermissionLevels", nil, (*reader).named)
}

// Keys fetches the public keys that webhooks are signed with, from their own address. Keys that are refused, for example
// for their size, are left out while there are good ones; refused then says what is wrong with each, and is nil otherwise.
// Without a good one that is the error.
func (c *Client) Keys(ctx context.Context, address string) (keys []*rsa.PublicKey, refused, err error) {
	err = c.call(ctx, operation{name: "get_keys", what: "address of keys"}, http.MethodGet, address, nil, func(res *httpclient.Response) error {
		keys, refused = ParsePublicKeys(res.Body)
		if len(keys) > 0 {
			return nil
		}
		return &APIError{Fault: FaultAway, Status: res.Status, answered: true, Detail: "Cakewalk's answer at " + fetchFrom + " holds no usable key: " + c.http.Redact(refused.Error())}
	})
	return keys, refused, err
}

// act posts to a task.
func (c *Client) act(ctx context.Context, op operation, id, verb string, extra json.RawMessage) error {
	if err := checkID(op.what, id); err != nil {
		return err
	}
	body := []byte("{}")
	if len(extra) > 0 {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(extra, &members); err != nil || members == nil {
			return &APIError{Fault: FaultRefused, answered: true, Detail: "the configured body of " + op.name + " is not a JSON object"}
		}
		body = extra
	}
	return c.call(ctx, op, http.MethodPost, c.base.String()+"/Tasks/"+id+verb, body, func(*httpclient.Response) error { return nil })
}

// checkID keeps anything that is no id out of paths.
func checkID(what, id string) error {
	if isUUID(id) {
		return nil
	}
	return &APIError{Fault: FaultRefused, answered: true, Detail: fmt.Sprintf("Cakewalk cannot be asked for this %s: its id is no UUID", what)}
}
