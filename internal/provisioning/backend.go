// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioning

import (
	"context"
)

// Subject is whose access changes.
type Subject struct {
	// ID is the identity in the target system, for example a user name.
	ID string
	// Attributes are the attributes of an account that is created, by their name in the target system.
	Attributes map[string]string
	// Request is what was asked for and approved, for backends that repeat it to the target system. It decides nothing.
	Request Request
}

// Request is what was asked for, in Cakewalk's words. What Cakewalk does not name is empty.
type Request struct {
	// Type is the request's type, for example GrantAccessRequest.
	Type string `cel:"type"`
	// RequestedBy is who asked.
	RequestedBy Person `cel:"requestedBy"`
	// TargetUser is for whom.
	TargetUser Person `cel:"targetUser"`
	// TargetWorkApp is the application.
	TargetWorkApp Named `cel:"targetWorkApp"`
	// PermissionLevel is the level.
	PermissionLevel Named `cel:"permissionLevel"`
	// TriggeredByUsersGroup is the group by which it came about.
	TriggeredByUsersGroup Named `cel:"triggeredByUsersGroup"`
}

// Person is a person of Cakewalk.
type Person struct {
	ID       string `cel:"id"`
	Email    string `cel:"email"`
	FullName string `cel:"fullName"`
}

// Named is something of Cakewalk with an id and a name.
type Named struct {
	ID   string `cel:"id"`
	Name string `cel:"name"`
}

// AccountState is what was seen of a subject's account.
type AccountState string

const (
	// AccountAbsent means that the target system has no account for the subject.
	AccountAbsent AccountState = "Absent"
	// AccountActive means that the account can be used.
	AccountActive AccountState = "Active"
	// AccountInactive means that the account exists and cannot be used.
	AccountInactive AccountState = "Inactive"
)

// Presence is what was seen of a subject's hold on an entitlement.
type Presence string

const (
	// Absent means that the subject does not hold the entitlement.
	Absent Presence = "Absent"
	// Present means that the subject holds the entitlement.
	Present Presence = "Present"
	// NotVisible means that the target system does not show whether the subject holds the entitlement.
	NotVisible Presence = "NotVisible"
)

// Membership is what was seen of one entitlement.
type Membership struct {
	// Presence says whether the subject holds the entitlement.
	Presence Presence
	// Others are the target system's ids of the other holders, as far as it shows them.
	Others []string
	// OthersKnown says whether Others is the complete list. Where it is false nothing can be said about other holders.
	OthersKnown bool
	// Self is the subject's id among the holders, where that is another than the account's. Empty: the account's.
	Self string
	// Inherited names what else gives the subject the entitlement, for example a role that is itself a member, where the
	// target system shows that. Presence does not count it. A removal that leaves some that is not mapped is not done.
	Inherited []string
}

// Access is what was seen of a subject: the account and the entitlements that were asked about.
type Access struct {
	// Account is the state of the account.
	Account AccountState
	// AccountID is the target system's id of the account, empty where there is none.
	AccountID string
	// Entitlements holds what was seen, by entitlement, for every entitlement that was asked about.
	Entitlements map[string]Membership
}

// Action is one kind of change in a target system.
type Action string

const (
	// CreateAccount creates an active account for the subject, with the subject's attributes.
	CreateAccount Action = "CreateAccount"
	// ActivateAccount makes an inactive account active.
	ActivateAccount Action = "ActivateAccount"
	// DeactivateAccount makes an account inactive.
	DeactivateAccount Action = "DeactivateAccount"
	// DeleteAccount deletes an account.
	DeleteAccount Action = "DeleteAccount"
	// AddEntitlement gives the subject an entitlement.
	AddEntitlement Action = "AddEntitlement"
	// RemoveEntitlement takes an entitlement from the subject.
	RemoveEntitlement Action = "RemoveEntitlement"
	// RemoveAllMembers takes an entitlement from everybody. It concerns no subject.
	RemoveAllMembers Action = "RemoveAllMembers"
	// CreateEntitlement creates an entitlement without holders. It concerns no subject.
	CreateEntitlement Action = "CreateEntitlement"
)

// Change is one change in a target system.
type Change struct {
	// Action is what is done.
	Action Action
	// Entitlement is what the action is about; empty for actions on the account.
	Entitlement string
	// Members is how many holders the entitlement had when the plan was made; only for RemoveAllMembers.
	Members int
}

// A Backend observes and changes access in one target system. Calls are bounded by ctx and do not retry by themselves:
// rate and repetition belong to the caller. Errors are the words of this package: *PermanentError, *RetryableError,
// *UnavailableError, *PendingError; any other error counts as retryable.
type Backend interface {
	// Check tells whether the target system can be reached and takes the credentials. It changes nothing.
	Check(ctx context.Context) error

	// Observe returns the facts about a subject and the entitlements asked about. It changes nothing. A subject is found
	// by exactly one match: none is AccountAbsent, several are a *PermanentError. An entitlement that the target system
	// does not have is a *PermanentError.
	Observe(ctx context.Context, subject Subject, entitlements []string) (Access, error)

	// Apply makes one change. That it is so already is success. It touches nobody but the subject.
	Apply(ctx context.Context, subject Subject, change Change) error
}

// An EntitlementEmptier is a Backend that can count and remove all holders of an entitlement.
type EntitlementEmptier interface {
	// CountMembers returns how many holders an entitlement has. A target system that does not show its holders is a
	// *PermanentError.
	CountMembers(ctx context.Context, entitlement string) (int, error)
	// RemoveAllMembers takes the entitlement from everybody. It may stop early at ctx's end, with part of it done.
	RemoveAllMembers(ctx context.Context, entitlement string) error
}

// An EntitlementCreator is a Backend that can create entitlements.
type EntitlementCreator interface {
	// HasEntitlement tells whether the entitlement exists. Several of one name are a *PermanentError.
	HasEntitlement(ctx context.Context, entitlement string) (bool, error)
	// CreateEntitlement creates an entitlement without holders. That it exists already is success.
	CreateEntitlement(ctx context.Context, entitlement string) error
}
