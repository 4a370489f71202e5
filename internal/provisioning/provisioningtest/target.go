// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioningtest

import (
	"testing"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// A Target is a real server of other people's making that a backend provisions. All methods but Backend and Proxy speak
// to the server by other means than the backend, and not through the proxy. What goes wrong fails the test.
type Target interface {
	// Traits say what server and backend can do. They do not change.
	Traits() Traits
	// Backend returns a backend that reaches the server through the proxy, new each time, as in a process that has just
	// started, with the secret that is in force. One request of it must not take longer than a few seconds.
	Backend(tb testing.TB) provisioning.Backend
	// Proxy returns the proxy between the backend and the server.
	Proxy() Proxy

	// AddAccounts makes active accounts.
	AddAccounts(tb testing.TB, subjects ...string)
	// AddEntitlement makes an entitlement that is held by accounts.
	AddEntitlement(tb testing.TB, entitlement string, holders ...string)
	// Holders returns the subjects who hold an entitlement, as often as the server has them stored, in any order.
	Holders(tb testing.TB, entitlement string) []string
	// Account returns the state of an account.
	Account(tb testing.TB, subject string) provisioning.AccountState
	// Rotate makes the server take a new secret and refuse the old one, for connections that are made from now on.
	Rotate(tb testing.TB)
}

// Traits are what differs between targets. The zero value is a target with accounts, whose names have no case, that
// shows everything, and whose backend does nothing to accounts.
type Traits struct {
	// Subject makes a subject of a plain word, for example ann. Default: an email address.
	Subject func(word string) string
	// Entitlement makes an entitlement of a plain word, for example editors. Default: the word.
	Entitlement func(word string) string
	// Attributes are the attributes that a new account needs.
	Attributes map[string]string

	// NoAccounts means that the target system knows no accounts: every subject is taken for active.
	NoAccounts bool
	// CaseSensitive means that subjects that differ in case are different accounts.
	CaseSensitive bool
	// Creates, Deactivates and Deletes mean that the backend can do so to accounts.
	Creates, Deactivates, Deletes bool
	// Ambiguous makes two accounts for one subject and returns it. Nil where the target system cannot have that.
	Ambiguous func(tb testing.TB) (subject string)
	// Inherit gives a subject an entitlement by another way than directly, and returns its name. Nil where the target system
	// has none, or the backend cannot see it.
	Inherit func(tb testing.TB, subject, entitlement string) string
	// InheritsByEntitlement means that what Inherit names is an entitlement itself.
	InheritsByEntitlement bool
	// AnyEntitlement means that every entitlement exists, as where a relation is written and not a group joined.
	AnyEntitlement bool

	// OddSubjects and OddEntitlements are plain words with the metacharacters of the target system, at least one each.
	// An odd subject must not find another account.
	OddSubjects, OddEntitlements []string

	// Faults are the faults that the proxy can inject.
	Faults []Fault
	// Secrets returns every secret that the backend was ever given. None may show in an error.
	Secrets func() []string
	// WrongSecret returns a backend whose secret the server refuses.
	WrongSecret func(tb testing.TB) provisioning.Backend
	// Nowhere returns a backend for an address where nothing listens.
	Nowhere func(tb testing.TB) provisioning.Backend
}

// A Fault is what a proxy does to a request.
type Fault string

const (
	// Busy answers in the server's place that there are too many requests, and not how long to wait.
	Busy Fault = "Busy"
	// BusyForSeconds answers like Busy and asks to wait for RetryAfter.
	BusyForSeconds Fault = "BusyForSeconds"
	// Fail answers in the server's place that the server fails.
	Fail Fault = "Fail"
	// FailAfter passes the request on, lets it take effect, and answers that the server fails, or cuts the connection.
	FailAfter Fault = "FailAfter"
	// Refuse answers in the server's place that the credentials are refused.
	Refuse Fault = "Refuse"
	// Swallow answers a change in the server's place as if it were made.
	Swallow Fault = "Swallow"
	// Hang takes the request and never answers.
	Hang Fault = "Hang"
)

// RetryAfter is for how many seconds BusyForSeconds asks to wait.
const RetryAfter = 7

// A Request is what the proxy takes a message to the server for.
type Request int

const (
	// Other is what no fault is injected into, such as a handshake.
	Other Request = iota
	// Read is a request that changes nothing.
	Read
	// Write is a request that changes access.
	Write
)

// A Proxy stands between a backend and a server and injects faults. It is safe for concurrent use.
type Proxy interface {
	// Inject makes requests of a kind meet a fault, after the first skip of them and until Clear.
	Inject(f Fault, on Request, skip int)
	// Clear ends the injection, lets go of everything that hangs, and returns how many requests met the fault.
	Clear() int
	// Cut cuts the connections that are open.
	Cut()
}
