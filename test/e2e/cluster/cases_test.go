// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build cluster

package cluster

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

// twoReplicas checks that every Deployment has two pods, all ready, under the Pod Security level restricted.
func (s *site) twoReplicas(t *testing.T) {
	for _, d := range s.deployments(t) {
		if d.Status.ReadyReplicas != 2 {
			t.Errorf("%s has %d ready replicas", d.Name, d.Status.ReadyReplicas)
		}
		for _, c := range d.Spec.Template.Spec.Containers {
			if c.Image != cluster.image {
				t.Errorf("%s runs %s", d.Name, c.Image)
			}
		}
	}
	var n corev1.Namespace
	if err := cluster.Get(t.Context(), client.ObjectKey{Name: s.way.namespace}, &n); err != nil {
		t.Fatal(err)
	}
	if n.Labels[enforce] != "restricted" {
		t.Errorf("the pods of %s are held to %q", n.Name, n.Labels[enforce])
	}
}

// provisions delivers through the Service and sees the member in the SCIM server.
func (s *site) provisions(t *testing.T) {
	t.Helper()
	email := uuid.NewString() + "@example.com"
	took := s.until(t, time.Minute, accessv1alpha1.ReasonProvisioned, s.deliver(t, email)...)
	t.Logf("provisioned %s after the delivery", took.Round(time.Millisecond))
	s.members(t, email, "bob@example.com")
	if code, err := s.post(t, "another-secret-0123456789", []byte(`{"eventType":"test"}`)); err != nil || code != http.StatusUnauthorized {
		t.Errorf("a delivery with a wrong signature was answered %d (%v)", code, err)
	}
}

// members checks that people are members in the target, once each.
func (s *site) members(t *testing.T, emails ...string) {
	t.Helper()
	for _, email := range emails {
		if n := s.scim.memberships(email); n != 1 {
			t.Errorf("%s is a member %d times", email, n)
		}
	}
}

// guardsMetrics asks for the metrics as nobody, as somebody without the right, and as somebody with it.
func (s *site) guardsMetrics(t *testing.T) {
	var roles rbacv1.ClusterRoleList
	if err := cluster.List(t.Context(), &roles, operatorLabels); err != nil {
		t.Fatal(err)
	}
	reader := ""
	for _, r := range roles.Items {
		if strings.HasSuffix(r.Name, "metrics-reader") {
			reader = r.Name
		}
	}
	if reader == "" {
		t.Fatal("no ClusterRole for readers of the metrics was installed")
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "e2e-metrics-reader"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: reader},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "prometheus", Namespace: s.way.tenant}},
	}
	create(t, "", binding)
	defer func() {
		if err := cluster.Delete(t.Context(), binding); err != nil {
			t.Error(err)
		}
	}()
	insecure := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	ask := func(address, token string) (int, string) {
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
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	tokens := map[string]string{}
	for _, name := range []string{"prometheus", "nobody"} {
		create(t, s.way.tenant, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}})
		answer, err := cluster.pods.CoreV1().ServiceAccounts(s.way.tenant).CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		tokens[name] = answer.Status.Token
		s.hide(answer.Status.Token)
	}
	addresses := s.services(t, "metrics")
	if len(addresses) == 0 {
		t.Fatal("no Service leads to the metrics")
	}
	for _, address := range addresses {
		if code, _ := ask(address, ""); code != http.StatusUnauthorized {
			t.Errorf("without a token: %d", code)
		}
		if code, _ := ask(address, tokens["nobody"]); code != http.StatusForbidden {
			t.Errorf("with the token of nobody: %d", code)
		}
		// The binding may take a moment to be known.
		eventually(t, 10*time.Second, "the token is good", func() error {
			code, body := ask(address, tokens["prometheus"])
			if code != http.StatusOK || !strings.Contains(body, "\naccess_operator_") {
				return fmt.Errorf("%d %s", code, tail(body, 300))
			}
			return nil
		})
	}
}

