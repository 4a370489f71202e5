// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build cluster

package cluster

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

const (
	app        = "Wiki"
	hookSecret = "e2e-webhook-secret-0123456789abcdef"
	// enforce is the label that holds the pods of a namespace to the Pod Security level restricted.
	enforce = "pod-security.kubernetes.io/enforce"
)

// site is an installed operator, and a tenant's namespace with a WebhookReceiver, a Connector and a SCIM server.
type site struct {
	t      *testing.T
	way    way
	scim   *target
	logs   *logs
	secret string
	// webhooks is the address of the Service for deliveries.
	webhooks string

	mu sync.Mutex
	// hidden are texts that may show nowhere: secrets, tokens, signatures.
	hidden map[string]bool
}

// newSite installs the operator, makes the tenant's objects, and waits until deliveries are taken and the Connector is ready.
func newSite(t *testing.T, w way) *site {
	t.Helper()
	s := &site{t: t, way: w, secret: hookSecret, hidden: map[string]bool{hookSecret: true}}
	t.Cleanup(s.leave)
	if w.given {
		namespace(t, w.namespace)
	}
	namespace(t, w.tenant)
	if out, err := w.install(t.Context()); err != nil {
		t.Fatal(err, out)
	}
	s.logs = follow(t, w.namespace)
	s.rolledOut(t)
	s.webhooks = s.service(t, "webhooks")
	s.scim = startTarget(t, w.tenant)
	s.hide(s.scim.token)
	create(t, w.tenant, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cakewalk-webhook"}, StringData: map[string]string{"secret": hookSecret}})
	create(t, w.tenant, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "scim"}, StringData: map[string]string{"token": s.scim.token}})
	create(t, w.tenant, &accessv1alpha1.WebhookReceiver{ObjectMeta: metav1.ObjectMeta{Name: "cakewalk"}, Spec: accessv1alpha1.WebhookReceiverSpec{
		Verification: accessv1alpha1.WebhookVerification{HMAC: &accessv1alpha1.HMACVerification{
			SecretRefs: []accessv1alpha1.SecretKeyReference{{Name: "cakewalk-webhook", Key: "secret"}},
		}},
	}})
	create(t, w.tenant, &accessv1alpha1.Connector{ObjectMeta: metav1.ObjectMeta{Name: "wiki"}, Spec: accessv1alpha1.ConnectorSpec{
		Match:            accessv1alpha1.ConnectorMatch{WorkApps: []accessv1alpha1.WorkAppMatch{{Name: app}}},
		PermissionLevels: []accessv1alpha1.PermissionLevelMapping{{Default: new(true), Entitlements: []string{group}}},
		Lifecycle:        accessv1alpha1.ConnectorLifecycle{CreateAccount: new(true)},
		Limits:           accessv1alpha1.ConnectorLimits{RequestsPerSecond: 200, Burst: 200},
		SCIM: &accessv1alpha1.SCIMBackend{BaseURL: s.scim.url, AllowInsecureHTTP: new(true), Authentication: accessv1alpha1.HTTPAuthentication{
			Bearer: &accessv1alpha1.BearerAuthentication{TokenSecretRef: accessv1alpha1.SecretKeyReference{Name: "scim", Key: "token"}},
		}},
	}})
	s.connectorIs(t, accessv1alpha1.ReasonProbed)
	s.taken(t)
	return s
}

// taken waits until deliveries are taken.
func (s *site) taken(t *testing.T) {
	t.Helper()
	// Every replica learns of the receiver by itself.
	good := 0
	eventually(t, time.Minute, "deliveries are taken", func() error {
		if code, err := s.post(t, s.secret, []byte(`{"eventType":"test"}`)); err != nil || code != http.StatusOK {
			good = 0
			return fmt.Errorf("%d, %w", code, err)
		}
		if good++; good < 10 {
			return errors.New("not by every replica")
		}
		return nil
	})
}

