// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	ldapv3 "github.com/go-ldap/ldap/v3"

	"getcakewalk.io/access-operator/internal/provisioning"
)

const (
	attrMember       = "member"
	attrUniqueMember = "uniqueMember"
	attrMemberUID    = "memberUid"
	attrToken        = "primaryGroupToken"

	// maxRanges bounds how many parts of a group's members are asked for: Active Directory gives 1,500 at a time.
	maxRanges = 1000
)

// group is the entry of an entitlement.
type group struct {
	dn string
	// attribute holds the members.
	attribute string
	members   []string
	// token is what users have as primaryGroupID whose primary group it is; empty outside of Active Directory.
	token string
}

func (g *group) byUID() bool { return strings.EqualFold(g.attribute, attrMemberUID) }

// key makes values of members comparable: distinguished names without regard to how they are written, user ids as they are.
func (g *group) key(value string) string {
	if g.byUID() || value == "" {
		return value
	}
	return normalize(value)
}

// isPrimaryOf tells whether the group is a user's primary group: then the user is a member whom the group does not list.
func (g *group) isPrimaryOf(u *user) bool { return g.token != "" && g.token == u.primaryGroup }

// findGroup returns the one group of an entitlement.
func (b *Backend) findGroup(ctx context.Context, entitlement string) (*group, error) {
	attributes := []string{"objectClass", attrMember, attrUniqueMember, attrMemberUID, attrToken}
	if a := b.options.MemberAttribute; a != "" {
		attributes = append(attributes, a)
	}
	found, err := b.lookUp(ctx, entitlement, attributes)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, provisioning.Permanent(provisioning.ReasonEntitlementNotFound, fmt.Errorf("the directory has no group %q", entitlement))
	}
	g := &group{dn: found.DN, token: found.GetAttributeValue(attrToken), attribute: b.options.MemberAttribute}
	if g.attribute == "" {
		g.attribute = attributeOf(found.GetAttributeValues("objectClass"))
	}
	g.members, err = b.allMembers(ctx, found, g.attribute)
	return g, err
}

// attributeOf is the attribute in which a group of an object class holds its members (RFC 4519, RFC 2307).
func attributeOf(classes []string) string {
	has := func(class string) bool {
		return slices.ContainsFunc(classes, func(c string) bool { return strings.EqualFold(c, class) })
	}
	switch {
	case has("groupOfUniqueNames"):
		return attrUniqueMember
	case has("posixGroup") && !has("groupOfNames") && !has("group"):
		return attrMemberUID
	default:
		return attrMember
	}
}

// lookUp returns the one entry of an entitlement, nil for none.
func (b *Backend) lookUp(ctx context.Context, entitlement string, attributes []string) (*ldapv3.Entry, error) {
	request, err := b.groupRequest(entitlement, attributes)
	if err != nil {
		return nil, err
	}
	found, more, err := b.search(ctx, request)
	switch {
	case isDN(entitlement) && (hasCode(err, ldapv3.LDAPResultNoSuchObject) || hasCode(err, ldapv3.LDAPResultInvalidDNSyntax)):
		return nil, nil
	case err != nil:
		return nil, missingBase(err, "groups.baseDN")
	case more, len(found) > 1:
		return nil, provisioning.Permanent(provisioning.ReasonAmbiguousEntitlement,
			fmt.Errorf("several groups have the name %q: give its distinguished name", entitlement))
	case len(found) == 0:
		return nil, nil
	default:
		return found[0], nil
	}
}

func (b *Backend) groupRequest(entitlement string, attributes []string) (*ldapv3.SearchRequest, error) {
	if isDN(entitlement) {
		return baseRequest(entitlement, attributes...), nil
	}
	if b.options.GroupBase == "" {
		return nil, provisioning.Permanent(provisioning.ReasonEntitlementNotFound,
			fmt.Errorf("the entitlement %q is no distinguished name, and groups.baseDN does not say where groups are found by name", entitlement))
	}
	filter := fmt.Sprintf("(%s=%s)", b.options.GroupName, ldapv3.EscapeFilter(entitlement))
	if f := b.options.GroupFilter; f != "" {
		filter = "(&" + f + filter + ")"
	}
	return ldapv3.NewSearchRequest(b.options.GroupBase, ldapv3.ScopeWholeSubtree, ldapv3.NeverDerefAliases, 2, 0, false, filter, attributes, nil), nil
}

// isDN tells distinguished names from names: they have an attribute and a value at least twice.
func isDN(entitlement string) bool {
	dn, err := ldapv3.ParseDN(entitlement)
	return err == nil && len(dn.RDNs) > 1
}

// allMembers returns a group's members. A directory that gives them in parts is asked for all (Active Directory's range
// retrieval, [MS-ADTS] 3.1.1.3.1.3.3).
func (b *Backend) allMembers(ctx context.Context, e *ldapv3.Entry, attribute string) ([]string, error) {
	all := e.GetEqualFoldAttributeValues(attribute)
	for range maxRanges {
		values, next, err := ranged(e, attribute)
		if err != nil {
			return nil, err
		}
		all = append(all, values...)
		if next == "" {
			return all, nil
		}
		found, err := b.ask(ctx, baseRequest(e.DN, attribute+";range="+next+"-*"))
		if err != nil {
			return nil, err
		}
		if len(found) != 1 {
			return nil, provisioning.Retryable(errors.New("the group vanished while its members were read"))
		}
		e = found[0]
	}
	return nil, provisioning.Permanent(provisioning.ReasonRefused, fmt.Errorf("the group %q has too many members to look through", e.DN))
}

// ranged returns the values of an attribute that came in part, and where the next part begins; empty for the last one.
func ranged(e *ldapv3.Entry, attribute string) (values []string, next string, err error) {
	for _, a := range e.Attributes {
		options, ok := strings.CutPrefix(strings.ToLower(a.Name), strings.ToLower(attribute)+";range=")
		if !ok {
			continue
		}
		_, last, _ := strings.Cut(options, "-")
		if last == "*" {
			return a.Values, "", nil
		}
		n, err := strconv.ParseUint(last, 10, 32)
		if err != nil {
			return nil, "", provisioning.Retryable(fmt.Errorf("the directory gives members in a range that cannot be read: %q", a.Name))
		}
		return a.Values, strconv.FormatUint(n+1, 10), nil
	}
	return nil, "", nil
}

// HasEntitlement implements provisioning.EntitlementCreator.
func (b *Backend) HasEntitlement(ctx context.Context, entitlement string) (bool, error) {
	found, err := b.lookUp(ctx, entitlement, []string{"1.1"})
	return found != nil, err
}

// CountMembers implements provisioning.EntitlementEmptier.
func (b *Backend) CountMembers(ctx context.Context, entitlement string) (int, error) {
	g, err := b.findGroup(ctx, entitlement)
	if err != nil {
		return 0, err
	}
	return len(b.membership(nil, g).Others), nil
}
