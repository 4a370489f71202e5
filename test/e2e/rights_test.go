// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
	"getcakewalk.io/access-operator/internal/testenv"
)

// Each half runs as a service account that has the installed rights of that half and no others: in the whole cluster, and
// in one namespace. What the API server was asked for is then all that was granted, and nothing else.
func TestEachHalfNeedsJustTheRightsThatAreInstalled(t *testing.T) {
	t.Run("cluster", func(t *testing.T) {
		halves(t, true, nil)
	})
	t.Run("namespace", func(t *testing.T) {
		// Where the API server cannot begin a watch with what is there, caches list first.
		halves(t, false, []string{"KUBE_FEATURE_WatchListClient=false"}, "--watch-namespaces")
	})
	if t.Failed() {
		return
	}
	used, err := env.Asked()
	if err != nil {
		t.Fatal(err)
	}
	roles := installedRoles(t)
	for account, names := range map[string][]string{
		"receiver":    {receiverRole, metricsAuthRole},
		"controllers": {managerRole, metricsAuthRole, leaderElectionRole},
	} {
		asked := map[string]bool{}
		for a, allowed := range used {
			if a.ServiceAccount != account || a.Group == "authentication.k8s.io" && a.Resource == "selfsubjectreviews" {
				continue
			}
			asked[right(a)] = true
			if !allowed {
				t.Errorf("%s is missing: %s", account, right(a))
			}
		}
		for _, name := range names {
			for _, granted := range rights(roles[name]) {
				// An apply that creates is one request, a patch, for which the API server asks for both rights: that it
				// needs both is shown with the controllers.
				if granted == `create secrets ""` {
					granted = `patch secrets ""`
				}
				if !asked[granted] {
					t.Errorf("%s of %s is granted and not used: %s", name, account, granted)
				}
			}
		}
	}
}

// halves runs the two halves in two processes along every path that needs rights.
func halves(t *testing.T, wholeCluster bool, environment []string, args ...string) {
	t.Helper()
	r := newRig(t)
	if len(args) > 0 {
		args = []string{args[0], r.namespace}
	}
	for _, account := range []string{"receiver", "controllers"} {
		r.bind(account, metricsAuthRole, true)
	}
	r.bind("receiver", receiverRole, wholeCluster)
	r.bind("controllers", managerRole, wholeCluster)
	r.bind("controllers", leaderElectionRole, false)
	r.bind("scraper", metricsReaderRole, true)
	r.receiverWithRSA("rsa")
	fake, lost := r.receiverThatFetches("fetching")
	c := r.connector("Slack", r.scim, "scim")

	metrics := []string{testenv.FreeAddress(t), testenv.FreeAddress(t)}
	receiver := r.startManager(environment, append(slices.Clone(args), "--kubeconfig", r.kubeconfig("receiver"), "--controllers=false", "--leader-elect",
		"--receiver-bind-address", r.receiver, "--metrics-bind-address", metrics[0], "--health-probe-bind-address", r.health)...)
	controllers := r.startManager(environment, append(slices.Clone(args), "--kubeconfig", r.kubeconfig("controllers"), "--receiver=false", "--leader-elect",
		"--leader-election-namespace", r.namespace, "--metrics-bind-address", metrics[1], "--health-probe-bind-address", testenv.FreeAddress(t))...)
	r.ready(c, accessv1alpha1.ReasonProbed)

	first, id := event(grant, "Slack", "ann@example.com")
	r.deliver(map[string]any{"eventType": "test"}, first)
	r.until(id, accessv1alpha1.ReasonProvisioned)
	if code, answer := r.send(r.namespace+"/rsa", nil, first); code != http.StatusUnauthorized {
		t.Errorf("%d %s", code, answer)
	}
	if code, _ := r.send("elsewhere/cakewalk", nil, first); code != http.StatusNotFound {
		t.Errorf("a delivery for another namespace is answered %d", code)
	}
	// Known already, and then twice with different content: an event, and its repetition.
	r.deliver(first)
	another, _ := event(grant, "Slack", "eve@example.com")
	data(another)["taskId"] = id
	r.deliver(another)
	r.deliver(another)
	removal, removed := event("RemoveAccessRequest", "Slack", "ann@example.com")
	r.deliver(removal)
	r.until(removed, accessv1alpha1.ReasonProvisioned)
	r.fetchesAndFinds(fake, lost)

	r.patchTask(id, `{"spec":{"ttlSecondsAfterFinished":0}}`)
	r.eventually("the finished task is deleted", func() error {
		err := r.Get(t.Context(), client.ObjectKey{Namespace: r.namespace, Name: id}, &accessv1alpha1.AccessTask{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there (%w)", err)
		}
		return nil
	})
	for _, address := range metrics {
		r.scrape(address)
	}
	r.eventually("the repeated event is counted", func() error {
		var events eventsv1.EventList
		if err := r.List(t.Context(), &events, client.InNamespace(r.namespace)); err != nil {
			return err
		}
		if !slices.ContainsFunc(events.Items, func(e eventsv1.Event) bool { return e.Series != nil }) {
			return errors.New("it is not")
		}
		return nil
	})
	for _, p := range []*process{receiver, controllers} {
		p.end(t, syscall.SIGTERM)
		if code := p.manager.ProcessState.ExitCode(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
	if strings.Contains(receiver.log.String(), "lease") || !strings.Contains(controllers.log.String(), "lease") {
		t.Error("only the controllers elect a leader")
	}
}

// receiverThatFetches makes a WebhookReceiver whose keys come from a Cakewalk, which never told of the task that is returned.
func (r *rig) receiverThatFetches(name string) (fake *cakewalktest.Fake, lost string) {
	r.t.Helper()
	fake = cakewalktest.Start(r.t, cakewalktest.Options{})
	owner := cakewalk.User{ID: uuid.NewString(), Email: "owner@example.com"}
	lost = fake.AddTask(cakewalktest.Task{
		AssignedTo: []cakewalk.User{owner}, CreatedAt: time.Now().Add(-time.Hour),
		Request: &cakewalktest.Request{
			TargetUser: &cakewalk.User{ID: uuid.NewString(), Email: "lou@example.com"}, WorkApp: &cakewalk.NamedObject{Name: "Slack"},
		},
	})
	r.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "api"}, StringData: map[string]string{"apiKey": fake.Key, "apiSecret": fake.Secret}})
	r.create(&accessv1alpha1.WebhookReceiver{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: accessv1alpha1.WebhookReceiverSpec{
			Verification: accessv1alpha1.WebhookVerification{RSA: &accessv1alpha1.RSAVerification{FetchFrom: fake.KeysURL}},
			CakewalkAPI:  &accessv1alpha1.CakewalkAPI{URL: fake.URL, CredentialsSecretRef: accessv1alpha1.SecretReference{Name: "api"}},
			Backfill:     &accessv1alpha1.Backfill{UserIDs: []string{owner.ID}},
		},
	})
	return fake, lost
}