// rotatesTheWebhookSecret goes from one secret to another without a delivery being refused.
func (s *site) rotatesTheWebhookSecret(t *testing.T) {
	const next = "e2e-next-webhook-secret-0123456789"
	s.hide(next)
	create(t, s.way.tenant, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cakewalk-webhook-next"}, StringData: map[string]string{"secret": next}})
	list := func(names ...string) {
		t.Helper()
		refs := []map[string]string{}
		for _, n := range names {
			refs = append(refs, map[string]string{"name": n, "key": "secret"})
		}
		patch, err := json.Marshal(map[string]any{"spec": map[string]any{"verification": map[string]any{"hmac": map[string]any{"secretRefs": refs}}}})
		if err != nil {
			t.Fatal(err)
		}
		receiver := &accessv1alpha1.WebhookReceiver{ObjectMeta: metav1.ObjectMeta{Name: "cakewalk", Namespace: s.way.tenant}}
		if err := cluster.Patch(t.Context(), receiver, client.RawPatch("application/merge-patch+json", patch)); err != nil {
			t.Fatal(err)
		}
	}
	test := []byte(`{"eventType":"test"}`)
	// Several, since every replica reads the keys for itself.
	all := func(secret string, want int) error {
		for range 10 {
			if code, err := s.post(t, secret, test); err != nil || code != want {
				return fmt.Errorf("answered %d (%w)", code, err)
			}
		}
		return nil
	}
	list("cakewalk-webhook", "cakewalk-webhook-next")
	took := eventually(t, time.Minute, "the new secret verifies", func() error {
		if err := all(hookSecret, http.StatusOK); err != nil {
			t.Errorf("the old secret, still listed: %v", err)
		}
		return all(next, http.StatusOK)
	})
	list("cakewalk-webhook-next")
	gone := eventually(t, time.Minute, "the old secret verifies no more", func() error {
		if err := all(next, http.StatusOK); err != nil {
			t.Errorf("the new secret, while the old one leaves: %v", err)
		}
		return all(hookSecret, http.StatusUnauthorized)
	})
	t.Logf("the new secret verified after %s, the old one no more after %s", took.Round(time.Millisecond), gone.Round(time.Millisecond))
	s.secret = next
	s.provisions(t)
}

// rotatesTheTargetsToken lets the target ask for a new token before the operator has it: tasks wait, and then go on.
func (s *site) rotatesTheTargetsToken(t *testing.T) {
	const next = "e2e-next-scim-token"
	s.hide(next)
	s.scim.rotate(next)
	ids := s.deliver(t, "eve@example.com", "eva@example.com")
	s.connectorIs(t, accessv1alpha1.ReasonUnauthorized)
	s.until(t, time.Minute, accessv1alpha1.ReasonConnectorNotReady, ids...)
	setSecret(t, s.way.tenant, "scim", "token", next)
	took := s.until(t, time.Minute, accessv1alpha1.ReasonProvisioned, ids...)
	t.Logf("the tasks went on %s after the Secret was corrected", took.Round(time.Millisecond))
}

// leader is the pod that leads.
func (s *site) leader(t *testing.T) *corev1.Pod {
	t.Helper()
	var lease coordinationv1.Lease
	if err := cluster.Get(t.Context(), client.ObjectKey{Namespace: s.way.namespace, Name: "access-operator.access.getcakewalk.io"}, &lease); err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	var pod corev1.Pod
	if err := cluster.Get(t.Context(), client.ObjectKey{Namespace: s.way.namespace, Name: name}, &pod); err != nil {
		t.Fatal(err)
	}
	return &pod
}

// survives ends the leader amid its work. What it had begun is ended once by the next one.
func (s *site) survives(t *testing.T, what string, within time.Duration, end func(*corev1.Pod)) {
	t.Helper()
	var emails []string
	for i := range 30 {
		emails = append(emails, fmt.Sprintf("%s-%d@example.com", what, i))
	}
	before := s.leader(t)
	ids := s.deliver(t, emails...)
	eventually(t, time.Minute, "the leader is at work", func() error {
		// One request, since the tasks may all be done before there are answers to thirty.
		var tasks accessv1alpha1.AccessTaskList
		if err := cluster.List(t.Context(), &tasks, client.InNamespace(s.way.tenant)); err != nil {
			return err
		}
		done := 0
		for i := range tasks.Items {
			if slices.Contains(ids, tasks.Items[i].Name) && tasks.Items[i].Status.CompletionTime != nil {
				done++
			}
		}
		if done == 0 || done == len(ids) {
			return fmt.Errorf("%d of %d tasks are done", done, len(ids))
		}
		return nil
	})
	end(before)
	start := time.Now()
	late := what + "-late@example.com"
	ids = append(ids, s.deliver(t, late)...)
	s.until(t, within, accessv1alpha1.ReasonProvisioned, ids[len(ids)-1])
	t.Logf("%s: the next task was provisioned after %s", what, time.Since(start).Round(100*time.Millisecond))
	s.until(t, time.Minute, accessv1alpha1.ReasonProvisioned, ids...)
	s.members(t, append(emails, late)...)
	if twice := s.scim.repeated(); len(twice) > 0 {
		t.Errorf("changes were made twice: %q", twice)
	}
	s.rolledOut(t)
}

// failsOver deletes the leader's pod, and kills the next one's process.
func (s *site) failsOver(t *testing.T) {
	s.survives(t, "deleted", 20*time.Second, func(p *corev1.Pod) {
		if err := cluster.Delete(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	})
	s.survives(t, "killed", 40*time.Second, func(p *corev1.Pod) {
		pid, err := processOf(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	})
}

// processOf finds the process of a pod's container on this machine.
func processOf(p *corev1.Pod) (int, error) {
	_, id, _ := strings.Cut(p.Status.ContainerStatuses[0].ContainerID, "://")
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		// A process may end meanwhile.
		if text, err := os.ReadFile(f); err == nil && id != "" && bytes.Contains(text, []byte(id)) {
			return strconv.Atoi(filepath.Base(filepath.Dir(f)))
		}
	}
	return 0, fmt.Errorf("no process on this machine belongs to the container %s of pod %s: run this suite on the node, as root", id, p.Name)
}

// traffic is a steady flow of deliveries.
type traffic struct {
	mu sync.Mutex
	// stored are the tasks whose delivery was answered 200.
	stored []string
	// answers counts the answers and errors by kind.
	answers map[string]int
	stop    chan struct{}
	senders sync.WaitGroup
}

// flow sends a delivery every 200 ms, in turn by a new connection and by a kept one, and sends again what was not taken.
func (s *site) flow(t *testing.T) *traffic {
	t.Helper()
	f := &traffic{answers: map[string]int{}, stop: make(chan struct{})}
	f.senders.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-f.stop:
				return
			case <-tick.C:
			}
			c := []*http.Client{fresh, kept}[i%2]
			f.senders.Go(func() { s.sendUntilTaken(t, f, c, fmt.Sprintf("steady-%s@example.com", uuid.NewString())) })
		}
	})
	return f
}

