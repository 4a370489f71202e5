// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// parrot is what every answer of a parrot holds, beside all that was sent to it.
const parrot = "polly wants a cracker"

// startParrot starts an HTTP server that refuses everything and repeats what it was sent, in every field that somebody
// could show.
func startParrot(t *testing.T, status int) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		said := fmt.Sprintf("%s %s %v %s", parrot, r.URL, r.Header, body)
		if user, password, ok := r.BasicAuth(); ok {
			said += " " + user + " " + password
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("WWW-Authenticate", said)
		w.WriteHeader(status)
		text, err := json.Marshal(map[string]string{
			"detail": said, "title": said, "message": said, "error": said, "error_description": said, "scimType": said, "kind": "Status", "status": "Failure",
		})
		if err == nil {
			_, _ = w.Write(text)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// startTCPParrot starts a server that sends back what it is sent.
func startTCPParrot(t *testing.T) string {
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
				_ = c.SetDeadline(time.Now().Add(5 * time.Second))
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// operations are those of an API whose every answer is shown to people.
const operations = `operations: {
	check: {method: GET, path: /check, answers: {message: "response.body.detail"}},
	observe: {membership: {method: GET, path: "/groups/{entitlement}/{subject.id}", answers: {message: "response.body.detail"}}},
	addEntitlement: [{method: PUT, path: "/groups/{entitlement}/{subject.id}"}]}`

// backendsWithSecrets are Connector specs of every kind that has a secret. $URL is a parrot's URL, $PORT the port of a parrot
// that speaks TCP; the Secret s holds the secrets.
var backendsWithSecrets = map[string]string{
	"scim-bearer": `scim: {baseURL: "$URL/v2", authentication: {bearer: {tokenSecretRef: {name: s, key: token}}}}`,
	"scim-basic":  `scim: {baseURL: "$URL/v2", authentication: {basic: {secretRef: {name: s}}}}`,
	"scim-oauth2": `scim: {baseURL: "$URL/v2", authentication: {oauth2: {tokenURL: "$URL/token", secretRef: {name: s}}}}`,
	"http-header": `http: {baseURL: "$URL/api", authentication: {header: {name: X-Api-Key, valueSecretRef: {name: s, key: token}}}, ` + operations + `}`,
	"http-jwt":    `http: {baseURL: "$URL/api", authentication: {jwtBearer: {tokenURL: "$URL/token", issuer: operator, audience: x, privateKeySecretRef: {name: s, key: private}}}, ` + operations + `}`,
	"http-github": `http: {baseURL: "$URL/api", authentication: {githubApp: {apiURL: "$URL", appID: "1", installationID: 2, privateKeySecretRef: {name: s, key: private}}}, ` + operations + `}`,
	"broken-http": `http: {baseURL: "$URL/api", authentication: {jwtBearer: {tokenURL: "$URL/token", issuer: operator, audience: x, privateKeySecretRef: {name: s, key: token}}}, ` + operations + `}`,
	"ldap":        `ldap: {url: "ldap://127.0.0.1:$PORT", bindDN: cn=operator, passwordSecretRef: {name: s, key: password}, requestTimeoutSeconds: 1, users: {baseDN: dc=x, filter: "(a={subject})"}}`,
	"postgresql":  `postgresql: {host: 127.0.0.1, port: $PORT, tls: {mode: Disabled}, requestTimeoutSeconds: 1, secretRef: {name: s}}`,
	"mysql":       `mysql: {host: 127.0.0.1, port: $PORT, tls: {mode: Disabled}, requestTimeoutSeconds: 1, secretRef: {name: s}}`,
	"kubernetes":  `kubernetes: {kubeconfigSecretRef: {name: s, key: kubeconfig}}`,
	"broken-kube": `kubernetes: {kubeconfigSecretRef: {name: s, key: token}}`,
	"webhook":     `webhook: {url: "$URL/hook", secretRefs: [{name: s, key: signing}]}`,
	"broken-hook": `webhook: {url: "$URL/hook", secretRefs: [{name: s, key: token}]}`,
	"job":         `job: {template: {spec: {containers: [{name: a, image: b, env: [{name: T, valueFrom: {secretKeyRef: {name: s, key: token}}}]}]}}}`,
}

// No secret shows in a log, an event or a status, whatever a target system answers.
func TestNoSecretShows(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusBadRequest, http.StatusInternalServerError, http.StatusOK} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			noSecretShows(t, status)
		})
	}
}

