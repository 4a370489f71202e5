// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
	"getcakewalk.io/access-operator/internal/testenv"
)

// insecure trusts the certificates that programs make themselves.
var insecure = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

func TestPrometheusAnswersEveryPanelAndOnlyAlertsOfWhatIsWrong(t *testing.T) {
	r := newRig(t)
	for name, secret := range map[string]string{"Slack": "scim", "Down": "wrong"} {
		r.connector(name, r.scim, secret)
	}
	r.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "wrong"}, StringData: map[string]string{"token": "wrong"}})
	address, certificates := testenv.FreeAddress(t), writeCertificate(t)
	r.sender, r.url = insecure, "https://"+r.receiver
	fake := r.askedReceiver()
	r.start("--metrics-bind-address", address, "--receiver-cert-dir", certificates)
	token := r.metricsToken("scraper", true)
	r.eventually("the metrics are served", func() error {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err
	})
	for bearer, code := range map[string]int{"": http.StatusUnauthorized, r.metricsToken("other", false): http.StatusForbidden, token: http.StatusOK} {
		if got, _ := scrape(t, address, bearer); got != code {
			t.Errorf("the metrics answer %d, want %d", got, code)
		}
	}
	prometheus := startPrometheus(t, address, token)

	// One of each that can be stuck: nobody serves it, it waits for a connector that is down, and a removal that does so
	// for two days.
	nobody, _ := event(grant, "Nobody", "ann@example.com")
	down, _ := event(grant, "Down", "ann@example.com")
	r.deliver(nobody, down)
	name := uuid.NewString()
	r.create(&accessv1alpha1.AccessTask{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: accessv1alpha1.AccessTaskSpec{
			TaskID:       name,
			ReceivedTime: new(metav1.NewMicroTime(time.Now().Add(-48 * time.Hour))),
			ReceiverRef:  &accessv1alpha1.WebhookReceiverReference{Name: "cakewalk"},
			Request: &accessv1alpha1.AccessRequest{
				Type:          accessv1alpha1.RequestTypeRemoveAccess,
				TargetWorkApp: &accessv1alpha1.NamedObject{Name: "Down"},
				TargetUser:    &accessv1alpha1.User{Email: "bob@example.com"},
			},
		},
	})
	r.eventually("the receiver was scraped", func() error {
		if got := prometheus.query(`access_operator_webhook_deliveries_total{code="401", receiver="cakewalk"}`); !slices.Equal(got, []string{"0"}) {
			return fmt.Errorf("it has %v refusals", got)
		}
		return nil
	})
	if code, _ := r.post(r.namespace+"/cakewalk", nil, []byte("[]"), "not the secret of the receiver"); code != http.StatusUnauthorized {
		t.Fatal(code)
	}

	// Two of which Cakewalk does not want to know: it has forgotten one, and does not take the report of the other.
	r.serving("asked")
	for _, status := range []int{http.StatusNotFound, http.StatusUnprocessableEntity} {
		id := r.grant(fake)
		fake.Inject(cakewalktest.Fault{Match: cakewalktest.On(http.MethodPost, "/Tasks/"+id+"/Approve"), Status: status, Body: "{}"})
		r.announce(fake, id)
	}

	queries := panelQueries(t)
	unanswered := maps.Clone(queries)
	for i := 0; len(unanswered) > 0; i++ {
		if i > 60 {
			t.Errorf("without an answer: %q", slices.Sorted(maps.Keys(unanswered)))
			break
		}
		e, _ := event(grant, "Slack", fmt.Sprintf("user%d@example.com", i))
		r.deliver(e)
		r.announce(fake, r.grant(fake))
		time.Sleep(time.Second)
		for name, query := range unanswered {
			if slices.ContainsFunc(prometheus.query(query), func(value string) bool { return value != "NaN" }) {
				delete(unanswered, name)
			}
		}
	}
	t.Logf("%d queries of the dashboard are answered", len(queries)-len(unanswered))

	// The alerts that wait for nothing, and those that would fire if this went on.
	want := map[string]string{
		"AccessOperatorSignatureFailures": "firing in " + r.namespace,
		"AccessOperatorReportsRefused":    "firing in " + r.namespace,
		"AccessOperatorConnectorNotReady": "pending in " + r.namespace,
		"AccessOperatorBacklogOld":        "pending in " + r.namespace,
		"AccessOperatorRemovalsOverdue":   "pending in " + r.namespace,
		"AccessOperatorTasksNeedPerson":   "pending in " + r.namespace,
	}
	if diff := cmp.Diff(want, prometheus.alerts()); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	checkScrape(t, address, token)
}

// checkScrape compares a scrape with the documents, and has promtool judge it.
func checkScrape(t *testing.T, address, token string) {
	t.Helper()
	_, text := scrape(t, address, token)
	var own strings.Builder
	scraped := map[string]bool{}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "access_operator_") {
			own.WriteString(line)
		}
		if fields := strings.Fields(line); len(fields) > 3 && fields[1] == "TYPE" && strings.HasPrefix(fields[2], "access_operator_") {
			scraped[fields[2]] = true
		}
	}
	document, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(access_operator_[a-z_]+)` \\|").FindAllStringSubmatch(string(document), -1) {
		documented[m[1]] = true
	}
	if diff := cmp.Diff(documented, scraped); diff != "" {
		t.Errorf("documented (-) and scraped (+):\n%s", diff)
	}
	check := exec.Command("promtool", "check", "metrics")
	check.Stdin = strings.NewReader(own.String())
	if out, err := check.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// scrape reads the metrics as the owner of a token.
func scrape(t *testing.T, address, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := insecure.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// metricsToken makes a service account, which may read the metrics or not, and returns a token of it.
func (r *rig) metricsToken(name string, may bool) string {
	r.t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
	r.create(account)
	if may {
		text, err := os.ReadFile("../../config/rbac/metrics_reader_role.yaml")
		if err != nil {
			r.t.Fatal(err)
		}
		role := &rbacv1.ClusterRole{}
		if err := yaml.Unmarshal(text, role); err != nil {
			r.t.Fatal(err)
		}
		role.Name = r.namespace
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: r.namespace},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: r.namespace, Name: name}},
		}
		for _, o := range []client.Object{role, binding} {
			if err := r.Create(r.t.Context(), o); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	request := &authenticationv1.TokenRequest{}
	if err := r.SubResource("token").Create(r.t.Context(), account, request); err != nil {
		r.t.Fatal(err)
	}
	return request.Status.Token
}

// panelQueries returns the queries of the dashboard's panels with every variable at All, by panel.
func panelQueries(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../config/grafana/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Type, Title string
			Targets     []struct{ RefID, Expr string }
		}
		Templating struct {
			List []struct{ Name, AllValue string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	values := []string{"$__rate_interval", "30s", "$__range", "2m"}
	for _, v := range dashboard.Templating.List {
		values = append(values, "$"+v.Name, v.AllValue)
	}
	queries := map[string]string{}
	for _, p := range dashboard.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("the panel %q asks nothing", p.Title)
		}
		for _, target := range p.Targets {
			query := strings.NewReplacer(values...).Replace(target.Expr)
			if strings.Contains(query, "$") {
				t.Errorf("the panel %q has a variable that does not exist: %s", p.Title, query)
			}
			queries[p.Title+" "+target.RefID] = query
		}
	}
	return queries
}

// writeCertificate writes a certificate for the receiver that is good for 90 days.
func writeCertificate(t *testing.T) (dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "receiver"}, NotAfter: time.Now().Add(90 * 24 * time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for name, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: certificate}, "tls.key": {Type: "EC PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
