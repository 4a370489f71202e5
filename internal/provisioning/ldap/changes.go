// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	ldapv3 "github.com/go-ldap/ldap/v3"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// Apply implements provisioning.Backend.
func (b *Backend) Apply(ctx context.Context, s provisioning.Subject, c provisioning.Change) error {
	if c.Action == provisioning.CreateAccount {
		return b.createAccount(ctx, s)
	}
	u, err := b.findUser(ctx, s.ID)
	if err != nil {
		return err
	}
	if u == nil {
		return provisioning.Retryable(errors.New("the account vanished meanwhile"))
	}
	switch c.Action {
	case provisioning.AddEntitlement:
		return b.add(ctx, u, c.Entitlement)
	case provisioning.RemoveEntitlement:
		return b.remove(ctx, u, c.Entitlement)
	case provisioning.ActivateAccount, provisioning.DeactivateAccount:
		return b.setActive(ctx, u, c.Action == provisioning.ActivateAccount)
	case provisioning.DeleteAccount:
		return b.do(ctx, true, func(conn *ldapv3.Conn) error { return conn.Del(ldapv3.NewDelRequest(u.dn, nil)) })
	default:
		return provisioning.Permanent(provisioning.ReasonNotSupported, fmt.Errorf("%s: this backend cannot do that", c.Action))
	}
}

// add makes a user a member of a group, and takes out who stands in for members while there are none.
func (b *Backend) add(ctx context.Context, u *user, entitlement string) error {
	g, err := b.findGroup(ctx, entitlement)
	if err != nil {
		return err
	}
	value := u.memberValue(g)
	if value == "" {
		return provisioning.Permanent(provisioning.ReasonRefused, fmt.Errorf("the subject's entry has no uid, by which the group %q lists its members", entitlement))
	}
	request := ldapv3.NewModifyRequest(g.dn, nil)
	request.Add(g.attribute, []string{value})
	if i := slices.IndexFunc(g.members, func(m string) bool { return g.key(m) == normalize(b.options.EmptyGroupMember) }); i >= 0 {
		request.Delete(g.attribute, []string{g.members[i]})
	}
	return b.modify(ctx, request)
}

// remove takes a user out of a group.
func (b *Backend) remove(ctx context.Context, u *user, entitlement string) error {
	g, err := b.findGroup(ctx, entitlement)
	if err != nil {
		return err
	}
	if g.isPrimaryOf(u) {
		return provisioning.Permanent(provisioning.ReasonRefused, fmt.Errorf("%q is the subject's primary group, which a user cannot leave: give the user another one first", entitlement))
	}
	own := g.key(u.memberValue(g))
	values := slices.DeleteFunc(slices.Clone(g.members), func(m string) bool { return g.key(m) != own })
	if len(values) == 0 {
		return nil
	}
	return b.takeOut(ctx, g, values)
}

// takeOut takes values out of a group. Where the schema wants a member and none would be left, somebody stands in.
func (b *Backend) takeOut(ctx context.Context, g *group, values []string) error {
	request := ldapv3.NewModifyRequest(g.dn, nil)
	request.Delete(g.attribute, values)
	err := b.modify(ctx, request)
	if !hasCode(err, ldapv3.LDAPResultObjectClassViolation) || g.byUID() {
		return err
	}
	request = ldapv3.NewModifyRequest(g.dn, nil)
	request.Add(g.attribute, []string{b.options.EmptyGroupMember})
	request.Delete(g.attribute, values)
	return b.modify(ctx, request)
}

// batch is how many members are taken out in one request.
const batch = 500

// RemoveAllMembers implements provisioning.EntitlementEmptier.
func (b *Backend) RemoveAllMembers(ctx context.Context, entitlement string) error {
	g, err := b.findGroup(ctx, entitlement)
	if err != nil {
		return err
	}
	standIn := normalize(b.options.EmptyGroupMember)
	values := slices.DeleteFunc(g.members, func(m string) bool { return g.key(m) == standIn })
	for some := range slices.Chunk(values, batch) {
		if err := b.takeOut(ctx, g, some); err != nil {
			return err
		}
	}
	return nil
}

