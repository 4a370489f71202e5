// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	ldapv3 "github.com/go-ldap/ldap/v3"

	"getcakewalk.io/access-operator/internal/provisioning"
)

const (
	attrUAC     = "userAccountControl"
	attrLocked  = "pwdAccountLockedTime"
	attrUID     = "uid"
	attrPrimary = "primaryGroupID"

	// uacDisabled is ACCOUNTDISABLE of userAccountControl ([MS-ADTS] 2.2.16).
	uacDisabled = 0x2
	// lockedForGood is the value of pwdAccountLockedTime that no time ends.
	lockedForGood = "000001010000Z"
)

// user is the entry of a subject.
type user struct {
	dn string
	// uid is what groups with memberUid hold; empty where the entry has none.
	uid string
	// primaryGroup is the primaryGroupID of Active Directory; empty elsewhere.
	primaryGroup string
	inactive     bool
	// uac is userAccountControl as it is stored.
	uac string
	// held is the value of Disabling.Attribute.
	held string
}

// userRequest is the search for a subject. Two are enough to know that there is more than one.
func (b *Backend) userRequest(subject string) *ldapv3.SearchRequest {
	filter := strings.ReplaceAll(b.options.UserFilter, Placeholder, ldapv3.EscapeFilter(subject))
	attributes := []string{attrUID, attrUAC, attrLocked, attrPrimary}
	if d := b.options.Disabling; d != nil && d.Attribute != "" {
		attributes = append(attributes, d.Attribute)
	}
	return ldapv3.NewSearchRequest(b.options.UserBase, ldapv3.ScopeWholeSubtree, ldapv3.NeverDerefAliases, 2, 0, false, filter, attributes, nil)
}

// findUser returns the one entry of a subject, nil for none.
func (b *Backend) findUser(ctx context.Context, subject string) (*user, error) {
	found, more, err := b.search(ctx, b.userRequest(subject))
	switch {
	case err != nil:
		return nil, missingBase(err, "users.baseDN")
	case more, len(found) > 1:
		return nil, provisioning.Permanent(provisioning.ReasonAmbiguousSubject,
			fmt.Errorf("several entries match the subject by users.filter: which one is meant is not known"))
	case len(found) == 0:
		return nil, nil
	}
	e := found[0]
	u := &user{dn: e.DN, uid: e.GetAttributeValue(attrUID), primaryGroup: e.GetAttributeValue(attrPrimary), uac: e.GetAttributeValue(attrUAC)}
	if d := b.options.Disabling; d != nil {
		switch {
		case d.UserAccountControl:
			u.inactive = flags(u.uac)&uacDisabled != 0
		case d.PasswordPolicy:
			u.inactive = e.GetAttributeValue(attrLocked) == lockedForGood
		case d.Attribute != "":
			u.held = e.GetAttributeValue(d.Attribute)
			u.inactive = strings.EqualFold(u.held, d.Inactive)
		}
	}
	return u, nil
}

func flags(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// memberValue is what a group holds of a user.
func (u *user) memberValue(g *group) string {
	if g.byUID() {
		return u.uid
	}
	return u.dn
}

// CheckUserFilter tells what is wrong with a filter that is to find a subject.
func CheckUserFilter(filter string) error {
	if strings.Count(filter, Placeholder) != 1 {
		return fmt.Errorf("must hold %s exactly once, for example (mail=%s)", Placeholder, Placeholder)
	}
	return CheckFilter(strings.ReplaceAll(filter, Placeholder, "x"))
}

// CheckFilter tells what is wrong with a filter (RFC 4515).
func CheckFilter(filter string) error {
	if _, err := ldapv3.CompileFilter(filter); err != nil {
		return fmt.Errorf("is no LDAP filter: %w", err)
	}
	return nil
}
