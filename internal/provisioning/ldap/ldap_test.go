// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package ldap

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	ldapv3 "github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"

	"getcakewalk.io/access-operator/internal/provisioning"
)

func TestFilters(t *testing.T) {
	tests := map[string]struct {
		filter string
		want   string
	}{
		"one placeholder":     {"(mail={subject})", ""},
		"inside of others":    {"(&(objectClass=user)(|(mail={subject})(!(cn=x))))", ""},
		"none":                {"(mail=x)", "exactly once"},
		"two":                 {"(|(mail={subject})(uid={subject}))", "exactly once"},
		"not closed":          {"(mail={subject}", "is no LDAP filter"},
		"no filter":           {"{subject}", "is no LDAP filter"},
		"something behind it": {"(mail={subject})x", "is no LDAP filter"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := CheckUserFilter(tc.filter)
			if (err == nil) != (tc.want == "") || (err != nil && !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

func TestASubjectIsOneValueOfTheFilter(t *testing.T) {
	b := New(Options{UserFilter: "(mail={subject})"})
	for subject, want := range map[string]string{
		"ann@example.com": "(mail=ann@example.com)",
		"*":               `(mail=\2a)`,
		"x)(uid=*":        `(mail=x\29\28uid=\2a)`,
		`a\b`:             `(mail=a\5cb)`,
		"{subject}":       "(mail={subject})",
	} {
		if got := b.userRequest(subject).Filter; got != want {
			t.Errorf("%q: %s, want %s", subject, got, want)
		}
	}
}

func TestDistinguishedNamesThatMeanTheSame(t *testing.T) {
	tests := map[string]struct {
		a, b string
		want bool
	}{
		"case":                   {"CN=Ann,OU=People,DC=example", "cn=ann,ou=people,dc=EXAMPLE", true},
		"spaces":                 {"cn=ann , ou=people,  dc=example", "cn=ann,ou=people,dc=example", true},
		"escapes":                {`cn=a\,b,dc=example`, `cn=a\2cb,dc=example`, true},
		"another":                {"cn=ann,dc=example", "cn=anna,dc=example", false},
		"another place":          {"cn=ann,ou=a,dc=example", "cn=ann,ou=b,dc=example", false},
		"attributes of one name": {`CN=Ann+uid=A,dc=example`, `UID=a+cn=ann,dc=example`, true},
		"other bytes":            {`cn=\f7,dc=example`, `cn=\f8,dc=example`, false},
		"a comma is no divider":  {`cn=ann\,ou=a,dc=example`, "cn=ann,ou=a,dc=example", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := normalize(tc.a) == normalize(tc.b); got != tc.want {
				t.Errorf("%s, %s", normalize(tc.a), normalize(tc.b))
			}
		})
	}
}

func TestWhichAttributeHoldsTheMembers(t *testing.T) {
	for want, classes := range map[string][][]string{
		"member":       {{"top", "groupOfNames"}, {"top", "group"}, {"GROUPOFNAMES", "posixGroup"}, {"something"}},
		"uniqueMember": {{"top", "groupofuniquenames"}},
		"memberUid":    {{"top", "posixGroup"}},
	} {
		for _, c := range classes {
			if got := attributeOf(c); got != want {
				t.Errorf("%v: %s, want %s", c, got, want)
			}
		}
	}
}

func TestWords(t *testing.T) {
	tests := map[string]struct {
		code  uint16
		write bool
		want  string
	}{
		"wrong password":        {ldapv3.LDAPResultInvalidCredentials, false, "unavailable"},
		"a protected one":       {ldapv3.LDAPResultConfidentialityRequired, false, "unavailable"},
		"may not read":          {ldapv3.LDAPResultInsufficientAccessRights, false, "unavailable"},
		"may not write":         {ldapv3.LDAPResultInsufficientAccessRights, true, "permanent"},
		"referral":              {ldapv3.LDAPResultReferral, true, "unavailable"},
		"busy":                  {ldapv3.LDAPResultBusy, true, "retryable"},
		"there already":         {ldapv3.LDAPResultAttributeOrValueExists, true, "retryable"},
		"there already (AD)":    {ldapv3.LDAPResultEntryAlreadyExists, true, "retryable"},
		"no longer":             {ldapv3.LDAPResultNoSuchAttribute, true, "retryable"},
		"unwilling":             {ldapv3.LDAPResultUnwillingToPerform, true, "permanent"},
		"the schema":            {ldapv3.LDAPResultObjectClassViolation, true, "permanent"},
		"the network":           {ldapv3.ErrorNetwork, true, "retryable"},
		"an unheard of problem": {117, true, "permanent"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := word(ldapv3.NewError(tc.code, errors.New("said\nso "+strings.Repeat("x", 1000))), tc.write)
			if got := provisioning.Word(err); got != tc.want || strings.Contains(err.Error(), "\n") || len(err.Error()) > 500 {
				t.Errorf("%s (%v), want %s", got, err, tc.want)
			}
			if tc.code < 200 && !hasCode(err, tc.code) {
				t.Error("the code is lost")
			}
		})
	}
}

// A group of 3,500 members comes in three parts, as Microsoft's servers give it.
func TestMembersThatComeInRangesAreAllRead(t *testing.T) {
	var all []string
	for i := range 3500 {
		all = append(all, fmt.Sprintf("cn=member %d,dc=example", i))
	}
	parts := map[string]struct {
		name   string
		values []string
	}{
		"":                    {"member;range=0-1499", all[:1500]},
		"member;range=1500-*": {"member;range=1500-2999", all[1500:3000]},
		"member;range=3000-*": {"member;range=3000-*", all[3000:]},
	}
	address := serve(t, func(id any, search *ber.Packet) [][]byte {
		part := parts[""]
		for _, asked := range search.Children[1].Children[7].Children {
			if p, ok := parts[fmt.Sprint(asked.Value)]; ok {
				part = p
			}
		}
		return [][]byte{entry(id, "cn=many,dc=example", "objectClass", []string{"group"}, part.name, part.values), done(id, ldapv3.LDAPResultSuccess)}
	})
	b := New(Options{URL: "ldap://" + address, BindDN: "cn=x", Password: "x", Timeout: 5 * time.Second, UserFilter: "(cn={subject})", EmptyGroupMember: "cn=nobody"})
	t.Cleanup(b.Close)
	g, err := b.findGroup(t.Context(), "cn=many,dc=example")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all, g.members); diff != "" {
		t.Error(diff)
	}
}

func TestARangeThatCannotBeReadIsNoEnd(t *testing.T) {
	for i, name := range []string{"member;range=0-many", "member;range=0", "member;range=0--5", "member;range=1-many"} {
		// The first part can be read, and the second not.
		first := i == 3
		address := serve(t, func(id any, _ *ber.Packet) [][]byte {
			part := name
			if first {
				part = "member;range=0-0"
			}
			first = false
			return [][]byte{entry(id, "cn=g,dc=example", "objectClass", []string{"group"}, part, []string{"cn=ann,dc=example"}), done(id, ldapv3.LDAPResultSuccess)}
		})
		b := New(Options{URL: "ldap://" + address, BindDN: "cn=x", Password: "x", Timeout: 5 * time.Second})
		t.Cleanup(b.Close)
		if g, err := b.findGroup(t.Context(), "cn=g,dc=example"); provisioning.Word(err) != "retryable" || !strings.Contains(err.Error(), "cannot be read") {
			t.Errorf("%s: %+v, %v", name, g, err)
		}
	}
}

// A directory that gives up searches, but for those that take the answer by pages: two of them, of which the first is empty.
func TestASearchThatIsGivenUpIsAskedAgainByPages(t *testing.T) {
	for name, people := range map[string][]string{"nobody": nil, "one": {"cn=ann,dc=example"}, "two": {"cn=ann,dc=example", "cn=ann,ou=others,dc=example"}} {
		t.Run(name, func(t *testing.T) {
			address := serve(t, func(id any, search *ber.Packet) [][]byte {
				if len(search.Children) < 3 {
					return [][]byte{done(id, ldapv3.LDAPResultAdminLimitExceeded)}
				}
				asked, err := ldapv3.DecodeControl(search.Children[2].Children[0])
				if err != nil {
					t.Error(err)
				}
				if len(asked.(*ldapv3.ControlPaging).Cookie) == 0 {
					return [][]byte{done(id, ldapv3.LDAPResultSuccess, &ldapv3.ControlPaging{Cookie: []byte("more")})}
				}
				var answers [][]byte
				for _, dn := range people {
					answers = append(answers, entry(id, dn))
				}
				return append(answers, done(id, ldapv3.LDAPResultSuccess, &ldapv3.ControlPaging{}))
			})
			b := New(Options{URL: "ldap://" + address, BindDN: "cn=x", Password: "x", Timeout: 5 * time.Second, UserFilter: "(cn={subject})"})
			t.Cleanup(b.Close)
			u, err := b.findUser(t.Context(), "ann")
			if (err != nil) != (len(people) > 1) || (u != nil) != (len(people) == 1) {
				t.Errorf("%+v, %v", u, err)
			}
		})
	}
}

// serve is a directory that lets everybody bind, and answers searches as it is told.
func serve(t *testing.T, answer func(id any, search *ber.Packet) [][]byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for {
					request, err := ber.ReadPacket(c)
					if err != nil {
						return
					}
					id := request.Children[0].Value
					answers := [][]byte{message(id, ldapv3.ApplicationBindResponse, result(ldapv3.LDAPResultSuccess)...).Bytes()}
					if request.Children[1].Tag != ldapv3.ApplicationBindRequest {
						answers = answer(id, request)
					}
					for _, a := range answers {
						_, _ = c.Write(a)
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// entry is an entry that a search found, with pairs of an attribute and its values.
func entry(id any, dn string, pairs ...any) []byte {
	return message(id, ldapv3.ApplicationSearchResultEntry, octets(dn), attributes(pairs...)).Bytes()
}

// done is the end of a search.
func done(id any, code uint16, controls ...ldapv3.Control) []byte {
	m := message(id, ldapv3.ApplicationSearchResultDone, result(code)...)
	if len(controls) > 0 {
		all := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
		for _, c := range controls {
			all.AppendChild(c.Encode())
		}
		m.AppendChild(all)
	}
	return m.Bytes()
}

func octets(text string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, text, "")
}

func result(code uint16) []*ber.Packet {
	return []*ber.Packet{ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(code), ""), octets(""), octets("")}
}

func attributes(pairs ...any) *ber.Packet {
	all := ber.NewSequence("")
	for i := 0; i < len(pairs); i += 2 {
		one, set := ber.NewSequence(""), ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		one.AppendChild(octets(pairs[i].(string)))
		for _, value := range pairs[i+1].([]string) {
			set.AppendChild(octets(value))
		}
		one.AppendChild(set)
		all.AppendChild(one)
	}
	return all
}

func message(id any, tag ber.Tag, children ...*ber.Packet) *ber.Packet {
	m := ber.NewSequence("")
	m.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	for _, c := range children {
		op.AppendChild(c)
	}
	m.AppendChild(op)
	return m
}