// CreateEntitlement implements provisioning.EntitlementCreator.
func (b *Backend) CreateEntitlement(ctx context.Context, entitlement string) error {
	class := b.options.GroupClass
	if class == "" {
		return provisioning.Permanent(provisioning.ReasonNotSupported, errors.New("no groups are created: set groups.objectClass to say what a new group is"))
	}
	dn := entitlement
	if !isDN(entitlement) {
		dn = fmt.Sprintf("%s=%s,%s", b.options.GroupName, escapeDN(entitlement), b.options.GroupBase)
	}
	parsed, err := ldapv3.ParseDN(dn)
	if err != nil {
		return provisioning.Permanent(provisioning.ReasonRefused, fmt.Errorf("%q is no distinguished name", dn))
	}
	request := ldapv3.NewAddRequest(dn, nil)
	request.Attribute("objectClass", []string{class})
	for _, a := range parsed.RDNs[0].Attributes {
		request.Attribute(a.Type, []string{a.Value})
	}
	if attribute := attributeOf([]string{class}); strings.HasPrefix(strings.ToLower(class), "groupof") {
		request.Attribute(attribute, []string{b.options.EmptyGroupMember})
	}
	return b.do(ctx, true, func(c *ldapv3.Conn) error { return c.Add(request) })
}

// createAccount makes an entry from the template.
func (b *Backend) createAccount(ctx context.Context, s provisioning.Subject) error {
	t := b.options.NewAccount
	if t == nil {
		return provisioning.Permanent(provisioning.ReasonNotSupported, errors.New("no accounts are created: set ldap.newAccounts to say what a new entry is"))
	}
	attributes := map[string]string{}
	for name, value := range t.Attributes {
		attributes[name] = strings.ReplaceAll(value, Placeholder, s.ID)
	}
	maps.Copy(attributes, s.Attributes)
	name := attributes[t.RDN]
	if name == "" {
		name = s.ID
	}
	attributes[t.RDN] = name
	request := ldapv3.NewAddRequest(fmt.Sprintf("%s=%s,%s", t.RDN, escapeDN(name), t.Base), nil)
	request.Attribute("objectClass", t.ObjectClasses)
	for _, attribute := range slices.Sorted(maps.Keys(attributes)) {
		request.Attribute(attribute, []string{attributes[attribute]})
	}
	if d := b.options.Disabling; d != nil && d.UserAccountControl {
		// Active Directory enables no account without a password. Nobody knows this one.
		request.Attribute(attrUAC, []string{"512"})
		request.Attribute("unicodePwd", []string{unicodePassword(rand.Text() + "a1!")})
	}
	return b.do(ctx, true, func(c *ldapv3.Conn) error { return c.Add(request) })
}

// escapeDN makes a value of a distinguished name (RFC 4514 section 2.4). Samba wants the equals sign escaped as well, which
// the RFC allows.
func escapeDN(value string) string { return strings.ReplaceAll(ldapv3.EscapeDN(value), "=", `\=`) }

// unicodePassword is a password as unicodePwd wants it: in quotes, UTF-16LE ([MS-ADTS] 3.1.1.3.1.5.1).
func unicodePassword(password string) string {
	units := utf16.Encode([]rune(`"` + password + `"`))
	text := make([]byte, 0, 2*len(units))
	for _, unit := range units {
		text = binary.LittleEndian.AppendUint16(text, unit)
	}
	return string(text)
}

// setActive enables or disables an account. What is changed is named with its old value, so that a change that somebody
// makes meanwhile is not lost.
func (b *Backend) setActive(ctx context.Context, u *user, active bool) error {
	d := b.options.Disabling
	request := ldapv3.NewModifyRequest(u.dn, nil)
	switch {
	case d == nil:
		return provisioning.Permanent(provisioning.ReasonNotSupported, errors.New("accounts are not disabled: set ldap.disabling to say how, or lifecycle.onRemove to another"))
	case d.UserAccountControl:
		is := flags(u.uac)
		wanted := is &^ uacDisabled
		if !active {
			wanted = is | uacDisabled
		}
		request.Delete(attrUAC, []string{u.uac})
		request.Add(attrUAC, []string{strconv.FormatInt(wanted, 10)})
	case d.PasswordPolicy && active:
		request.Delete(attrLocked, nil)
	case d.PasswordPolicy:
		request.Replace(attrLocked, []string{lockedForGood})
	case !active:
		request.Replace(d.Attribute, []string{d.Inactive})
	case d.Active == "":
		request.Delete(d.Attribute, []string{u.held})
	default:
		request.Replace(d.Attribute, []string{d.Active})
	}
	return b.modify(ctx, request)
}
