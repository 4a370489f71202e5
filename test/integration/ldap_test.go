// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	ldapv3 "github.com/go-ldap/ldap/v3"

	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/ldap"
	"getcakewalk.io/access-operator/internal/provisioning/provisioningtest"
)

// directory is a server that speaks LDAP, asked and filled with OpenLDAP's command line tools.
type directory struct {
	addr            string // host and port
	base            string
	admin, password string // who fills it
	operator        string // the backend's bind DN
	secrets         []string
	proxy           *provisioningtest.WireProxy
}

func (d *directory) options(addr, password string) ldap.Options {
	return ldap.Options{
		URL: "ldap://" + addr, BindDN: d.operator, Password: password, Timeout: 3 * time.Second,
		UserBase: d.base, GroupBase: "ou=groups," + d.base, EmptyGroupMember: emptyGroupMember,
	}
}

const emptyGroupMember = "cn=access-operator-placeholder"

// tool runs one of OpenLDAP's command line tools as the administrator.
func (d *directory) tool(tb testing.TB, stdin, name string, args ...string) string {
	tb.Helper()
	all := append([]string{"-x", "-H", "ldap://" + d.addr, "-D", d.admin, "-w", d.password}, args...)
	cmd := exec.Command(program(tb, name, "ldap-utils"), all...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil && !strings.Contains(string(out), "No such object") {
		tb.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// ldif writes an attribute so that its value may be anything.
func ldif(name, value string) string {
	return name + ":: " + base64.StdEncoding.EncodeToString([]byte(value)) + "\n"
}

// search returns the values of attributes of what a filter finds, "dn" among them.
func (d *directory) search(tb testing.TB, base, scope, filter string, attributes ...string) []map[string][]string {
	tb.Helper()
	out := d.tool(tb, "", "ldapsearch", append([]string{"-LLL", "-o", "ldif-wrap=no", "-b", base, "-s", scope, filter}, attributes...)...)
	var entries []map[string][]string
	entry := map[string][]string{}
	for line := range strings.SplitSeq(out+"\n\n", "\n") {
		name, value, ok := strings.Cut(line, ": ")
		if encoded, is := strings.CutSuffix(name, ":"); is {
			text, err := base64.StdEncoding.DecodeString(value)
			must(tb, err)
			name, value = encoded, string(text)
		}
		if ok {
			name, _, _ = strings.Cut(name, ";")
			entry[name] = append(entry[name], value)
		} else if line == "" && len(entry["dn"]) > 0 {
			entries, entry = append(entries, entry), map[string][]string{}
		}
	}
	return entries
}

// nameOf is the value of the first RDN.
func nameOf(tb testing.TB, dn string) string {
	tb.Helper()
	parsed, err := ldapv3.ParseDN(dn)
	must(tb, err)
	return parsed.RDNs[0].Attributes[0].Value
}

// openLDAP is slapd with the overlays memberof, refint and ppolicy.
type openLDAP struct {
	directory
	schema string
}

var _ provisioningtest.Target = (*openLDAP)(nil)

const slapdConfig = `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload refint
moduleload ppolicy
pidfile %[1]s/pid
sizelimit unlimited
%[2]s
database mdb
directory %[1]s
maxsize 1073741824
dbnosync
suffix dc=example,dc=test
rootdn cn=root,dc=example,dc=test
rootpw root
access to attrs=userPassword by dn.exact=cn=operator,dc=example,dc=test write by anonymous auth by * none
access to * by dn.exact=cn=operator,dc=example,dc=test manage by * none
overlay memberof
overlay refint
refint_attributes member uniqueMember
overlay ppolicy
`

func startSlapd(t *testing.T, class, extra string, urls ...string) *openLDAP {
	t.Helper()
	data := dataFolder(t, nil)
	must(t, os.WriteFile(data+"/slapd.conf", fmt.Appendf(nil, slapdConfig, data, extra), 0o600))
	o := &openLDAP{schema: class, directory: directory{
		addr: fmt.Sprintf("127.0.0.1:%d", freePort(t)), base: "dc=example,dc=test", admin: "cn=root,dc=example,dc=test", password: "root",
		operator: "cn=operator,dc=example,dc=test",
	}}
	all := strings.Join(append(urls, "ldap://"+o.addr), " ")
	startProgram(t, nil, nil, data, o.addr, program(t, "slapd", "slapd", "/usr/sbin"), "-f", data+"/slapd.conf", "-h", all, "-d", "0")
	o.tool(t, `dn: dc=example,dc=test
objectClass: dcObject
objectClass: organization
o: example

dn: ou=people,dc=example,dc=test
objectClass: organizationalUnit

dn: ou=others,dc=example,dc=test
objectClass: organizationalUnit

dn: ou=groups,dc=example,dc=test
objectClass: organizationalUnit

dn: cn=operator,dc=example,dc=test
objectClass: organizationalRole
objectClass: simpleSecurityObject
userPassword: first
`, "ldapadd")
	o.Rotate(t)
	o.proxy = provisioningtest.NewWireProxy(t, o.addr, ldapProtocol)
	return o
}

func TestLDAPConformanceOpenLDAP(t *testing.T) {
	for _, class := range []string{"groupOfNames", "groupOfUniqueNames", "posixGroup"} {
		t.Run(class, func(t *testing.T) { provisioningtest.RunConformance(t, startSlapd(t, class, "")) })
	}
}

// A directory that returns one entry at most must not make the first of two people the one who is meant. Who may go on by
// pages finds out that there are two; who may not is told that there are more.
func TestLDAPDirectoryThatLimitsSearches(t *testing.T) {
	for name, limits := range map[string]string{
		"pages are free":    "sizelimit size.soft=1 size.hard=1 size.prtotal=unlimited",
		"pages are limited": "sizelimit size.soft=1 size.hard=1",
		"for less work":     "sizelimit size.soft=1 size.hard=unlimited",
	} {
		t.Run(name, func(t *testing.T) {
			o := startSlapd(t, "groupOfNames", limits)
			o.AddAccounts(t, "ann")
			two := o.Traits().Ambiguous(t)
			o.AddEntitlement(t, "readers", "ann")
			b := o.Backend(t)
			seen, err := b.Observe(t.Context(), provisioning.Subject{ID: "ann"}, []string{"readers"})
			if err != nil || seen.Account != provisioning.AccountActive || seen.Entitlements["readers"].Presence != provisioning.Present {
				t.Errorf("one entry: %+v, %v", seen, err)
			}
			for _, action := range []provisioning.Action{provisioning.AddEntitlement, provisioning.DeactivateAccount} {
				err = b.Apply(t.Context(), provisioning.Subject{ID: two}, provisioning.Change{Action: action, Entitlement: "readers"})
				if wrong, ok := errors.AsType[*provisioning.PermanentError](err); !ok || wrong.Reason != provisioning.ReasonAmbiguousSubject {
					t.Errorf("%s: %v, want that the subject is ambiguous", action, err)
				}
			}
			if holders := o.Holders(t, "readers"); len(holders) != 1 || holders[0] != "ann" {
				t.Errorf("holders: %v", holders)
			}
		})
	}
}

func ldapFaults() []provisioningtest.Fault {
	return []provisioningtest.Fault{
		provisioningtest.Busy, provisioningtest.Fail, provisioningtest.FailAfter, provisioningtest.Refuse, provisioningtest.Swallow, provisioningtest.Hang,
	}
}

func (o *openLDAP) Traits() provisioningtest.Traits {
	odd := []string{"o'neil*)(uid=*", `a,b+c="d"\;<e>`, "#x", "(x)"}
	if o.schema != "posixGroup" {
		// A memberUid is ASCII.
		odd = append(odd, "#ä😀")
	}
	return provisioningtest.Traits{
		// By name and by distinguished name, which nobody has to write as the directory does.
		Entitlement: func(word string) string {
			if strings.HasPrefix(word, "editors") {
				return "CN=" + strings.ToUpper(word) + " , OU=Groups, dc=example,DC=Test"
			}
			return word
		},
		Attributes: map[string]string{"sn": "Dee", "cn": "Cyd Dee"},
		Creates:    true, Deactivates: true, Deletes: true,
		Ambiguous: func(tb testing.TB) string {
			o.tool(tb, o.person("two", "people")+"\n"+o.person("two", "others"), "ldapadd")
			return "two"
		},
		OddSubjects:     odd,
		OddEntitlements: []string{`R&D, all (new)*`, "a+b=c", "#ünï😀", `back\slash "q"`},
		Faults:          ldapFaults(),
		Secrets:         func() []string { return o.secrets },
		WrongSecret: func(tb testing.TB) provisioning.Backend {
			return o.backend(tb, o.options(o.proxy.Addr, "a-wrong-password"))
		},
		Nowhere: func(tb testing.TB) provisioning.Backend { return o.backend(tb, o.options("127.0.0.1:1", "x")) },
	}
}

func (o *openLDAP) Backend(tb testing.TB) provisioning.Backend {
	return o.backend(tb, o.options(o.proxy.Addr, o.secrets[len(o.secrets)-1]))
}

func (o *openLDAP) backend(tb testing.TB, options ldap.Options) provisioning.Backend {
	options.UserFilter = "(&(objectClass=inetOrgPerson)(uid=" + ldap.Placeholder + "))"
	options.GroupClass = o.schema
	if o.schema == "posixGroup" {
		// It needs a gidNumber, which nobody here gives out.
		options.GroupClass = ""
	}
	options.NewAccount = &ldap.NewAccount{Base: "ou=people," + o.base, RDN: "uid", ObjectClasses: []string{"inetOrgPerson"}}
	options.Disabling = &ldap.Disabling{PasswordPolicy: true}
	if o.schema == "groupOfUniqueNames" {
		options.Disabling = &ldap.Disabling{Attribute: "employeeType", Inactive: "disabled"}
	}
	b := ldap.New(options)
	tb.Cleanup(b.Close)
	if o.schema == "posixGroup" {
		return withoutCreation{b}
	}
	return b
}

// withoutCreation is a backend that creates no entitlements.
type withoutCreation struct{ provisioning.Backend }

func (o *openLDAP) Proxy() provisioningtest.Proxy { return o.proxy }

func (o *openLDAP) person(uid, ou string) string {
	return ldif("dn", "uid="+ldapv3.EscapeDN(uid)+",ou="+ou+","+o.base) + "objectClass: inetOrgPerson\nsn: x\ncn: x\n" + ldif("uid", uid)
}

func (o *openLDAP) AddAccounts(tb testing.TB, subjects ...string) {
	tb.Helper()
	var text strings.Builder
	for _, s := range subjects {
		text.WriteString(o.person(s, "people") + "\n")
	}
	o.tool(tb, text.String(), "ldapadd")
}

func (o *openLDAP) AddEntitlement(tb testing.TB, entitlement string, holders ...string) {
	tb.Helper()
	name := entitlement
	if strings.HasPrefix(entitlement, "CN=EDITORS") {
		name = strings.ToLower(strings.TrimSpace(strings.Split(strings.TrimPrefix(entitlement, "CN="), ",")[0]))
	}
	var text strings.Builder
	text.WriteString(ldif("dn", "cn="+ldapv3.EscapeDN(name)+",ou=groups,"+o.base) + ldif("cn", name) + "objectClass: " + o.schema + "\n")
	attribute := map[string]string{"groupOfNames": "member", "groupOfUniqueNames": "uniqueMember", "posixGroup": "memberUid"}[o.schema]
	if o.schema == "posixGroup" {
		text.WriteString("gidNumber: 1\n")
	}
	for _, h := range holders {
		if o.schema == "posixGroup" {
			text.WriteString(ldif(attribute, h))
			continue
		}
		// Written in another way than the entry's own name.
		text.WriteString(ldif(attribute, "UID="+ldapv3.EscapeDN(h)+" , ou=People,DC=example,dc=test"))
	}
	if len(holders) == 0 && o.schema != "posixGroup" {
		text.WriteString(attribute + ": " + emptyGroupMember + "\n")
	}
	o.tool(tb, text.String(), "ldapadd")
}

func (o *openLDAP) Holders(tb testing.TB, entitlement string) []string {
	tb.Helper()
	filter := "(cn=" + ldapv3.EscapeFilter(entitlement) + ")"
	if strings.HasPrefix(entitlement, "CN=EDITORS") {
		filter = "(cn=" + strings.TrimSpace(strings.Split(strings.TrimPrefix(entitlement, "CN="), ",")[0]) + ")"
	}
	found := o.search(tb, "ou=groups,"+o.base, "sub", filter, "member", "uniqueMember", "memberUid")
	if len(found) != 1 {
		tb.Fatalf("%d groups %q", len(found), entitlement)
	}
	holders := found[0]["memberUid"]
	for _, dn := range append(found[0]["member"], found[0]["uniqueMember"]...) {
		if dn != emptyGroupMember {
			holders = append(holders, nameOf(tb, dn))
		}
	}
	return holders
}

func (o *openLDAP) Account(tb testing.TB, subject string) provisioning.AccountState {
	tb.Helper()
	found := o.search(tb, o.base, "sub", "(uid="+ldapv3.EscapeFilter(subject)+")", "pwdAccountLockedTime", "employeeType")
	switch {
	case len(found) == 0:
		return provisioning.AccountAbsent
	case len(found[0]["pwdAccountLockedTime"])+len(found[0]["employeeType"]) > 0:
		return provisioning.AccountInactive
	default:
		return provisioning.AccountActive
	}
}

func (o *openLDAP) Rotate(tb testing.TB) {
	tb.Helper()
	o.secrets = append(o.secrets, fmt.Sprintf("a-password-of-slapd-%d", len(o.secrets)))
	o.tool(tb, "dn: "+o.operator+"\nchangetype: modify\nreplace: userPassword\nuserPassword: "+o.secrets[len(o.secrets)-1]+"\n", "ldapmodify")
}

// ldapProtocol is LDAP, whose messages are BER.
var ldapProtocol = provisioningtest.Protocol{
	Next: func(r *bufio.Reader, _ bool) ([]byte, error) {
		head, err := r.Peek(2)
		if err != nil {
			return nil, err
		}
		size, more := int(head[1]), 0
		if head[1]&0x80 != 0 {
			more = int(head[1] & 0x7f)
			if head, err = r.Peek(2 + more); err != nil {
				return nil, err
			}
			size = 0
			for _, b := range head[2:] {
				size = size<<8 | int(b)
			}
		}
		message := make([]byte, 2+more+size)
		_, err = io.ReadFull(r, message)
		return message, err
	},
	Kind: func(m []byte) provisioningtest.Request {
		switch ber.DecodePacket(m).Children[1].Tag {
		case ldapv3.ApplicationSearchRequest:
			return provisioningtest.Read
		case ldapv3.ApplicationModifyRequest, ldapv3.ApplicationAddRequest, ldapv3.ApplicationDelRequest:
			return provisioningtest.Write
		default:
			return provisioningtest.Other
		}
	},
	Answer: func(m []byte, f provisioningtest.Fault) []byte {
		code, ok := map[provisioningtest.Fault]int64{
			provisioningtest.Busy: ldapv3.LDAPResultBusy, provisioningtest.Fail: ldapv3.LDAPResultUnavailable,
			provisioningtest.Refuse: ldapv3.LDAPResultInvalidCredentials, provisioningtest.Swallow: ldapv3.LDAPResultSuccess,
		}[f]
		if !ok {
			return nil
		}
		request := ber.DecodePacket(m)
		operation := map[ber.Tag]ber.Tag{
			ldapv3.ApplicationSearchRequest: ldapv3.ApplicationSearchResultDone, ldapv3.ApplicationModifyRequest: ldapv3.ApplicationModifyResponse,
			ldapv3.ApplicationAddRequest: ldapv3.ApplicationAddResponse, ldapv3.ApplicationDelRequest: ldapv3.ApplicationDelResponse,
		}[request.Children[1].Tag]
		answer := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
		answer.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, request.Children[0].Value, ""))
		result := ber.Encode(ber.ClassApplication, ber.TypeConstructed, operation, nil, "")
		result.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
		result.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
		result.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
		answer.AppendChild(result)
		return answer.Bytes()
	},
}
