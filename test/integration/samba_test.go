// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	ldapv3 "github.com/go-ldap/ldap/v3"

	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/ldap"
	"getcakewalk.io/access-operator/internal/provisioning/provisioningtest"
)

// samba is an Active Directory domain controller.
type samba struct {
	directory
	t      *testing.T
	config string
	tools  string
}

var _ provisioningtest.Target = (*samba)(nil)

const sambaPassword = "Adm1n-of-samba"

// startSamba makes a domain and serves it. The ports 389 and 636 of loopback must be free: Samba knows no others.
func startSamba(t *testing.T) *samba {
	t.Helper()
	const debian = "samba-ad-dc (with samba, samba-ad-provision, samba-dsdb-modules, samba-vfs-modules and winbind)"
	if os.Getuid() != 0 {
		t.Fatal("a domain controller listens at port 389, for which these tests must run as root")
	}
	data := dataFolder(t, nil)
	s := &samba{t: t, tools: program(t, "samba-tool", debian), config: filepath.Join(data, "etc", "smb.conf"), directory: directory{
		addr: "127.0.0.1:389", base: "DC=example,DC=test", admin: "CN=Administrator,CN=Users,DC=example,DC=test", password: sambaPassword,
		operator: "CN=operator,CN=Users,DC=example,DC=test",
	}}
	runProgram(t, nil, data, s.tools, "domain", "provision", "--realm=EXAMPLE.TEST", "--domain=EXAMPLE", "--server-role=dc", "--dns-backend=NONE",
		"--adminpass="+sambaPassword, "--targetdir="+data, "--option=interfaces=lo", "--option=bind interfaces only=yes", "--option=vfs objects=dfs_samba4 xattr_tdb")
	text, err := os.ReadFile(s.config)
	must(t, err)
	must(t, os.MkdirAll(data+"/run", 0o755))
	// The last line that sets an option counts, and a service that cannot start, as of a port that is taken, ends them all.
	services := regexp.MustCompile(`(?m)^\s*server services = .*$`)
	if len(services.FindAll(text, -1)) != 1 {
		t.Fatalf("a configuration that names its services more or less than once:\n%s", text)
	}
	ours := "\tserver services = ldap\n\tldap server require strong auth = no\n\told password allowed period = 0\n\tpid directory = " + data + "/run"
	must(t, os.WriteFile(s.config, services.ReplaceAll(text, []byte(ours)), 0o600))
	s.tool2("user", "create", "operator", "First-password-1")
	s.tool2("group", "addmembers", "Domain Admins", "operator")
	startProgram(t, nil, nil, data, s.addr, program(t, "samba", debian, "/usr/sbin"), "-F", "--debug-stdout", "-M", "single", "--configfile="+s.config)
	s.Rotate(t)
	s.tool(t, "dn: OU=groups,"+s.base+"\nobjectClass: organizationalUnit\n\ndn: OU=people,"+s.base+"\nobjectClass: organizationalUnit\n\ndn: OU=others,"+s.base+"\nobjectClass: organizationalUnit\n", "ldapadd")
	s.proxy = provisioningtest.NewWireProxy(t, s.addr, ldapProtocol)
	return s
}

func (s *samba) tool2(args ...string) {
	s.t.Helper()
	runProgram(s.t, nil, "", s.tools, append(args, "--configfile="+s.config)...)
}

func TestLDAPConformanceActiveDirectory(t *testing.T) {
	s := startSamba(t)
	provisioningtest.RunConformance(t, s)
	t.Run("a primary group is told", s.primaryGroup)
	t.Run("members that come in ranges", s.ranges)
}

func (s *samba) Traits() provisioningtest.Traits {
	return provisioningtest.Traits{
		Attributes: map[string]string{"displayName": "Cyd Dee"},
		Creates:    true, Deactivates: true, Deletes: true,
		// The directory itself keeps a userPrincipalName from being given twice.
		OddSubjects:     []string{"o'neil*)(cn=*", `a,b+c=d;e`, "#ä", "(x)"},
		OddEntitlements: []string{"R&D, all (new)*", "a+b=c", "#ünï"},
		Faults:          ldapFaults(),
		Secrets:         func() []string { return s.secrets },
		WrongSecret: func(tb testing.TB) provisioning.Backend {
			return s.backend(tb, s.options(s.proxy.Addr, "a-wrong-password"))
		},
		Nowhere: func(tb testing.TB) provisioning.Backend { return s.backend(tb, s.options("127.0.0.1:1", "x")) },
	}
}

func (s *samba) Backend(tb testing.TB) provisioning.Backend {
	return s.backend(tb, s.options(s.proxy.Addr, s.secrets[len(s.secrets)-1]))
}