func (s *site) sendUntilTaken(t *testing.T, f *traffic, c *http.Client, email string) {
	t.Helper()
	body, id := event(email)
	for range 10 {
		kind := ""
		res, err := c.Do(s.request(t, s.secret, body))
		if err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			kind = strconv.Itoa(res.StatusCode)
		} else if kind = err.Error(); strings.Contains(kind, ": ") {
			// The cause, without the addresses.
			kind = kind[strings.LastIndex(kind, ": ")+2:]
		}
		f.mu.Lock()
		f.answers[kind]++
		if kind == "200" {
			f.stored = append(f.stored, id)
		}
		f.mu.Unlock()
		if kind == "200" {
			return
		}
		time.Sleep(time.Second)
	}
	t.Errorf("the delivery for %s was never taken", email)
}

// end ends the flow, and returns the tasks whose delivery was answered 200.
func (f *traffic) end() []string {
	close(f.stop)
	f.senders.Wait()
	return f.stored
}

// losesNothing replaces every pod while deliveries come.
func (s *site) losesNothing(t *testing.T, replace func()) {
	t.Helper()
	old := map[string]bool{}
	for _, p := range s.pods(t) {
		old[p.Name] = true
	}
	f := s.flow(t)
	time.Sleep(2 * time.Second)
	start := time.Now()
	replace()
	s.rolledOut(t)
	eventually(t, 2*time.Minute, "the old pods are gone", func() error {
		for _, p := range s.pods(t) {
			if old[p.Name] {
				return fmt.Errorf("%s is there", p.Name)
			}
		}
		return nil
	})
	took := time.Since(start)
	time.Sleep(2 * time.Second)
	ids := f.end()
	failures := 0
	for kind, n := range f.answers {
		if kind != "200" {
			failures += n
		}
	}
	t.Logf("every pod was replaced in %s, under %d deliveries: %v", took.Round(time.Second), len(ids), f.answers)
	if n := f.answers["connection refused"]; n > 0 {
		t.Errorf("%d connections were refused", n)
	}
	if failures*200 > len(ids) {
		t.Errorf("%d deliveries had to be sent again, of %d", failures, len(ids))
	}
	if len(ids) < 50 {
		t.Errorf("%d deliveries are too few to prove anything", len(ids))
	}
	done := s.until(t, 2*time.Minute, accessv1alpha1.ReasonProvisioned, ids...)
	t.Logf("the last of them was provisioned %s after the last delivery", done.Round(100*time.Millisecond))
	if twice := s.scim.repeated(); len(twice) > 0 {
		t.Errorf("changes were made twice: %q", twice)
	}
}

