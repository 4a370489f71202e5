// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// verdict is what an answer means.
type verdict int

const (
	done verdict = iota
	alreadyDone
	notFound
	pending
	retryable
	rateLimited
	unauthorized
	forbidden
	refused
)

// lookAgain is when something pending is looked at again.
const lookAgain = time.Minute

// seen are the variables with an answer.
func (a *reply) seen(v variables) variables {
	headers := make(map[string]string, len(a.Header))
	for name, values := range a.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return v.with(varStatus, int64(a.Status)).with(varHeaders, headers).with(varBody, a.body)
}

// judge tells what an answer means.
func (r *request) judge(ctx context.Context, a *reply, seen variables) verdict {
	for _, rule := range r.rules {
		if yes, err := rule.program.Bool(ctx, seen); err == nil && yes {
			return rule.verdict
		}
	}
	switch s := a.Status; {
	case s >= 200 && s < 300 && !r.strict:
		return done
	case s == http.StatusUnauthorized, s == http.StatusProxyAuthRequired:
		return unauthorized
	case s == http.StatusForbidden:
		return forbidden
	case s == http.StatusNotFound:
		return notFound
	case s == http.StatusTooManyRequests:
		return rateLimited
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly, s >= 500:
		return retryable
	default:
		return refused
	}
}

// failure is the error of an answer that is not done, in the words of the package provisioning. What is not found is one
// of a change.
func (b *Backend) failure(ctx context.Context, r *request, a *reply, seen variables, v verdict, write bool) error {
	err := fmt.Errorf("%s: %s", strings.TrimPrefix(r.name, "operations."), b.detail(ctx, r, a, seen))
	after := httpclient.RetryAfter(a.Header)
	switch v {
	case done, alreadyDone:
		return nil
	case pending:
		if after == 0 {
			after = lookAgain
		}
		return &provisioning.PendingError{After: after, Err: err}
	case rateLimited:
		return &provisioning.RetryableError{After: after, RateLimited: true, Err: err}
	case retryable:
		return &provisioning.RetryableError{After: after, Err: err}
	case unauthorized:
		return provisioning.Unavailable(provisioning.ReasonUnauthorized, fmt.Errorf("the server refuses the credentials: %w", err))
	case forbidden:
		if !write {
			return provisioning.Unavailable(provisioning.ReasonAccessForbidden, fmt.Errorf("the credentials may not read: %w", err))
		}
		return provisioning.Permanent(provisioning.ReasonForbidden, fmt.Errorf("the credentials may not make this change: %w", err))
	case notFound:
		return provisioning.Retryable(err)
	default:
		if write && (a.Status == http.StatusConflict || a.Status == http.StatusPreconditionFailed) {
			// It may be so already, or come true by itself: it is observed again.
			return provisioning.Retryable(err)
		}
		return provisioning.Permanent(provisioning.ReasonRefused, err)
	}
}

// detail is what the server says of an error, made fit for people.
func (b *Backend) detail(ctx context.Context, r *request, a *reply, seen variables) string {
	text := ""
	if r.message != nil {
		// A message that fails says nothing, and the status is said anyway.
		text, _ = r.message.Text(ctx, seen)
	} else {
		text = saying(a.body)
	}
	if text = b.client.Redact(text); text != "" {
		return fmt.Sprintf("the server answered %d: %s", a.Status, text)
	}
	return fmt.Sprintf("the server answered %d", a.Status)
}

// saying finds an error's text where APIs have it.
func saying(body any) string {
	object, ok := body.(map[string]any)
	if !ok {
		return ""
	}
	for _, name := range []string{"message", "errorMessage", "errorSummary", "error_description", "detail", "reason", "error"} {
		switch x := object[name].(type) {
		case string:
			if x != "" {
				return x
			}
		case map[string]any:
			if text := saying(x); text != "" {
				return text
			}
		}
	}
	return ""
}

// unreadable is the error of an answer that is not what the expressions expect. It is never taken for an empty one.
func unreadable(field string, err error) error {
	return provisioning.Unavailable(provisioning.ReasonEndpointNotFound,
		fmt.Errorf("the address answers, and not as http.%s expects: %w", field, err))
}

var errNotJSON = errors.New("the body is not JSON")
