// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/provisioningtest"
)

const (
	keycloakVersion  = "26.4.0"
	keycloakPassword = "keycloak-admin-password"
	keycloakClient   = "access-operator"
	keycloakRealm    = "/admin/realms/conformance"
)

// keycloak is Keycloak with the shipped connector, judged by its admin API directly.
type keycloak struct {
	url     string
	api     *api
	proxy   *provisioningtest.HTTPProxy
	client  string
	secrets []string

	token string
	got   time.Time
}

var _ provisioningtest.Target = (*keycloak)(nil)

func TestKeycloakConformance(t *testing.T) {
	k := &keycloak{url: startKeycloak(t), secrets: []string{"first-keycloak-secret"}}
	k.api = &api{url: k.url, authorize: func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+k.adminToken(t)) }}
	k.proxy = provisioningtest.NewHTTPProxy(t, k.url)
	k.proxy.Kind = func(r *http.Request) provisioningtest.Request {
		switch {
		case strings.HasSuffix(r.URL.Path, "/token"):
			return provisioningtest.Other
		case r.Method == http.MethodGet:
			return provisioningtest.Read
		default:
			return provisioningtest.Write
		}
	}
	k.prepare(t)
	provisioningtest.RunConformance(t, k)
}

// prepare makes a realm with a client that may do what the sample says, and no more.
func (k *keycloak) prepare(t *testing.T) {
	t.Helper()
	k.api.call(t, http.MethodPost, "/admin/realms", map[string]any{"realm": "conformance", "enabled": true}, nil)
	k.api.call(t, http.MethodPost, keycloakRealm+"/clients", map[string]any{
		"clientId": keycloakClient, "secret": k.secrets[0], "serviceAccountsEnabled": true, "standardFlowEnabled": false,
	}, nil)
	clientOf := func(name string) string {
		var found []struct{ ID string }
		k.api.call(t, http.MethodGet, keycloakRealm+"/clients?clientId="+name, nil, &found)
		return found[0].ID
	}
	k.client = clientOf(keycloakClient)
	management := clientOf("realm-management")
	var account struct{ ID string }
	k.api.call(t, http.MethodGet, keycloakRealm+"/clients/"+k.client+"/service-account-user", nil, &account)
	var roles []map[string]any
	for _, name := range []string{"manage-users", "query-groups", "query-users"} {
		var role map[string]any
		k.api.call(t, http.MethodGet, keycloakRealm+"/clients/"+management+"/roles/"+name, nil, &role)
		roles = append(roles, role)
	}
	k.api.call(t, http.MethodPost, keycloakRealm+"/users/"+account.ID+"/role-mappings/clients/"+management, roles, nil)
}

func (k *keycloak) Traits() provisioningtest.Traits {
	return provisioningtest.Traits{
		Creates: true, Deactivates: true, Deletes: true,
		// Keycloak itself refuses most other characters in user names.
		OddSubjects:     []string{"a+b", "a_b", "zoë", "a-."},
		OddEntitlements: []string{"R&D 100%", "a+b?c#d", "ü😀", `"q"`, "{resource.id}"},
		Faults: []provisioningtest.Fault{
			provisioningtest.Busy, provisioningtest.BusyForSeconds, provisioningtest.Fail, provisioningtest.FailAfter,
			provisioningtest.Refuse, provisioningtest.Swallow, provisioningtest.Hang,
		},
		Secrets:     func() []string { return k.secrets },
		WrongSecret: func(tb testing.TB) provisioning.Backend { return k.backend(tb, k.proxy.URL, "a-wrong-secret") },
		Nowhere:     func(tb testing.TB) provisioning.Backend { return k.backend(tb, "http://127.0.0.1:1", k.secrets[0]) },
	}
}

func (*keycloak) backend(tb testing.TB, address, secret string) provisioning.Backend {
	tb.Helper()
	return newHTTPAPI(tb, address+keycloakRealm, shipped(tb, "keycloak"),
		httpclient.ClientCredentials(address+"/realms/conformance/protocol/openid-connect/token", keycloakClient, secret, nil))
}

func (k *keycloak) Backend(tb testing.TB) provisioning.Backend {
	tb.Helper()
	return k.backend(tb, k.proxy.URL, k.secrets[len(k.secrets)-1])
}

func (k *keycloak) Proxy() provisioningtest.Proxy { return k.proxy }

func (k *keycloak) AddAccounts(tb testing.TB, subjects ...string) {
	tb.Helper()
	users := make([]map[string]any, len(subjects))
	for i, s := range subjects {
		users[i] = map[string]any{"username": s, "enabled": true}
	}
	k.api.call(tb, http.MethodPost, keycloakRealm+"/partialImport", map[string]any{"ifResourceExists": "FAIL", "users": users}, nil)
}

func (k *keycloak) AddEntitlement(tb testing.TB, entitlement string, holders ...string) {
	tb.Helper()
	k.api.call(tb, http.MethodPost, keycloakRealm+"/groups", map[string]any{"name": entitlement}, nil)
	group := k.group(tb, entitlement)
	for _, h := range holders {
		k.api.call(tb, http.MethodPut, keycloakRealm+"/users/"+k.user(tb, h).ID+"/groups/"+group, nil, nil)
	}
}

