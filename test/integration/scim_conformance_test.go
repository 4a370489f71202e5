// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/provisioningtest"
	"getcakewalk.io/access-operator/internal/provisioning/scim"
)

// scimTarget is SCIMMY, judged by what its store holds.
type scimTarget struct {
	server  *server
	proxy   *provisioningtest.HTTPProxy
	secrets []string
}

var _ provisioningtest.Target = (*scimTarget)(nil)

func TestSCIMConformance(t *testing.T) {
	s := startServer(t, "scimmy", "/scim")
	provisioningtest.RunConformance(t, &scimTarget{server: s, proxy: provisioningtest.NewHTTPProxy(t, s.url), secrets: []string{token}})
}

func (s *scimTarget) Traits() provisioningtest.Traits {
	return provisioningtest.Traits{
		Attributes: map[string]string{"displayName": "Cyd", "name.givenName": "Cyd", "name.familyName": "Dee"},
		Creates:    true, Deactivates: true, Deletes: true,
		Ambiguous: func(tb testing.TB) string {
			s.AddAccounts(tb, "two@example.com", "two@example.com")
			return "two@example.com"
		},
		OddSubjects:     []string{"o'neil ", "a+b%2f/", "x*", "ä😀", "a&b=c#"},
		OddEntitlements: []string{"R&D / 100% ", "ünï😀", "it's+a?group#", "members[value pr]"},
		Faults: []provisioningtest.Fault{
			provisioningtest.Busy, provisioningtest.BusyForSeconds, provisioningtest.Fail, provisioningtest.FailAfter,
			provisioningtest.Refuse, provisioningtest.Swallow, provisioningtest.Hang,
		},
		Secrets:     func() []string { return s.secrets },
		WrongSecret: func(tb testing.TB) provisioning.Backend { return s.backend(tb, s.proxy.URL, "a-wrong-token") },
		Nowhere:     func(tb testing.TB) provisioning.Backend { return s.backend(tb, "http://127.0.0.1:1", token) },
	}
}

func (s *scimTarget) Backend(tb testing.TB) provisioning.Backend {
	return s.backend(tb, s.proxy.URL, s.secrets[len(s.secrets)-1])
}

func (*scimTarget) backend(tb testing.TB, url, secret string) provisioning.Backend {
	client := httpclient.New(httpclient.Options{Authentication: httpclient.Bearer(secret), Timeout: 2 * time.Second})
	tb.Cleanup(client.Close)
	return scim.New(scim.Options{BaseURL: url + "/scim", Client: client})
}

func (s *scimTarget) Proxy() provisioningtest.Proxy { return s.proxy }

func (s *scimTarget) AddAccounts(tb testing.TB, subjects ...string) {
	tb.Helper()
	post(tb, s.server.url+"/seed", map[string]any{"users": subjects})
}

func (s *scimTarget) AddEntitlement(tb testing.TB, entitlement string, holders ...string) {
	tb.Helper()
	post(tb, s.server.url+"/seed", map[string]any{"groups": map[string][]string{entitlement: append([]string{}, holders...)}})
}

func (s *scimTarget) Holders(tb testing.TB, entitlement string) []string {
	tb.Helper()
	members, ok := stateOf(tb, s.server.url).Groups[entitlement]
	if !ok {
		tb.Errorf("there is no group %q", entitlement)
	}
	return members
}

func (s *scimTarget) Account(tb testing.TB, subject string) provisioning.AccountState {
	tb.Helper()
	switch active, ok := stateOf(tb, s.server.url).Users[subject]; {
	case !ok:
		return provisioning.AccountAbsent
	case active:
		return provisioning.AccountActive
	default:
		return provisioning.AccountInactive
	}
}

func (s *scimTarget) Rotate(tb testing.TB) {
	tb.Helper()
	fresh := "rotated-" + s.secrets[len(s.secrets)-1]
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPut, s.server.url+"/token", strings.NewReader(fresh))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/plain")
	send(tb, req, nil)
	s.secrets = append(s.secrets, fresh)
}
