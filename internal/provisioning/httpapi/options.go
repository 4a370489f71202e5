// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package httpapi is the backend for REST APIs that are described by expressions, and not in code.
//
// A change is looked at first and sent only where it is not so already: many APIs answer a repeated change with an error,
// and some with harm.
package httpapi

import (
	"getcakewalk.io/access-operator/internal/httpclient"
)

// Options say what a Backend speaks to, and how. Expressions are CEL; empty ones have the default that is said with them.
type Options struct {
	// BaseURL is what every path is appended to.
	BaseURL string
	// Client sends the requests.
	Client *httpclient.Client
	// Operations are the requests.
	Operations Operations
}

// Operations are what an API is asked for what. What is nil cannot be done.
type Operations struct {
	// Check tells whether address and credentials are right.
	Check *Request
	// Observe finds the facts.
	Observe Observe
	// The changes are sent in their order, until one is not done.
	CreateAccount, ActivateAccount, DeactivateAccount, DeleteAccount, AddEntitlement, RemoveEntitlement []Request
}

// Observe finds the facts. Exactly one of Holders and Membership is given.
type Observe struct {
	// Account finds the subject's accounts. Nil: the API knows none, and everybody is active.
	Account *Lookup
	// Entitlement finds what an entitlement stands for. Nil: the entitlement itself.
	Entitlement *Lookup
	// Holders lists all holders of the entitlement.
	Holders *Lookup
	// Membership asks for the user alone.
	Membership *Lookup
}

// Request is one request.
type Request struct {
	// When yields whether a change's request is sent. Default: true.
	When string
	// Method is the method.
	Method string
	// Path is appended to the base URL; expressions in braces are escaped.
	Path string
	// Query and Headers yield strings by name.
	Query, Headers map[string]string
	// Body yields what is sent as JSON. Default: nothing is sent.
	Body string
	// Answers tell what an answer means.
	Answers Answers
}

// Answers yield bools, but for Message, which yields a string; the first that is true decides, in the order of the fields.
type Answers struct {
	Unauthorized, RateLimited, Retryable, Pending, NotFound, AlreadyDone, Done, Message string
}

// Lookup is a request whose answer holds items.
type Lookup struct {
	Request
	// Items yields an answer's list of items. Default: the body's elements where it is a list, else the body.
	Items string
	// Match yields whether an item counts. Default: true.
	Match string
	// ID yields an item's id. Default: item.id.
	ID string
	// Active yields whether an account can be used. Default: true. Only for accounts.
	Active string
	// Pending yields whether a membership is not in effect yet. Default: false. Only for holders and memberships.
	Pending string
	// Pagination says how the answer goes on. Nil: it is whole.
	Pagination *Pagination
}

// Pagination says how the next page is got: exactly one of Link, NextURL, Cursor and Page.
type Pagination struct {
	// Link follows the Link header's rel="next" (RFC 8288).
	Link bool
	// NextURL yields the next page's address, empty at the end.
	NextURL string
	// Cursor yields the next page's cursor, empty at the end.
	Cursor string
	// CursorParameter is the query's parameter that takes the cursor. Empty: the request uses the variable cursor.
	CursorParameter string
	// Page counts pages or items.
	Page *Page
	// MaxPages is how many pages are read. Default: 100.
	MaxPages int
}

// Page is pagination by numbers, until a page holds no items.
type Page struct {
	// Parameter is the query's parameter that takes the number.
	Parameter string
	// ByItems counts items in place of pages.
	ByItems bool
	// First is the first number.
	First int
	// SizeParameter is the query's parameter that takes Size. Empty: none is sent.
	SizeParameter string
	// Size is how many items a page shall hold.
	Size int
}