// restarts restarts every pod under traffic.
func (s *site) restarts(t *testing.T) {
	s.losesNothing(t, func() {
		if out, err := kubectl(t.Context(), "", "rollout", "restart", "deployment", "--selector", "app.kubernetes.io/name=access-operator", "--namespace", s.way.namespace); err != nil {
			t.Fatal(err, out)
		}
	})
}

// servesItsNamespaceAlone delivers to another namespace, and looks for rights beyond its own.
func (s *site) servesItsNamespaceAlone(t *testing.T) {
	const other = "e2e-other"
	namespace(t, other)
	defer func() {
		if _, err := kubectl(t.Context(), "", "delete", "namespace", other, "--wait=false"); err != nil {
			t.Error(err)
		}
	}()
	create(t, other, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cakewalk-webhook"}, StringData: map[string]string{"secret": hookSecret}})
	create(t, other, &accessv1alpha1.WebhookReceiver{ObjectMeta: metav1.ObjectMeta{Name: "cakewalk"}, Spec: accessv1alpha1.WebhookReceiverSpec{
		Verification: accessv1alpha1.WebhookVerification{HMAC: &accessv1alpha1.HMACVerification{
			SecretRefs: []accessv1alpha1.SecretKeyReference{{Name: "cakewalk-webhook", Key: "secret"}},
		}},
	}})
	// Long enough for a watch to show it.
	time.Sleep(2 * time.Second)
	req := s.request(t, hookSecret, []byte(`{"eventType":"test"}`))
	req.URL.Path = "/webhooks/" + other + "/cakewalk"
	if code, body, err := send(req, http.StatusNotFound); err != nil {
		t.Errorf("a delivery to another namespace was answered %d %s", code, body)
	}
	out, err := kubectl(t.Context(), "", "get", "clusterroles,clusterrolebindings", "--selector", "app.kubernetes.io/name=access-operator", "-o", "name")
	if err != nil || out != "" {
		t.Errorf("for the whole cluster were installed: %s (%v)", out, err)
	}
}

// upgrades changes a value of the chart under traffic.
func (s *site) upgrades(t *testing.T) {
	s.losesNothing(t, func() {
		if out, err := program(t.Context(), "", cluster.helm, "upgrade", "access-operator", "charts/access-operator", "--namespace", s.way.namespace, "--reuse-values", "--set", "log.level=debug"); err != nil {
			t.Fatal(err, out)
		}
	})
}

// comesBack installs the operator again beside the record that it left.
func (s *site) comesBack(t *testing.T) {
	if out, err := s.way.install(t.Context()); err != nil {
		t.Fatal(err, out)
	}
	s.rolledOut(t)
	s.webhooks = s.service(t, "webhooks")
	s.taken(t)
	s.provisions(t)
}

// refusesHandMadeTasks tries to make a task as the receiver does, with every right that a person can have.
func (s *site) refusesHandMadeTasks(t *testing.T) {
	made := func(ref *accessv1alpha1.WebhookReceiverReference) error {
		id := uuid.NewString()
		task := &accessv1alpha1.AccessTask{ObjectMeta: metav1.ObjectMeta{Name: id, Namespace: s.way.tenant}, Spec: accessv1alpha1.AccessTaskSpec{
			TaskID: id, ReceivedTime: new(metav1.NowMicro()), ReceiverRef: ref,
			Request: &accessv1alpha1.AccessRequest{
				Type: accessv1alpha1.RequestTypeGrantAccess, TargetWorkApp: &accessv1alpha1.NamedObject{Name: app},
				TargetUser: &accessv1alpha1.User{Email: "mallory@example.com"},
			},
		}}
		return cluster.Create(t.Context(), task)
	}
	err := made(&accessv1alpha1.WebhookReceiverReference{Name: "cakewalk"})
	if err == nil || !strings.Contains(err.Error(), "receiverRef") {
		t.Errorf("a task that no receiver stored, with a receiverRef: %v", err)
	} else {
		t.Logf("refused: %v", err)
	}
	if err := made(nil); err != nil {
		t.Errorf("a task without a receiverRef: %v", err)
	}
	s.provisions(t)
	if n := s.scim.memberships("mallory@example.com"); n != 0 {
		t.Error("a task that somebody made was provisioned")
	}
}

// helpsOnCall does what whoever is on call may do, and tries what they may not.
func (s *site) helpsOnCall(t *testing.T) {
	const user = "oncall@example.com"
	create(t, s.way.tenant, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "on-call"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "access-operator-on-call"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	})
	config := rest.CopyConfig(cluster.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	person, err := client.New(config, client.Options{Scheme: cluster.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	patch := func(o client.Object, text string) error {
		return person.Patch(t.Context(), o, client.RawPatch("application/merge-patch+json", []byte(text)))
	}
	announce := func(app, level string) string {
		t.Helper()
		var l *cakewalk.NamedObject
		if level != "" {
			l = &cakewalk.NamedObject{Name: level}
		}
		body, id := eventFor(app, l, uuid.NewString()+"@example.com")
		if code, err := s.post(t, s.secret, body); err != nil || code != http.StatusOK {
			t.Fatalf("the delivery was answered %d (%v)", code, err)
		}
		return id
	}
	lonely, unmapped := announce("Unheard Of", ""), announce(app, "Owner")
	s.until(t, time.Minute, accessv1alpha1.ReasonNoConnector, lonely)
	s.until(t, time.Minute, accessv1alpha1.ReasonPermanentError, unmapped)

	// The binding may take a moment to be known.
	eventually(t, 10*time.Second, "the role is bound", func() error {
		return person.Get(t.Context(), client.ObjectKey{Namespace: s.way.tenant, Name: lonely}, &accessv1alpha1.AccessTask{})
	})
	task, connector := s.task(t, lonely), &accessv1alpha1.Connector{ObjectMeta: metav1.ObjectMeta{Name: "wiki", Namespace: s.way.tenant}}
	for what, try := range map[string]func() error{
		"suspends a task":       func() error { return patch(task.DeepCopy(), `{"spec":{"suspend":true}}`) },
		"has a task forgotten":  func() error { return patch(task.DeepCopy(), `{"spec":{"ttlSecondsAfterFinished":1}}`) },
		"relabels a task":       func() error { return patch(task.DeepCopy(), `{"metadata":{"labels":{"x":"y"}}}`) },
		"annotates a task":      func() error { return patch(task.DeepCopy(), `{"metadata":{"annotations":{"x":"y"}}}`) },
		"deletes a task":        func() error { return person.Delete(t.Context(), task.DeepCopy()) },
		"writes a task's state": func() error { return person.Status().Update(t.Context(), task.DeepCopy()) },
		"changes a connector":   func() error { return patch(connector, `{"spec":{"dryRun":true}}`) },
		"reads a secret": func() error {
			return person.Get(t.Context(), client.ObjectKey{Namespace: s.way.tenant, Name: "scim"}, &corev1.Secret{})
		},
	} {
		if err := try(); !apierrors.IsForbidden(err) {
			t.Errorf("whoever is on call %s: %v", what, err)
		}
	}

	if err := patch(task, `{"metadata":{"annotations":{"access.getcakewalk.io/complete":"oncall: made by hand"}}}`); err != nil {
		t.Error(err)
	}
	s.until(t, time.Minute, accessv1alpha1.ReasonCompletedByPerson, lonely)

	mapping := fmt.Sprintf(`{"spec":{"permissionLevels":[{"default":true,"entitlements":[%q]},{"name":"Owner","entitlements":[%q]}]}}`, group, group)
	if err := cluster.Patch(t.Context(), connector, client.RawPatch("application/merge-patch+json", []byte(mapping))); err != nil {
		t.Fatal(err)
	}
	// Ready speaks of the new mapping once the operator has seen it.
	eventually(t, time.Minute, "the connector is ready", func() error {
		if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(connector), connector); err != nil {
			return err
		}
		ready := meta.FindStatusCondition(connector.Status.Conditions, accessv1alpha1.ConditionReady)
		if ready == nil || ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != connector.Generation {
			return fmt.Errorf("ready is %+v", ready)
		}
		return nil
	})
	if err := patch(s.task(t, unmapped), `{"metadata":{"annotations":{"access.getcakewalk.io/retry":"1"}}}`); err != nil {
		t.Error(err)
	}
	s.until(t, time.Minute, accessv1alpha1.ReasonProvisioned, unmapped)
}

// leavesTheRecord removes the operator. Nothing of it stays but the custom resource definitions, and every task.
func (s *site) leavesTheRecord(t *testing.T) {
	count := func() int {
		t.Helper()
		var tasks accessv1alpha1.AccessTaskList
		if err := cluster.List(t.Context(), &tasks, client.InNamespace(s.way.tenant)); err != nil {
			t.Fatal(err)
		}
		return len(tasks.Items)
	}
	before := count()
	if out, err := s.way.remove(t.Context()); err != nil {
		t.Fatal(err, out)
	}
	if after := count(); after != before || before == 0 {
		t.Errorf("there were %d tasks, and are %d", before, after)
	}
	const kinds = "deployments,replicasets,pods,services,serviceaccounts,configmaps,secrets,roles,rolebindings,clusterroles,clusterrolebindings," +
		"networkpolicies,poddisruptionbudgets,validatingadmissionpolicies,validatingadmissionpolicybindings"
	// Pods and what watches them go a moment later.
	eventually(t, 30*time.Second, "nothing of the operator is left", func() error {
		out, err := kubectl(t.Context(), "", "get", kinds, "--all-namespaces", "--selector", "app.kubernetes.io/name=access-operator", "-o", "name")
		if err != nil || out != "" {
			return fmt.Errorf("%s (%w)", out, err)
		}
		return nil
	})
}

// showsNoSecret looks for secrets, tokens and signatures in everything that the operator has shown to anybody.
func (s *site) showsNoSecret(t *testing.T) {
	shown := s.logs.all()
	if !strings.Contains(shown, "audit") {
		t.Errorf("the logs have no line of the audit logger: this would prove nothing: %s", tail(shown, 2000))
	}
	for _, n := range []string{s.way.namespace, s.way.tenant} {
		for _, list := range []client.ObjectList{&accessv1alpha1.AccessTaskList{}, &accessv1alpha1.ConnectorList{}, &accessv1alpha1.WebhookReceiverList{}, &eventsv1.EventList{}} {
			if err := cluster.List(t.Context(), list, client.InNamespace(n)); err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(list)
			if err != nil {
				t.Fatal(err)
			}
			shown += string(text)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := 0
	for _, text := range slices.Sorted(maps.Keys(s.hidden)) {
		i := strings.Index(shown, text)
		if i < 0 {
			continue
		}
		if found++; found <= 3 {
			t.Errorf("it shows: ...%s...", shown[max(0, i-300):min(len(shown), i+len(text)+100)])
		}
	}
	t.Logf("%d of %d secrets, tokens and signatures show in %d kB of logs, statuses and events", found, len(s.hidden), len(shown)>>10)
}

// usage tells what the pods have used, for the requests in the manifests.
func (s *site) usage(t *testing.T) {
	for _, p := range s.pods(t) {
		raw, err := cluster.pods.CoreV1().RESTClient().Get().AbsPath("/api/v1/nodes", p.Spec.NodeName, "proxy/stats/summary").DoRaw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var summary struct {
			Pods []struct {
				PodRef     struct{ UID string }
				Containers []struct {
					StartTime time.Time
					CPU       struct{ UsageCoreNanoSeconds uint64 }
					Memory    struct{ WorkingSetBytes, RSSBytes uint64 }
				}
			}
		}
		if err := json.Unmarshal(raw, &summary); err != nil {
			t.Fatal(err)
		}
		for _, stat := range summary.Pods {
			if stat.PodRef.UID != string(p.UID) {
				continue
			}
			for _, c := range stat.Containers {
				age, used := time.Since(c.StartTime), time.Duration(c.CPU.UsageCoreNanoSeconds)
				t.Logf("%s: %d MiB resident, %d MiB working set, %s of CPU in %s: %d m", p.Name, c.Memory.RSSBytes>>20, c.Memory.WorkingSetBytes>>20,
					used.Round(time.Millisecond), age.Round(time.Second), used*1000/age)
			}
		}
	}
}