// leave removes what newSite made, and shows what is known where the test failed.
func (s *site) leave() {
	t, ctx := s.t, context.Background()
	if t.Failed() {
		for _, name := range []string{s.way.namespace, s.way.tenant} {
			out, err := kubectl(ctx, "", "get", "deployments,pods,services,accesstasks,connectors,webhookreceivers,events", "--namespace", name, "-o", "wide")
			t.Logf("namespace %s: %v\n%s", name, err, tail(out, 20000))
		}
		if s.logs != nil {
			t.Logf("logs of the operator:\n%s", s.logs.tails(4000))
		}
	}
	// The operator first: it must not be needed for the end of what it made.
	if _, err := s.way.remove(ctx); err != nil {
		t.Error(err)
	}
	for _, name := range []string{s.way.tenant, s.way.namespace} {
		if _, err := removePods(ctx, name); err != nil {
			t.Error(err)
		}
		if _, err := kubectl(ctx, "", "delete", "namespaces", "--ignore-not-found", name); err != nil {
			t.Error(err)
		}
	}
}

func (s *site) hide(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden[text] = true
}

// rolledOut waits until every Deployment of the operator has all of its replicas, all of the wanted kind.
func (s *site) rolledOut(t *testing.T) {
	t.Helper()
	eventually(t, 2*time.Minute, "the operator is rolled out", func() error {
		for _, p := range s.pods(t) {
			for _, c := range p.Status.ContainerStatuses {
				if c.State.Waiting != nil && c.RestartCount > 2 {
					t.Fatalf("%s does not start: %s", p.Name, c.State.Waiting.Message)
				}
			}
		}
		for _, d := range s.deployments(t) {
			n := d.Status
			if n.ObservedGeneration != d.Generation || n.UpdatedReplicas != *d.Spec.Replicas || n.Replicas != n.UpdatedReplicas || n.AvailableReplicas != n.Replicas {
				return fmt.Errorf("%s has %d replicas, %d of the wanted kind, %d available", d.Name, n.Replicas, n.UpdatedReplicas, n.AvailableReplicas)
			}
		}
		return nil
	})
}

func (s *site) deployments(t *testing.T) []appsv1.Deployment {
	t.Helper()
	var list appsv1.DeploymentList
	if err := cluster.List(t.Context(), &list, client.InNamespace(s.way.namespace), operatorLabels); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) == 0 {
		t.Fatal("the operator has no Deployment")
	}
	return list.Items
}