type keycloakUser struct {
	ID, Username string
	Enabled      bool
}

func (k *keycloak) user(tb testing.TB, name string) keycloakUser {
	tb.Helper()
	var found []keycloakUser
	k.api.call(tb, http.MethodGet, keycloakRealm+"/users?exact=true&username="+url.QueryEscape(name), nil, &found)
	if len(found) == 0 {
		return keycloakUser{}
	}
	return found[0]
}

func (k *keycloak) group(tb testing.TB, name string) string {
	tb.Helper()
	var all []struct{ ID, Name string }
	k.api.call(tb, http.MethodGet, keycloakRealm+"/groups?max=1000", nil, &all)
	for _, g := range all {
		if g.Name == name {
			return g.ID
		}
	}
	tb.Fatalf("there is no group %q", name)
	return ""
}

func (k *keycloak) Holders(tb testing.TB, entitlement string) []string {
	tb.Helper()
	var all []keycloakUser
	k.api.call(tb, http.MethodGet, keycloakRealm+"/groups/"+k.group(tb, entitlement)+"/members?max=5000", nil, &all)
	var holders []string
	for _, u := range all {
		holders = append(holders, u.Username)
	}
	return holders
}

func (k *keycloak) Account(tb testing.TB, subject string) provisioning.AccountState {
	tb.Helper()
	switch u := k.user(tb, subject); {
	case u.ID == "":
		return provisioning.AccountAbsent
	case u.Enabled:
		return provisioning.AccountActive
	default:
		return provisioning.AccountInactive
	}
}

// Rotate changes the client's secret, and revokes the tokens that were given for the old one.
func (k *keycloak) Rotate(tb testing.TB) {
	tb.Helper()
	fresh := "rotated-" + k.secrets[len(k.secrets)-1]
	k.api.call(tb, http.MethodPut, keycloakRealm+"/clients/"+k.client, map[string]any{"clientId": keycloakClient, "secret": fresh}, nil)
	// Tokens are dated in whole seconds.
	time.Sleep(1100 * time.Millisecond)
	k.api.call(tb, http.MethodPut, keycloakRealm, map[string]any{"realm": "conformance", "notBefore": time.Now().Unix()}, nil)
	k.secrets = append(k.secrets, fresh)
}

// adminToken is the administrator's, whose tokens live for a minute.
func (k *keycloak) adminToken(tb testing.TB) string {
	if k.token != "" && time.Since(k.got) < 30*time.Second {
		return k.token
	}
	res, err := http.PostForm(k.url+"/realms/master/protocol/openid-connect/token", url.Values{
		"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {"admin"}, "password": {keycloakPassword},
	})
	if err != nil {
		tb.Fatal(err)
	}
	var token struct {
		AccessToken string `json:"access_token"`
	}
	decode(tb, res, &token)
	k.token, k.got = token.AccessToken, time.Now()
	return k.token
}

// startKeycloak starts Keycloak with an empty database, and returns its URL.
func startKeycloak(tb testing.TB) string {
	tb.Helper()
	home := keycloakHome(tb)
	// It keeps its database and its build below its own folder.
	dir := tb.TempDir()
	if out, err := exec.Command("cp", "-a", home+"/.", dir).CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	port, management := strconv.Itoa(freePort(tb)), strconv.Itoa(freePort(tb))
	cmd := exec.Command(filepath.Join(dir, "bin", "kc.sh"), "start-dev", "--http-host=127.0.0.1", "--http-port="+port,
		"--http-management-port="+management, "--cache=local")
	cmd.Env = append(os.Environ(), "KC_BOOTSTRAP_ADMIN_USERNAME=admin", "KC_BOOTSTRAP_ADMIN_PASSWORD="+keycloakPassword)
	startChild(tb, cmd).ready("http://127.0.0.1:" + port + "/realms/master")
	return "http://127.0.0.1:" + port
}

// keycloakHome gets Keycloak from Maven Central once, into bin/integration.
func keycloakHome(tb testing.TB) string {
	tb.Helper()
	program(tb, "java", "openjdk-17-jre-headless")
	dir, err := filepath.Abs(filepath.Join("..", "..", "bin", "integration"))
	if err != nil {
		tb.Fatal(err)
	}
	home := filepath.Join(dir, "keycloak-"+keycloakVersion)
	if _, err := os.Stat(filepath.Join(home, "version.txt")); err == nil {
		return home
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	out, err := exec.CommandContext(tb.Context(), program(tb, "mvn", "maven"), "-B", "-q", "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy",
		"-Dartifact=org.keycloak:keycloak-quarkus-dist:"+keycloakVersion+":zip", "-DoutputDirectory="+dir).CombinedOutput()
	if err != nil {
		tb.Fatalf("getting Keycloak, which these tests need: %v\n%s", err, out)
	}
	runProgram(tb, nil, dir, program(tb, "unzip", "unzip"), "-q", "-o", "keycloak-quarkus-dist-"+keycloakVersion+".zip")
	return home
}
