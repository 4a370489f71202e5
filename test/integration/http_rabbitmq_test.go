// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/provisioningtest"
)

const rabbitUser = "administrator"

// rabbit is RabbitMQ with the shipped connector, judged by its management API directly.
type rabbit struct {
	api       *api
	proxy     *provisioningtest.HTTPProxy
	passwords []string
}

var _ provisioningtest.Target = (*rabbit)(nil)

func newRabbit(t *testing.T) *rabbit {
	t.Helper()
	r := &rabbit{passwords: []string{"first-rabbit-password"}}
	address := startRabbitMQ(t, rabbitUser, r.passwords[0])
	r.proxy = provisioningtest.NewHTTPProxy(t, address)
	r.api = &api{url: address + "/api", authorize: func(req *http.Request) { req.SetBasicAuth(rabbitUser, r.passwords[len(r.passwords)-1]) }}
	return r
}

func TestRabbitMQConformance(t *testing.T) {
	provisioningtest.RunConformance(t, newRabbit(t))
}

func (r *rabbit) Traits() provisioningtest.Traits {
	return provisioningtest.Traits{
		Entitlement:   func(word string) string { return word + ":write" },
		CaseSensitive: true, Creates: true, Deletes: true,
		OddSubjects:     []string{"a/b", "..%2f", "a+b%2fc", "ä😀", "a&b=c#?", "{subject.id}", `q"'\`},
		OddEntitlements: []string{"/", "../odd", "odd%2f100%", "ü😀:", "a?b#c&d", `{entitlement}"'`},
		Faults: []provisioningtest.Fault{
			provisioningtest.Busy, provisioningtest.BusyForSeconds, provisioningtest.Fail, provisioningtest.FailAfter,
			provisioningtest.Refuse, provisioningtest.Swallow, provisioningtest.Hang,
		},
		Secrets:     func() []string { return r.passwords },
		WrongSecret: func(tb testing.TB) provisioning.Backend { return r.backend(tb, r.proxy.URL, "a-wrong-password") },
		Nowhere:     func(tb testing.TB) provisioning.Backend { return r.backend(tb, "http://127.0.0.1:1", r.passwords[0]) },
	}
}

func (*rabbit) backend(tb testing.TB, address, password string) provisioning.Backend {
	tb.Helper()
	return newHTTPAPI(tb, address+"/api", shipped(tb, "rabbitmq"), httpclient.Basic(rabbitUser, password))
}

func (r *rabbit) Backend(tb testing.TB) provisioning.Backend {
	tb.Helper()
	return r.backend(tb, r.proxy.URL, r.passwords[len(r.passwords)-1])
}

func (r *rabbit) Proxy() provisioningtest.Proxy { return r.proxy }

func (r *rabbit) AddAccounts(tb testing.TB, subjects ...string) {
	tb.Helper()
	users := make([]map[string]any, len(subjects))
	for i, s := range subjects {
		users[i] = map[string]any{"name": s, "password_hash": "", "tags": ""}
	}
	r.api.call(tb, http.MethodPost, "/definitions", map[string]any{"users": users}, nil)
}

func (r *rabbit) AddEntitlement(tb testing.TB, entitlement string, holders ...string) {
	tb.Helper()
	vhost := strings.TrimSuffix(entitlement, ":write")
	permissions := make([]map[string]any, len(holders))
	for i, h := range holders {
		permissions[i] = map[string]any{"user": h, "vhost": vhost, "configure": "", "write": ".*", "read": ".*"}
	}
	r.api.call(tb, http.MethodPut, "/vhosts/"+url.PathEscape(vhost), map[string]any{}, nil)
	// Who makes a virtual host gets a permission there.
	r.api.call(tb, http.MethodPost, "/definitions", map[string]any{"permissions": permissions}, nil)
}

func (r *rabbit) Holders(tb testing.TB, entitlement string) []string {
	tb.Helper()
	var all []struct{ User, Vhost, Configure, Write, Read string }
	r.api.call(tb, http.MethodGet, "/permissions", nil, &all)
	var holders []string
	for _, p := range all {
		if p.Vhost == strings.TrimSuffix(entitlement, ":write") && p.Configure == "" && p.Write == ".*" && p.Read == ".*" {
			holders = append(holders, p.User)
		}
	}
	return holders
}

func (r *rabbit) Account(tb testing.TB, subject string) provisioning.AccountState {
	tb.Helper()
	if r.api.call(tb, http.MethodGet, "/users/"+url.PathEscape(subject), nil, nil, http.StatusNotFound) == http.StatusNotFound {
		return provisioning.AccountAbsent
	}
	return provisioning.AccountActive
}

func (r *rabbit) Rotate(tb testing.TB) {
	tb.Helper()
	fresh := "rotated-" + r.passwords[len(r.passwords)-1]
	r.api.call(tb, http.MethodPut, "/users/"+rabbitUser, map[string]any{"password": fresh, "tags": "administrator"}, nil)
	r.passwords = append(r.passwords, fresh)
}