func (s *site) pods(t *testing.T) []corev1.Pod {
	t.Helper()
	var list corev1.PodList
	if err := cluster.List(t.Context(), &list, client.InNamespace(s.way.namespace), operatorLabels); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// service is the address of the operator's Service that leads to a port of its pods.
func (s *site) service(t *testing.T, port string) string {
	t.Helper()
	all := s.services(t, port)
	if len(all) != 1 {
		t.Fatalf("%d Services lead to the port %s", len(all), port)
	}
	return all[0]
}

func (s *site) services(t *testing.T, port string) []string {
	t.Helper()
	var list corev1.ServiceList
	if err := cluster.List(t.Context(), &list, client.InNamespace(s.way.namespace), operatorLabels); err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, service := range list.Items {
		for _, p := range service.Spec.Ports {
			if p.TargetPort.String() == port {
				found = append(found, fmt.Sprintf("%s:%d", service.Spec.ClusterIP, p.Port))
			}
		}
	}
	return found
}

// connectorIs waits until the Connector's Ready has a reason.
func (s *site) connectorIs(t *testing.T, reason string) {
	t.Helper()
	eventually(t, time.Minute, "the connector is "+reason, func() error {
		var c accessv1alpha1.Connector
		if err := cluster.Get(t.Context(), client.ObjectKey{Namespace: s.way.tenant, Name: "wiki"}, &c); err != nil {
			return err
		}
		if ready := meta.FindStatusCondition(c.Status.Conditions, accessv1alpha1.ConditionReady); ready == nil || ready.Reason != reason {
			return fmt.Errorf("it is %+v", ready)
		}
		return nil
	})
}

// event announces that somebody gets access to the application, and returns the taskId.
func event(email string) (body []byte, id string) { return eventFor(app, nil, email) }

// eventFor announces that somebody gets access to any application, with a level where there is one.
func eventFor(app string, level *cakewalk.NamedObject, email string) (body []byte, id string) {
	id = uuid.NewString()
	return cakewalk.EncodeActionTask(cakewalk.ActionTask{TaskID: id, Request: &cakewalk.RequestMetadata{
		Type:            accessv1alpha1.RequestTypeGrantAccess,
		TargetWorkApp:   &cakewalk.NamedObject{Name: app},
		PermissionLevel: level,
		TargetUser:      &cakewalk.User{Email: email, FullName: email},
	}}), id
}

// fresh makes a connection for every delivery: each is a new choice among the replicas. kept keeps its connections, as a
// proxy does.
var (
	fresh = &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	kept  = &http.Client{Timeout: 15 * time.Second}
)

// request is a signed delivery to the tenant's receiver.
func (s *site) request(t *testing.T, secret string, body []byte) *http.Request {
	t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	signature := hex.EncodeToString(mac.Sum(nil))
	s.hide(signature)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.webhooks+"/webhooks/"+s.way.tenant+"/cakewalk", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-SIGNATURE", signature)
	return req
}

// post sends a delivery by a new connection, and returns the status of the answer.
func (s *site) post(t *testing.T, secret string, body []byte) (int, error) {
	t.Helper()
	res, err := fresh.Do(s.request(t, secret, body))
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// deliver announces that people get access, in one delivery that must be stored, and returns the taskIds.
func (s *site) deliver(t *testing.T, emails ...string) []string {
	t.Helper()
	var events []json.RawMessage
	var ids []string
	for _, email := range emails {
		e, id := event(email)
		events, ids = append(events, e), append(ids, id)
	}
	body, err := json.Marshal(events)
	if err != nil {
		t.Fatal(err)
	}
	if code, err := s.post(t, s.secret, body); err != nil || code != http.StatusOK {
		t.Fatalf("the delivery was answered %d (%v)", code, err)
	}
	return ids
}

// task is a stored task; a failure where there is none.
func (s *site) task(t *testing.T, id string) *accessv1alpha1.AccessTask {
	t.Helper()
	var task accessv1alpha1.AccessTask
	if err := cluster.Get(t.Context(), client.ObjectKey{Namespace: s.way.tenant, Name: id}, &task); err != nil {
		t.Fatal(err)
	}
	return &task
}

// until waits until tasks have a reason, and returns how long that took.
func (s *site) until(t *testing.T, within time.Duration, reason string, ids ...string) time.Duration {
	t.Helper()
	return eventually(t, within, fmt.Sprintf("%d tasks are %s", len(ids), reason), func() error {
		var tasks accessv1alpha1.AccessTaskList
		if err := cluster.List(t.Context(), &tasks, client.InNamespace(s.way.tenant)); err != nil {
			return err
		}
		now := map[string]string{}
		for _, task := range tasks.Items {
			if c := meta.FindStatusCondition(task.Status.Conditions, accessv1alpha1.ConditionSucceeded); c != nil {
				now[task.Name] = c.Reason + ": " + c.Message
			}
		}
		for _, id := range ids {
			if !strings.HasPrefix(now[id], reason+":") {
				return fmt.Errorf("%s is %q", id, now[id])
			}
		}
		return nil
	})
}

// send sends a request and returns the answer, and an error where that has not the wanted status.
func send(req *http.Request, want int) (int, []byte, error) {
	res, err := fresh.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return res.StatusCode, nil, err
	}
	if res.StatusCode != want {
		return res.StatusCode, body, fmt.Errorf("%s: %s", res.Status, body)
	}
	return res.StatusCode, body, nil
}

func create(t *testing.T, namespace string, o client.Object) {
	t.Helper()
	o.SetNamespace(namespace)
	if err := cluster.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// namespace makes a namespace that holds its pods to the level restricted, if it is not there.
func namespace(t *testing.T, name string) {
	t.Helper()
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{enforce: "restricted", marker: "owned"}}}
	if err := cluster.Create(t.Context(), n); client.IgnoreAlreadyExists(err) != nil {
		t.Fatal(err)
	}
}

func setSecret(t *testing.T, namespace, name, key, value string) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"stringData": map[string]string{key: value}})
	if err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
	if err := cluster.Patch(t.Context(), secret, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		t.Fatal(err)
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }
