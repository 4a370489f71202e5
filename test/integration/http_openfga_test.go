// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/httpapi"
	"getcakewalk.io/access-operator/internal/provisioning/provisioningtest"
)

// fga is OpenFGA with the shipped connector, judged by its API directly.
type fga struct {
	api   *api
	store string
	proxy *provisioningtest.HTTPProxy
	keys  []string
	// alone asks for the user alone, by membership.
	alone bool

	// t is the test that the server lives as long as.
	t                       *testing.T
	server                  *child
	address, grpc, database string
}

var _ provisioningtest.Target = (*fga)(nil)

func newFGA(t *testing.T, alone bool) *fga {
	t.Helper()
	f := &fga{
		t: t, alone: alone, keys: []string{"first-fga-key"}, address: fmt.Sprintf("127.0.0.1:%d", freePort(t)), grpc: fmt.Sprintf("127.0.0.1:%d", freePort(t)),
		database: "file:" + filepath.Join(t.TempDir(), "openfga.sqlite"),
	}
	f.server = startOpenFGA(t, f.address, f.grpc, f.database, f.keys[0])
	f.api = &api{url: "http://" + f.address, authorize: func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+f.keys[len(f.keys)-1]) }}
	var store struct{ ID string }
	f.api.call(t, http.MethodPost, "/stores", map[string]any{"name": "conformance"}, &store)
	f.store = "/stores/" + store.ID
	direct := map[string]any{"this": map[string]any{}}
	users := map[string]any{"directly_related_user_types": []any{map[string]any{"type": "user"}}}
	f.api.call(t, http.MethodPost, f.store+"/authorization-models", map[string]any{
		"schema_version": "1.1",
		"type_definitions": []any{
			map[string]any{"type": "user"},
			map[string]any{
				"type": "document", "relations": map[string]any{"viewer": direct, "editor": direct},
				"metadata": map[string]any{"relations": map[string]any{"viewer": users, "editor": users}},
			},
		},
	}, nil)
	f.proxy = provisioningtest.NewHTTPProxy(t, "http://"+f.address)
	f.proxy.Kind = func(r *http.Request) provisioningtest.Request {
		if strings.HasSuffix(r.URL.Path, "/write") {
			return provisioningtest.Write
		}
		return provisioningtest.Read
	}
	return f
}

func TestOpenFGAConformance(t *testing.T) {
	t.Run("all holders", func(t *testing.T) { provisioningtest.RunConformance(t, newFGA(t, false)) })
	t.Run("the user alone", func(t *testing.T) { provisioningtest.RunConformance(t, newFGA(t, true)) })
}

func TestOpenFGANamesWhatItsModelDoesNotHave(t *testing.T) {
	f := newFGA(t, false)
	e := &provisioning.Engine{Backend: f.Backend(t)}
	for _, missing := range []string{"folder:x#viewer", "document:x#owner"} {
		_, err := e.Plan(t.Context(), provisioning.Subject{ID: "user:ann"}, provisioning.Goal{Kind: provisioning.Grant, Levels: [][]string{{missing}}})
		if wrong, ok := errors.AsType[*provisioning.PermanentError](err); !ok || wrong.Reason != provisioning.ReasonEntitlementNotFound || !strings.Contains(err.Error(), missing) {
			t.Errorf("%s: %v", missing, err)
		}
	}
}

func (f *fga) Traits() provisioningtest.Traits {
	return provisioningtest.Traits{
		Subject:     func(word string) string { return "user:" + word + "@example.com" },
		Entitlement: func(word string) string { return "document:" + word + "#viewer" },
		NoAccounts:  true, CaseSensitive: true, AnyEntitlement: true,
		OddSubjects:     []string{`a"b\`, "ä😀", "a/b?c", "{subject.id}"},
		OddEntitlements: []string{`a"b\`, "ü😀", "a/b?c%2f", "'x'+{y}"},
		Faults: []provisioningtest.Fault{
			provisioningtest.Busy, provisioningtest.BusyForSeconds, provisioningtest.Fail, provisioningtest.FailAfter,
			provisioningtest.Refuse, provisioningtest.Swallow, provisioningtest.Hang,
		},
		Secrets:     func() []string { return f.keys },
		WrongSecret: func(tb testing.TB) provisioning.Backend { return f.backend(tb, f.proxy.URL, "a-wrong-key") },
		Nowhere:     func(tb testing.TB) provisioning.Backend { return f.backend(tb, "http://127.0.0.1:1", f.keys[0]) },
	}
}

func (f *fga) backend(tb testing.TB, address, key string) provisioning.Backend {
	tb.Helper()
	ops := shipped(tb, "openfga")
	if f.alone {
		ops.Observe.Membership = &httpapi.Lookup{Request: ops.Observe.Holders.Request, Items: ops.Observe.Holders.Items}
		ops.Observe.Membership.Body = `{"tuple_key": {"user": user.id, "object": entitlement.split("#")[0], "relation": entitlement.split("#")[1]}}`
		ops.Observe.Holders = nil
	}
	return newHTTPAPI(tb, address+f.store, ops, httpclient.Bearer(key))
}

func (f *fga) Backend(tb testing.TB) provisioning.Backend {
	tb.Helper()
	return f.backend(tb, f.proxy.URL, f.keys[len(f.keys)-1])
}

func (f *fga) Proxy() provisioningtest.Proxy { return f.proxy }

func (*fga) AddAccounts(tb testing.TB, _ ...string) { tb.Error("OpenFGA has no accounts") }

func (f *fga) AddEntitlement(tb testing.TB, entitlement string, holders ...string) {
	tb.Helper()
	object, relation, _ := strings.Cut(entitlement, "#")
	for len(holders) > 0 {
		some := holders[:min(100, len(holders))]
		holders = holders[len(some):]
		var tuples []map[string]string
		for _, h := range some {
			tuples = append(tuples, map[string]string{"user": h, "object": object, "relation": relation})
		}
		f.api.call(tb, http.MethodPost, f.store+"/write", map[string]any{"writes": map[string]any{"tuple_keys": tuples}}, nil)
	}
}

func (f *fga) Holders(tb testing.TB, entitlement string) []string {
	tb.Helper()
	object, relation, _ := strings.Cut(entitlement, "#")
	var holders []string
	for token := ""; ; {
		var page struct {
			Tuples []struct {
				Key struct{ User string }
			}
			Token string `json:"continuation_token"`
		}
		f.api.call(tb, http.MethodPost, f.store+"/read", map[string]any{"tuple_key": map[string]string{"object": object, "relation": relation}, "continuation_token": token}, &page)
		for _, t := range page.Tuples {
			holders = append(holders, t.Key.User)
		}
		if token = page.Token; token == "" {
			return holders
		}
	}
}

func (*fga) Account(testing.TB, string) provisioning.AccountState { return provisioning.AccountActive }

// Rotate starts the server anew: it takes its keys when it starts.
func (f *fga) Rotate(tb testing.TB) {
	tb.Helper()
	f.server.stop()
	f.keys = append(f.keys, "rotated-"+f.keys[len(f.keys)-1])
	f.server = startOpenFGA(f.t, f.address, f.grpc, f.database, f.keys[len(f.keys)-1])
}
