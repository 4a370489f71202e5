// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package webhook hands whole tasks to another system by requests that are signed by the Standard Webhooks scheme
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md). The taskID is the
// webhook-id, by which the receiving side knows a repetition.
package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// Options say where tasks are sent.
type Options struct {
	// URL is where tasks are sent.
	URL string
	// Secrets sign, every one: `whsec_` and base64. See ParseSecret.
	Secrets []Secret
	// Client sends the requests.
	Client *httpclient.Client
	// PollInterval is how often the Location of a 202 is asked where it does not say.
	PollInterval time.Duration
}

// Executor is a provisioning.Executor. It may be used by several goroutines.
type Executor struct {
	options Options
	now     func() time.Time

	mu sync.Mutex
	// places are the Locations that were answered. Losing one costs one repetition of the task, which the receiving side
	// knows by its id. They are not kept elsewhere, since an address can hold a secret.
	places map[string]string
}

// maxPlaces is how many Locations are remembered.
const maxPlaces = 10000

var _ provisioning.Executor = (*Executor)(nil)

// New returns an Executor.
func New(o Options) *Executor {
	return &Executor{options: o, now: time.Now, places: map[string]string{}}
}

// message is what is sent: type, timestamp and data as the Standard Webhooks scheme recommends.
type message struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      data      `json:"data"`
}

type data struct {
	TaskID          string            `json:"taskId"`
	Action          provisioning.Kind `json:"action"`
	Subject         string            `json:"subject,omitempty"`
	Attributes      map[string]string `json:"attributes,omitempty"`
	PermissionLevel string            `json:"permissionLevel,omitempty"`
	Entitlements    []string          `json:"entitlements,omitempty"`
	Attempt         int               `json:"attempt"`
	Event           json.RawMessage   `json:"event"`
}

// messageType is the type of every message that hands a task over.
const messageType = "access_task.execute"

// Check implements provisioning.Executor. It looks whether the server can be reached, by a request without a message: any
// answer of the server's will do, since the scheme knows no request that changes nothing.
func (e *Executor) Check(ctx context.Context) error {
	res, err := e.options.Client.Do(ctx, http.MethodOptions, e.options.URL, nil, nil)
	if err != nil {
		return err
	}
	if res.Status >= 500 && res.Status != http.StatusNotImplemented {
		return provisioning.Retryable(fmt.Errorf("the server answered %d", res.Status))
	}
	return nil
}

// Execute implements provisioning.Executor.
func (e *Executor) Execute(ctx context.Context, task provisioning.Task) (string, error) {
	key := task.ID + "/" + task.Run
	if place := e.place(key); place != "" {
		res, err := e.send(ctx, task.ID, http.MethodGet, place, nil)
		if err != nil {
			return "", err
		}
		return e.judge(key, place, res)
	}
	text, err := json.Marshal(message{
		Type:      messageType,
		Timestamp: e.now().UTC(),
		Data: data{
			TaskID: task.ID, Action: task.Kind, Subject: task.Subject.ID, Attributes: task.Subject.Attributes,
			PermissionLevel: task.Level, Entitlements: task.Entitlements, Attempt: task.Attempt, Event: task.Event,
		},
	})
	if err != nil {
		return "", provisioning.Permanent(provisioning.ReasonRefused, fmt.Errorf("the task is no JSON: %w", err))
	}
	res, err := e.send(ctx, task.ID, http.MethodPost, e.options.URL, text)
	if err != nil {
		return "", err
	}
	return e.judge(key, e.options.URL, res)
}

func (e *Executor) send(ctx context.Context, id, method, address string, body []byte) (*httpclient.Response, error) {
	now := e.now()
	header := http.Header{
		"Webhook-Id":        {id},
		"Webhook-Timestamp": {fmt.Sprint(now.Unix())},
		"Webhook-Signature": {sign(e.options.Secrets, id, now, body)},
		"Accept":            {"application/json"},
	}
	if body != nil {
		header.Set("Content-Type", "application/json")
	}
	return e.options.Client.Do(ctx, method, address, header, body)
}

// judge turns an answer into its word.
func (e *Executor) judge(key, asked string, res *httpclient.Response) (string, error) {
	said := e.said(res)
	after := httpclient.RetryAfter(res.Header)
	switch s := res.Status; {
	case s == http.StatusAccepted:
		return e.accepted(key, asked, res, after)
	case s >= 200 && s < 300:
		e.forget(key)
		return fmt.Sprintf("the receiving system answered %d%s", s, said), nil
	case s == http.StatusConflict:
		e.forget(key)
		return "the receiving system answered 409: it was done before" + said, nil
	case s == http.StatusTooManyRequests:
		return "", &provisioning.RetryableError{After: after, RateLimited: true, Err: fmt.Errorf("the receiving system answered 429%s", said)}
	case s >= 500, s == http.StatusRequestTimeout, s == http.StatusTooEarly:
		return "", &provisioning.RetryableError{After: after, Err: fmt.Errorf("the receiving system answered %d%s", s, said)}
	case s == http.StatusUnauthorized:
		return "", provisioning.Unavailable(provisioning.ReasonUnauthorized, fmt.Errorf("the receiving system refuses the signature (401)%s: does it have one of the secrets of secretRefs?", said))
	case s == http.StatusNotFound && asked == e.options.URL:
		return "", provisioning.Unavailable(provisioning.ReasonEndpointNotFound, fmt.Errorf("there is nothing at the url (404)%s", said))
	default:
		e.forget(key)
		return "", provisioning.Permanent(provisioning.ReasonTaskFailed, fmt.Errorf("the receiving system answered %d%s", s, said))
	}
}

// accepted is a task that is under way. Without a Location there is nothing to ask, and nobody would ever know the end.
func (e *Executor) accepted(key, asked string, res *httpclient.Response, after time.Duration) (string, error) {
	location := res.Header.Get("Location")
	if location == "" && asked != e.options.URL {
		location = asked
	}
	if location == "" {
		e.forget(key)
		return "the receiving system took the task (202) and names no Location to ask whether it is done", nil
	}
	base, err := url.Parse(asked)
	if err != nil {
		return "", provisioning.Permanent(provisioning.ReasonRefused, fmt.Errorf("the url cannot be read"))
	}
	place, err := base.Parse(location)
	if err != nil || place.Scheme != base.Scheme || place.Host != base.Host || place.User != nil {
		return "", provisioning.Permanent(provisioning.ReasonRefused,
			fmt.Errorf("the receiving system answered 202 with a Location at another host: it must be at %s", base.Host))
	}
	e.keep(key, place.String())
	if after == 0 {
		after = e.options.PollInterval
	}
	return "", &provisioning.PendingError{After: after, Err: fmt.Errorf("the receiving system is at work on it%s", e.said(res))}
}

// said is what an answer says for people: `detail` or `title` of problem details (RFC 9457), or `message`.
func (e *Executor) said(res *httpclient.Response) string {
	var body struct{ Detail, Title, Message string }
	if json.Unmarshal(res.Body, &body) != nil {
		return ""
	}
	for _, text := range []string{body.Detail, body.Title, body.Message} {
		if text != "" {
			return ": " + redact(e.options.Secrets, e.options.Client.Redact(text))
		}
	}
	return ""
}

func (e *Executor) place(key string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.places[key]
}

func (e *Executor) keep(key, place string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.places) >= maxPlaces {
		clear(e.places)
	}
	e.places[key] = place
}

func (e *Executor) forget(key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.places, key)
}