func (s *samba) backend(tb testing.TB, options ldap.Options) provisioning.Backend {
	options.UserFilter = "(&(objectClass=user)(userPrincipalName=" + ldap.Placeholder + "))"
	options.GroupFilter, options.GroupClass = "(objectClass=group)", "group"
	options.NewAccount = &ldap.NewAccount{
		Base: "OU=people," + s.base, RDN: "cn", ObjectClasses: []string{"user"}, Attributes: map[string]string{"userPrincipalName": ldap.Placeholder},
	}
	options.Disabling = &ldap.Disabling{UserAccountControl: true}
	b := ldap.New(options)
	tb.Cleanup(b.Close)
	return b
}

func (s *samba) Proxy() provisioningtest.Proxy { return s.proxy }

// person is a user who is enabled, and for these tests needs no password.
func (s *samba) person(name, ou string) string {
	return ldif("dn", "CN="+sambaDN(name)+",OU="+ou+","+s.base) + "objectClass: user\nuserAccountControl: 544\n" + ldif("userPrincipalName", name)
}

func sambaDN(value string) string { return strings.ReplaceAll(ldapv3.EscapeDN(value), "=", `\=`) }

func (s *samba) AddAccounts(tb testing.TB, subjects ...string) {
	tb.Helper()
	var text strings.Builder
	for _, subject := range subjects {
		text.WriteString(s.person(subject, "people") + "\n")
	}
	s.tool(tb, text.String(), "ldapadd")
}

func (s *samba) AddEntitlement(tb testing.TB, entitlement string, holders ...string) {
	tb.Helper()
	var text strings.Builder
	text.WriteString(ldif("dn", "CN="+sambaDN(entitlement)+",OU=groups,"+s.base) + "objectClass: group\n")
	for _, h := range holders {
		text.WriteString(ldif("member", "CN="+sambaDN(h)+",OU=people,"+s.base))
	}
	s.tool(tb, text.String(), "ldapadd")
}

// Holders asks for who is a member of a group by the members, which are given in pages and not in ranges.
func (s *samba) Holders(tb testing.TB, entitlement string) []string {
	tb.Helper()
	group := s.search(tb, "OU=groups,"+s.base, "sub", "(cn="+ldapv3.EscapeFilter(entitlement)+")", "cn")
	if len(group) != 1 {
		tb.Fatalf("%d groups %q", len(group), entitlement)
	}
	var holders []string
	for _, e := range s.search(tb, s.base, "sub", "(memberOf="+ldapv3.EscapeFilter(group[0]["dn"][0])+")", "userPrincipalName") {
		holders = append(holders, e["userPrincipalName"]...)
	}
	return holders
}

func (s *samba) Account(tb testing.TB, subject string) provisioning.AccountState {
	tb.Helper()
	found := s.search(tb, s.base, "sub", "(userPrincipalName="+ldapv3.EscapeFilter(subject)+")", "userAccountControl")
	if len(found) == 0 {
		return provisioning.AccountAbsent
	}
	flags, err := strconv.Atoi(found[0]["userAccountControl"][0])
	must(tb, err)
	if flags&2 != 0 {
		return provisioning.AccountInactive
	}
	return provisioning.AccountActive
}

func (s *samba) Rotate(tb testing.TB) {
	tb.Helper()
	s.secrets = append(s.secrets, fmt.Sprintf("A-password-of-samba-%d", len(s.secrets)))
	s.tool2("user", "setpassword", "operator", "--newpassword="+s.secrets[len(s.secrets)-1])
}

// A user is in its primary group, which does not list it.
func (s *samba) primaryGroup(t *testing.T) {
	s.AddAccounts(t, "prim@example.test")
	users := "CN=Domain Users,CN=Users," + s.base
	e := &provisioning.Engine{Backend: s.Backend(t)}
	goal := func(kind provisioning.Kind) provisioning.Goal {
		return provisioning.Goal{Kind: kind, Levels: [][]string{{users}}}
	}
	out, err := e.Provision(t.Context(), provisioning.Subject{ID: "prim@example.test"}, goal(provisioning.Grant), record)
	if err != nil || len(out.Results) != 0 {
		t.Errorf("%v %v", out.Results, err)
	}
	_, err = e.Provision(t.Context(), provisioning.Subject{ID: "prim@example.test"}, goal(provisioning.Remove), record)
	if provisioning.Word(err) != "permanent" || !strings.Contains(err.Error(), "primary group") {
		t.Errorf("%v", err)
	}
}

// Microsoft's servers give 1,500 members at a time. Samba gives all of them unless it is asked as the backend asks for the
// rest: then it answers as they do.
func (s *samba) ranges(t *testing.T) {
	for asked, want := range map[string]int{"member;range=0-1499": 1500, "member;range=1500-*": 499} {
		found := s.search(t, "OU=groups,"+s.base, "sub", "(cn=many*)", asked)
		if len(found) != 1 || len(found[0]["member"]) != want {
			t.Fatalf("%d groups, %d members", len(found), len(found[0]["member"]))
		}
	}
}
