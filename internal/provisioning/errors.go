// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioning

import (
	"context"
	"errors"
	"time"
)

// Reasons of a *PermanentError, which people see in a task's status.
const (
	// ReasonSubjectNotFound means that there is no account and none may be created.
	ReasonSubjectNotFound = "SubjectNotFound"
	// ReasonAmbiguousSubject means that several accounts match the identity.
	ReasonAmbiguousSubject = "AmbiguousSubject"
	// ReasonEntitlementNotFound means that the target system has no such group or role.
	ReasonEntitlementNotFound = "EntitlementNotFound"
	// ReasonAmbiguousEntitlement means that several groups or roles have the same name.
	ReasonAmbiguousEntitlement = "AmbiguousEntitlement"
	// ReasonForbidden means that the credentials may not make this change.
	ReasonForbidden = "Forbidden"
	// ReasonRefused means that the target system refuses the change as wrong.
	ReasonRefused = "Refused"
	// ReasonOthersVanished means that other holders of an entitlement vanished while the change was made.
	ReasonOthersVanished = "OthersVanished"
	// ReasonInvalidConfiguration means that the connector says something that cannot work for this task.
	ReasonInvalidConfiguration = "InvalidConfiguration"
	// ReasonInherited means that a subject still has by another way what was taken away.
	ReasonInherited = "Inherited"
	// ReasonNotSupported means that the backend cannot do what is asked.
	ReasonNotSupported = "NotSupported"
)

// Reasons of an *UnavailableError, which people see on the Connector.
const (
	// ReasonUnauthorized means that the credentials are refused.
	ReasonUnauthorized = "Unauthorized"
	// ReasonAccessForbidden means that the credentials are known and may not even read.
	ReasonAccessForbidden = "Forbidden"
	// ReasonEndpointNotFound means that the address answers, and not as the protocol does.
	ReasonEndpointNotFound = "EndpointNotFound"
)

// A PermanentError is an error that only a change by a person can mend. Backends and the engine return it.
type PermanentError struct {
	// Reason is a CamelCase word, one of the constants of this package.
	Reason string
	// Err says what is wrong and what would be right.
	Err error
}

func (e *PermanentError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *PermanentError) Unwrap() error { return e.Err }

// A RetryableError is an error that may pass: a rate limit, a timeout, a server's failure, the network.
type RetryableError struct {
	// After is how long the target system asked to wait; zero where it did not say.
	After time.Duration
	// RateLimited means that the target system asked for fewer requests: it concerns every task of the connector.
	RateLimited bool
	// Unreachable means that the request did not reach the target system: it is worth probing the connector.
	Unreachable bool
	// Err is the cause.
	Err error
}

func (e *RetryableError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *RetryableError) Unwrap() error { return e.Err }

// An UnavailableError says that credentials or endpoint are wrong: the connector's fault, not the task's.
type UnavailableError struct {
	// Reason is a CamelCase word, one of the constants of this package.
	Reason string
	// Err says what is wrong.
	Err error
}

func (e *UnavailableError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }

// A PendingError says that the target system is at work, or that a person must act there.
type PendingError struct {
	// After is when to look again.
	After time.Duration
	// Err says what is waited for.
	Err error
}

func (e *PendingError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *PendingError) Unwrap() error { return e.Err }

// Permanent returns a *PermanentError.
func Permanent(reason string, err error) error { return &PermanentError{Reason: reason, Err: err} }

// Retryable returns a *RetryableError without a delay of the target system's.
func Retryable(err error) error { return &RetryableError{Err: err} }

// Unavailable returns an *UnavailableError.
func Unavailable(reason string, err error) error { return &UnavailableError{Reason: reason, Err: err} }

// Word returns the one word for an error that metrics and logs use: ok, permanent, retryable, unavailable or pending.
func Word(err error) string {
	var (
		permanent   *PermanentError
		unavailable *UnavailableError
		pending     *PendingError
	)
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &permanent):
		return "permanent"
	case errors.As(err, &unavailable):
		return "unavailable"
	case errors.As(err, &pending):
		return "pending"
	default:
		return "retryable"
	}
}

// interrupted tells whether the caller's own time is up, so that nothing more may be asked of the target.
func interrupted(ctx context.Context) bool { return ctx.Err() != nil }
