// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/connector"
	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/provisioningtest"
	"getcakewalk.io/access-operator/internal/testenv"
)

// asUser makes a Connector and its Secret "s" as a user does, and returns its engine: what the schema calls something is
// what reaches the server.
func asUser(t *testing.T, env *testenv.Env, namespace, spec string, secret map[string]string) *provisioning.Engine {
	t.Helper()
	c := env.Client(t)
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	must(t, c.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, StringData: secret}))
	object := &accessv1alpha1.Connector{}
	must(t, yaml.UnmarshalStrict([]byte("spec:\n  match: {workApps: [{name: x}]}\n"+strings.ReplaceAll(spec, "SECRET", name)), object))
	object.Namespace, object.Name = namespace, name
	must(t, c.Create(t.Context(), object))
	r, err := connector.NewResolver(c, env.Config, prometheus.NewRegistry())
	must(t, err)
	e, err := r.Engine(t.Context(), object)
	must(t, err)
	t.Cleanup(func() { r.Forget(client.ObjectKeyFromObject(object)) })
	must(t, e.Check(t.Context()))
	return e
}

// roundTrip grants and removes, with an account that is created and then deactivated.
func roundTrip(t *testing.T, e *provisioning.Engine, target provisioningtest.Target, subject string) {
	t.Helper()
	goal := provisioning.Goal{Kind: provisioning.Grant, Levels: [][]string{{"editors"}}, CreateAccount: true}
	_, err := e.Provision(t.Context(), provisioning.Subject{ID: subject, Attributes: target.Traits().Attributes}, goal, record)
	must(t, err)
	if got := target.Holders(t, "editors"); !slices.Equal(got, []string{subject}) || target.Account(t, subject) != provisioning.AccountActive {
		t.Errorf("holders %v, account %s", got, target.Account(t, subject))
	}
	goal = provisioning.Goal{Kind: provisioning.Remove, Level: provisioning.NoLevel, Levels: goal.Levels, OnRemove: provisioning.ThenDeactivate}
	_, err = e.Provision(t.Context(), provisioning.Subject{ID: subject}, goal, record)
	must(t, err)
	if got := target.Holders(t, "editors"); len(got) != 0 || target.Account(t, subject) != provisioning.AccountInactive {
		t.Errorf("holders %v, account %s", got, target.Account(t, subject))
	}
}

func TestConnectorsReachTheirServers(t *testing.T) {
	env, err := testenv.Start()
	if err != nil {
		t.Fatal("starting etcd and kube-apiserver, which these tests need: ", err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	namespace := env.Namespace(t)
	const levels = "  permissionLevels: [{default: true, entitlements: [editors]}]\n"

	t.Run("ldap", func(t *testing.T) {
		o := startSlapd(t, "groupOfUniqueNames", "")
		o.AddEntitlement(t, "editors")
		e := asUser(t, env, namespace, levels+fmt.Sprintf(`
  ldap:
    url: ldap://%s
    bindDN: cn=operator,dc=example,dc=test
    passwordSecretRef: {name: SECRET, key: password}
    users: {baseDN: "dc=example,dc=test", filter: "(mail={subject})"}
    groups: {baseDN: "ou=groups,dc=example,dc=test", filter: "(objectClass=groupOfUniqueNames)", memberAttribute: uniqueMember}
    newAccounts:
      baseDN: ou=people,dc=example,dc=test
      rdnAttribute: uid
      objectClasses: [inetOrgPerson]
      attributes: [{name: mail, value: "{subject}"}]
    disabling: {method: Attribute, attribute: employeeType, inactiveValue: disabled}
`, o.addr), map[string]string{"password": o.secrets[len(o.secrets)-1]})
		roundTrip(t, e, o, ann)
	})
	t.Run("postgresql", func(t *testing.T) {
		p := startPostgres(t)
		p.AddEntitlement(t, "editors")
		e := asUser(t, env, namespace, levels+fmt.Sprintf(`
  postgresql:
    host: 127.0.0.1
    port: %d
    database: template1
    secretRef: {name: SECRET}
    tls: {mode: Disabled}
    accounts: {passwordSecretRef: {name: new-passwords}}
`, p.port), map[string]string{"username": "operator", "password": p.secrets[len(p.secrets)-1]})
		roundTrip(t, e, p, ann)
		stored := &corev1.Secret{}
		must(t, env.Client(t).Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "new-passwords"}, stored))
		p.exec(t, "ALTER ROLE "+pgQuote(ann)+" LOGIN")
		for _, password := range stored.Data {
			conn, err := pgx.Connect(t.Context(), fmt.Sprintf("host=127.0.0.1 port=%d user=%s password=%s database=postgres sslmode=disable", p.port, ann, password))
			must(t, err)
			must(t, conn.Close(t.Context()))
		}
		if len(stored.Data) != 1 {
			t.Errorf("%d passwords", len(stored.Data))
		}
	})
	t.Run("mysql", func(t *testing.T) {
		m := startMariaDB(t)
		m.AddEntitlement(t, "editors")
		e := asUser(t, env, namespace, levels+fmt.Sprintf(`
  mysql:
    host: 127.0.0.1
    port: %d
    accountHost: "%%"
    secretRef: {name: SECRET}
    tls: {mode: Disabled}
`, m.port), map[string]string{"username": "operator", "password": m.secrets[len(m.secrets)-1]})
		roundTrip(t, e, m, ann)
	})
	t.Run("webhook", func(t *testing.T) {
		a := &automation{
			secrets: []string{newSecret(0)}, polled: true,
			ends: map[string][]provisioningtest.End{}, carried: map[string]int{}, done: map[string]int{}, asked: map[string]int{},
		}
		a.server = httptest.NewServer(http.HandlerFunc(a.serve))
		t.Cleanup(a.server.Close)
		host, port, err := net.SplitHostPort(a.server.Listener.Addr().String())
		must(t, err)
		e := asUser(t, env, namespace, fmt.Sprintf(`
  webhook:
    url: http://%s:%s/hook?x=y
    secretRefs: [{name: SECRET, key: next}, {name: SECRET, key: current}]
    pollIntervalSeconds: 1
`, host, port), map[string]string{"current": newSecret(0), "next": newSecret(1)})
		task := newTask("00000000-0000-4000-8000-000000000009")
		var pending, ended bool
		for range 10 {
			_, err := e.Execute(t.Context(), task, record)
			switch provisioning.Word(err) {
			case "pending":
				pending = true
			case "ok":
				ended = true
			default:
				t.Fatal(err)
			}
		}
		if !pending || !ended || a.Carried(t, task.ID) != 1 {
			t.Errorf("pending %v, ended %v, carried out %d times", pending, ended, a.Carried(t, task.ID))
		}
	})
}