// fetchesAndFinds has the receiver "fetching" verify with keys that the controllers fetch, also after a rotation, and find
// a lost task.
func (r *rig) fetchesAndFinds(fake *cakewalktest.Fake, lost string) {
	r.t.Helper()
	receiver := &accessv1alpha1.WebhookReceiver{}
	r.eventually("the receiver is ready", func() error {
		if err := r.Get(r.t.Context(), client.ObjectKey{Namespace: r.namespace, Name: "fetching"}, receiver); err != nil {
			return err
		}
		if c := meta.FindStatusCondition(receiver.Status.Conditions, accessv1alpha1.ConditionReady); c == nil || c.Reason != accessv1alpha1.ReasonServing {
			return fmt.Errorf("it is %+v", c)
		}
		return nil
	})
	for _, when := range []string{"before", "after"} {
		if got, err := fake.Send(r.t.Context(), r.url+"/webhooks/"+r.namespace+"/fetching", cakewalktest.TestBody()); err != nil || got.Status != http.StatusOK {
			r.t.Errorf("%s the rotation: %+v %v", when, got, err)
		}
		fake.RotateKey(false)
	}
	task := r.until(lost, accessv1alpha1.ReasonProvisioned)
	if task.Labels[accessv1alpha1.LabelFoundBy] != accessv1alpha1.FoundByBackfill {
		r.t.Error(task.Labels)
	}
}

// receiverWithRSA makes a WebhookReceiver whose keys are in a ConfigMap.
func (r *rig) receiverWithRSA(name string) {
	r.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		r.t.Fatal(err)
	}
	text, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		r.t.Fatal(err)
	}
	r.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{
		"keys": string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: text})),
	}})
	r.create(&accessv1alpha1.WebhookReceiver{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: accessv1alpha1.WebhookReceiverSpec{Verification: accessv1alpha1.WebhookVerification{RSA: &accessv1alpha1.RSAVerification{
			Keys: &accessv1alpha1.KeySource{ConfigMapRef: &accessv1alpha1.ConfigMapKeyReference{Name: name, Key: "keys"}},
		}}},
	})
}

func (r *rig) patchTask(id, patch string) {
	r.t.Helper()
	task := &accessv1alpha1.AccessTask{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: id}}
	if err := r.Patch(r.t.Context(), task, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		r.t.Fatal(err)
	}
}

// scrape reads the metrics at an address as somebody who may, and sees that nobody else may.
func (r *rig) scrape(address string) {
	r.t.Helper()
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
	defer c.CloseIdleConnections()
	for account, want := range map[string]int{"scraper": http.StatusOK, "manager": http.StatusForbidden} {
		req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "https://"+address+"/metrics", nil)
		if err != nil {
			r.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+r.token(account))
		res, err := c.Do(req)
		if err != nil {
			r.t.Fatal(err)
		}
		defer res.Body.Close()
		text := readAll(r.t, res.Body)
		if res.StatusCode != want || res.ProtoMajor != 1 {
			r.t.Errorf("%s is answered %s over %s: %s", account, res.Status, res.Proto, tail(text, 200))
		}
	}
}

func data(event map[string]any) map[string]any {
	d, ok := event["data"].(map[string]any)
	if !ok {
		panic("an event without data")
	}
	return d
}

// right is what was asked for, in the words of a rule.
func right(a testenv.Asked) string {
	resource := a.Resource
	if a.Subresource != "" {
		resource += "/" + a.Subresource
	}
	return fmt.Sprintf("%s %s %q", a.Verb, resource, a.Group)
}

// rights are what rules grant.
func rights(rules []rbacv1.PolicyRule) []string {
	var all []string
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					all = append(all, fmt.Sprintf("%s %s %q", verb, resource, group))
				}
			}
		}
	}
	return all
}