func noSecretShows(t *testing.T, status int) {
	t.Helper()
	r := newRig(t)
	url, port := startParrot(t, status), startTCPParrot(t)
	signing := base64.StdEncoding.EncodeToString([]byte("s3cr3t-signing-s3cr3t-signing-00"))
	secrets := map[string]string{
		"token": "s3cr3t-token-4711", "username": "operator", "password": "s3cr3t-password-4711",
		"clientID": "operator", "clientSecret": "s3cr3t-client-4711", "signing": "whsec_" + signing,
		"kubeconfig": fmt.Sprintf(`{"current-context":"x","contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}],
			"clusters":[{"name":"c","cluster":{"server":%q}}],"users":[{"name":"u","user":{"token":"s3cr3t-kube-4711"}}]}`, url),
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	secrets["private"] = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	r.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, StringData: secrets})
	needles := []string{"PRIVATE KEY", secrets["private"][64:128], "s3cr3t", signing, hookSecret, base64.StdEncoding.EncodeToString([]byte("operator:" + secrets["password"]))}
	for name, text := range backendsWithSecrets {
		spec := map[string]any{}
		if err := yaml.Unmarshal([]byte(strings.NewReplacer("$URL", url, "$PORT", port).Replace(text)), &spec); err != nil {
			t.Fatal(name, err)
		}
		spec["match"] = map[string]any{"workApps": []any{map[string]any{"name": name}}}
		spec["permissionLevels"] = []any{map[string]any{"default": true, "entitlements": []any{"ClusterRole/view"}}}
		spec["probeIntervalSeconds"] = int64(5)
		spec["retry"] = map[string]any{"minDelaySeconds": int64(1)}
		c := &unstructured.Unstructured{Object: map[string]any{"apiVersion": accessv1alpha1.GroupVersion.String(), "kind": "Connector", "spec": spec}}
		c.SetName(name)
		r.create(c)
	}
	r.start()
	var events []map[string]any
	for name := range backendsWithSecrets {
		e, _ := event(grant, name, "ann@example.com")
		events = append(events, e)
	}
	r.deliver(events...)
	var connectors accessv1alpha1.ConnectorList
	r.eventually("every connector was probed", func() error {
		if err := r.List(t.Context(), &connectors, client.InNamespace(r.namespace)); err != nil {
			return err
		}
		for _, c := range connectors.Items {
			if meta.FindStatusCondition(c.Status.Conditions, accessv1alpha1.ConditionReady) == nil {
				return fmt.Errorf("%s was not", c.Name)
			}
		}
		return nil
	})
	// Where the parrot passes for ready, the tasks are sent to it too; the rest wait.
	r.eventually("every task was looked at", func() error {
		var tasks accessv1alpha1.AccessTaskList
		if err := r.List(t.Context(), &tasks, client.InNamespace(r.namespace)); err != nil {
			return err
		}
		for _, task := range tasks.Items {
			if s := meta.FindStatusCondition(task.Status.Conditions, accessv1alpha1.ConditionSucceeded); s == nil || s.Reason == accessv1alpha1.ReasonPending {
				return fmt.Errorf("%s was not", task.Name)
			}
		}
		return nil
	})
	shown := r.everythingShown()
	for _, needle := range needles {
		if i := strings.Index(shown, needle); i >= 0 {
			t.Errorf("a secret shows: ...%s...", shown[max(0, i-300):min(len(shown), i+len(needle)+100)])
		}
	}
	// What servers answer does show: else this test would prove nothing.
	if status == http.StatusBadRequest && !strings.Contains(shown, parrot) {
		t.Errorf("nothing of what a server answered is shown: %s", shown)
	}
}

// everythingShown is all that the operator has shown to anybody: its logs, events and statuses.
func (r *rig) everythingShown() string {
	r.t.Helper()
	var all strings.Builder
	add := func(list client.ObjectList) {
		if err := r.List(r.t.Context(), list, client.InNamespace(r.namespace)); err != nil {
			r.t.Fatal(err)
		}
		items, err := meta.ExtractList(list)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, item := range items {
			text, err := json.Marshal(item)
			if err != nil {
				r.t.Fatal(err)
			}
			all.Write(append(text, '\n'))
		}
	}
	for _, list := range []client.ObjectList{&accessv1alpha1.AccessTaskList{}, &accessv1alpha1.ConnectorList{}, &accessv1alpha1.WebhookReceiverList{}, &eventsv1.EventList{}} {
		add(list)
	}
	r.kill()
	all.WriteString(r.log.String())
	for _, log := range r.auditLogs {
		all.WriteString(log.String())
	}
	return all.String()
}
