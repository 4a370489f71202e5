// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalk

import (
	"errors"
	"time"
)

// Fault is a kind of trouble with the Open API.
type Fault string

const (
	// FaultAway means that the API does not answer, or not as it should: nothing is known of what was asked or sent.
	FaultAway Fault = "away"
	// FaultRateLimited means that the API, or the client's own limit, asks for fewer requests.
	FaultRateLimited Fault = "rate limited"
	// FaultUnauthorized means that the API refuses the credentials (401).
	FaultUnauthorized Fault = "unauthorized"
	// FaultForbidden means that the credentials may not do this (403), for example because the key is read-only.
	FaultForbidden Fault = "forbidden"
	// FaultNotFound means that there is no such object (404).
	FaultNotFound Fault = "not found"
	// FaultConflict means that somebody already acted (409).
	FaultConflict Fault = "conflict"
	// FaultRefused means that the API does not take the request as it is (any other 4xx).
	FaultRefused Fault = "refused"
)

// APIError is an answer of the Open API that is none, or the lack of one.
type APIError struct {
	// Fault is the kind of trouble.
	Fault Fault
	// Status is the status code; 0 where there was no answer.
	Status int
	// After is when to ask again at the earliest, from now; 0 where nothing is known.
	After time.Duration
	// Detail says what happened and what to do. It holds no credentials.
	Detail string

	// answered means that the way to the API is fine, whatever the fault: others need not be held back.
	answered bool
}

// Error implements error.
func (e *APIError) Error() string { return e.Detail }

// FaultOf is the kind of trouble that an error of a Client tells of. Any error that it did not make is FaultAway.
func FaultOf(err error) Fault {
	if of, ok := errors.AsType[*APIError](err); ok {
		return of.Fault
	}
	return FaultAway
}
