// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package ldap provisions the membership of groups in a directory that speaks LDAP (RFC 4511): OpenLDAP, Active
// Directory and their kin. A subject is the one entry that a filter finds, an entitlement is a group, by its
// distinguished name or by its name under a base.
package ldap

import (
	"context"
	"crypto/tls"
	"strings"
	"time"
	"unicode/utf8"

	ldapv3 "github.com/go-ldap/ldap/v3"
	"golang.org/x/time/rate"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// Placeholder is what stands for the subject in a filter and in the values of new accounts.
const Placeholder = "{subject}"

// Options say which directory is spoken to, and how it is laid out.
type Options struct {
	// URL is the server's, with the scheme ldaps or ldap.
	URL string
	// StartTLS protects a connection of the scheme ldap before anything is sent (RFC 4511 section 4.14).
	StartTLS bool
	// TLS says how the server is verified. It is not used for ldap without StartTLS.
	TLS *tls.Config
	// BindDN and Password are the credentials of the simple bind.
	BindDN, Password string
	// Timeout is how long one request may take.
	Timeout time.Duration
	// Limiter is waited for before every request. Nil: no limit.
	Limiter *rate.Limiter
	// UserBase and UserFilter find a subject: the filter (RFC 4515) holds Placeholder once.
	UserBase, UserFilter string
	// GroupBase is where groups are looked for by name, GroupName the attribute that holds the name, GroupFilter what a
	// group must match besides; empty: nothing.
	GroupBase, GroupName, GroupFilter string
	// GroupClass is the object class of groups that are created. Empty: none are.
	GroupClass string
	// MemberAttribute holds a group's members. Empty: as the group's object class says.
	MemberAttribute string
	// EmptyGroupMember is the distinguished name that stands in a group that must have a member and has none.
	EmptyGroupMember string
	// NewAccount says how accounts are created. Nil: they are not.
	NewAccount *NewAccount
	// Disabling says how accounts are disabled. Nil: they are not.
	Disabling *Disabling
}

// NewAccount is the template of accounts that are created.
type NewAccount struct {
	// Base is the entry that accounts are created under, RDN the attribute that names them.
	Base, RDN string
	// ObjectClasses are their object classes.
	ObjectClasses []string
	// Attributes are their attributes; Placeholder stands for the subject. A subject's own attributes go before them.
	Attributes map[string]string
}

// Disabling says how accounts are disabled.
type Disabling struct {
	// UserAccountControl uses the flag of Active Directory.
	UserAccountControl bool
	// PasswordPolicy locks by pwdAccountLockedTime (draft-behera-ldap-password-policy).
	PasswordPolicy bool
	// Attribute is an attribute of the directory's own, with Inactive as the value of a disabled account, and Active of an
	// enabled one; where Active is empty the attribute is taken away.
	Attribute, Active, Inactive string
}

// Backend is a provisioning.Backend. It may be used by several goroutines.
type Backend struct {
	options Options
	pool    *pool
}

var (
	_ provisioning.Backend            = (*Backend)(nil)
	_ provisioning.EntitlementEmptier = (*Backend)(nil)
	_ provisioning.EntitlementCreator = (*Backend)(nil)
)

// New returns a Backend. It connects when it is used; Close ends its connections.
func New(o Options) *Backend {
	if o.GroupName == "" {
		o.GroupName = "cn"
	}
	return &Backend{options: o, pool: &pool{options: o}}
}

// Close ends the connections.
func (b *Backend) Close() { b.pool.close() }

// Check implements provisioning.Backend. It looks for a user whom nobody has, and for the base of the groups.
func (b *Backend) Check(ctx context.Context) error {
	if _, _, err := b.search(ctx, b.userRequest("access-operator-probe")); err != nil {
		return missingBase(err, "users.baseDN")
	}
	if b.options.GroupBase == "" {
		return nil
	}
	_, err := b.ask(ctx, baseRequest(b.options.GroupBase, "1.1"))
	return missingBase(err, "groups.baseDN")
}

// Observe implements provisioning.Backend.
func (b *Backend) Observe(ctx context.Context, s provisioning.Subject, entitlements []string) (provisioning.Access, error) {
	seen := provisioning.Access{Account: provisioning.AccountAbsent, Entitlements: make(map[string]provisioning.Membership, len(entitlements))}
	u, err := b.findUser(ctx, s.ID)
	if err != nil {
		return seen, err
	}
	if u != nil {
		seen.Account, seen.AccountID = provisioning.AccountActive, normalize(u.dn)
		if u.inactive {
			seen.Account = provisioning.AccountInactive
		}
	}
	for _, e := range entitlements {
		g, err := b.findGroup(ctx, e)
		if err != nil {
			return seen, err
		}
		seen.Entitlements[e] = b.membership(u, g)
	}
	return seen, nil
}

// membership tells whether a user is a direct member of a group, and who else is.
func (b *Backend) membership(u *user, g *group) provisioning.Membership {
	m := provisioning.Membership{Presence: provisioning.Absent, OthersKnown: true}
	own := ""
	if u != nil {
		own = g.key(u.memberValue(g))
		m.Self = own
		if g.isPrimaryOf(u) {
			m.Presence = provisioning.Present
		}
	}
	for _, value := range g.members {
		switch key := g.key(value); {
		case key == normalize(b.options.EmptyGroupMember):
		case own != "" && key == own:
			m.Presence = provisioning.Present
		default:
			m.Others = append(m.Others, key)
		}
	}
	return m
}

// normalize makes distinguished names that mean the same one text (RFC 4514): case and spaces do not count. One with a value
// that is not UTF-8 stays as it is: what is not text has no case, and two of them must not become the same.
func normalize(dn string) string {
	text := dn
	// Twice, since the order of the attributes of one RDN is by their case, too.
	for range 2 {
		parsed, err := ldapv3.ParseDN(text)
		if err != nil && utf8.ValidString(text) {
			return strings.ToLower(text)
		}
		if err != nil || !isText(parsed) {
			return dn
		}
		text = strings.ToLower(parsed.String())
	}
	return text
}

func isText(dn *ldapv3.DN) bool {
	for _, rdn := range dn.RDNs {
		for _, a := range rdn.Attributes {
			if !utf8.ValidString(a.Type) || !utf8.ValidString(a.Value) {
				return false
			}
		}
	}
	return true
}
