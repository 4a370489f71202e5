// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	accessac "getcakewalk.io/access-operator/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
	"getcakewalk.io/access-operator/internal/openapi"
	"getcakewalk.io/access-operator/internal/webhookkeys"
)

// receiverRig is a WebhookReceiver "cakewalk" whose keys are fetched from a fake Cakewalk, and a reconciler that visits it
// when it is told to.
type receiverRig struct {
	client.WithWatch
	t          *testing.T
	namespace  string
	now        *clocktesting.FakeClock
	fake       *cakewalktest.Fake
	reconciler *WebhookReceiverReconciler
	recorder   *events.FakeRecorder
	after      time.Duration
}

func newReceiverRig(t *testing.T, change ...func(*receiverRig, *accessv1alpha1.WebhookReceiver)) *receiverRig {
	t.Helper()
	t.Parallel()
	now := clocktesting.NewFakeClock(time.Now().Truncate(time.Second))
	r := &receiverRig{
		WithWatch: env.Client(t), t: t, namespace: env.Namespace(t), now: now,
		fake: cakewalktest.Start(t, cakewalktest.Options{Now: now.Now}),
	}
	r.restart()
	r.credentials(r.fake.Key)
	receiver := &accessv1alpha1.WebhookReceiver{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: "cakewalk"},
		Spec: accessv1alpha1.WebhookReceiverSpec{
			Verification: accessv1alpha1.WebhookVerification{RSA: &accessv1alpha1.RSAVerification{FetchFrom: r.fake.KeysURL}},
			CakewalkAPI:  &accessv1alpha1.CakewalkAPI{URL: r.fake.URL, CredentialsSecretRef: accessv1alpha1.SecretReference{Name: "cakewalk-api"}},
		},
	}
	for _, f := range change {
		f(r, receiver)
	}
	if err := r.Create(t.Context(), receiver); err != nil {
		t.Fatal(err)
	}
	return r
}

// restart makes a reconciler that remembers nothing.
func (r *receiverRig) restart() {
	r.t.Helper()
	clients, err := openapi.NewClients(r, prometheus.NewRegistry(), r.now.Now)
	if err != nil {
		r.t.Fatal(err)
	}
	r.recorder = events.NewFakeRecorder(100)
	r.reconciler = &WebhookReceiverReconciler{Client: r.WithWatch, Live: r, Recorder: r.recorder, Cakewalk: clients, Now: r.now.Now}
}

// credentials puts an API key into the receiver's Secret.
func (r *receiverRig) credentials(key string) {
	r.t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: "cakewalk-api"}}
	if err := client.IgnoreNotFound(r.Delete(r.t.Context(), s)); err != nil {
		r.t.Fatal(err)
	}
	s = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: "cakewalk-api"}, StringData: map[string]string{"apiKey": key, "apiSecret": r.fake.Secret}}
	if err := r.Create(r.t.Context(), s); err != nil {
		r.t.Fatal(err)
	}
}

// visit has the reconciler visit the receiver, and returns what it is then.
func (r *receiverRig) visit() *accessv1alpha1.WebhookReceiver {
	r.t.Helper()
	key := client.ObjectKey{Namespace: r.namespace, Name: "cakewalk"}
	result, err := r.reconciler.Reconcile(r.t.Context(), reconcile.Request{NamespacedName: key})
	if err != nil {
		r.t.Fatal(err)
	}
	r.after = result.RequeueAfter
	receiver := &accessv1alpha1.WebhookReceiver{}
	if err := client.IgnoreNotFound(r.Get(r.t.Context(), key, receiver)); err != nil {
		r.t.Fatal(err)
	}
	return receiver
}

// mismatch notes a signature that does not match, as the receiver's half does.
func (r *receiverRig) mismatch() {
	r.t.Helper()
	status := accessac.WebhookReceiverStatus().WithLastMismatchTime(metav1.NewTime(r.now.Now()))
	config := accessac.WebhookReceiver("cakewalk", r.namespace).WithStatus(status)
	if err := r.Status().Apply(r.t.Context(), config, client.ForceOwnership, client.FieldOwner("access-operator-receiver")); err != nil {
		r.t.Fatal(err)
	}
}

// fetches counts the requests for keys until now.
func (r *receiverRig) fetches() int {
	n := 0
	for _, q := range r.fake.Requests() {
		if strings.HasSuffix(q.Path, "/Keys") {
			n++
		}
	}
	return n
}

// has checks a condition.
func (r *receiverRig) has(receiver *accessv1alpha1.WebhookReceiver, kind string, status metav1.ConditionStatus, reason, message string) {
	r.t.Helper()
	got := meta.FindStatusCondition(receiver.Status.Conditions, kind)
	if got == nil || got.Status != status || got.Reason != reason || !strings.Contains(got.Message, message) {
		r.t.Errorf("%s is %+v, want %s %s %q", kind, got, status, reason, message)
	}
}

// told returns the events that were recorded since the last call.
func (r *receiverRig) told() string {
	var all []string
	for {
		select {
		case e := <-r.recorder.Events:
			all = append(all, e)
		default:
			return strings.Join(all, "\n")
		}
	}
}

// verifies checks whether a body that the fake signs verifies with the receiver's keys.
func (r *receiverRig) verifies(receiver *accessv1alpha1.WebhookReceiver) error {
	r.t.Helper()
	keys, _, err := webhookkeys.Load(r.t.Context(), r, receiver)
	if err != nil {
		r.t.Fatal(err)
	}
	return keys.Verify(http.Header{"X-Signature": {r.fake.Sign([]byte("[]"))}}, []byte("[]"))
}

func TestKeysAreFetchedAndKept(t *testing.T) {
	r := newReceiverRig(t)
	now := r.visit()
	r.has(now, accessv1alpha1.ConditionReady, metav1.ConditionTrue, accessv1alpha1.ReasonServing, "1 key")
	r.has(now, accessv1alpha1.ConditionConnected, metav1.ConditionTrue, accessv1alpha1.ReasonAnswering, "")
	if f := now.Status.FetchedKeys; f == nil || len(f.Fingerprints) != 1 || !strings.Contains(f.Fingerprints[0], "(2048 bits)") || !f.FetchTime.Time.Equal(r.now.Now()) {
		t.Errorf("%+v", f)
	}
	if err := r.verifies(now); err != nil {
		t.Error(err)
	}
	r.now.Step(fetchInterval - time.Second)
	r.visit()
	if n := r.fetches(); n != 1 {
		t.Errorf("%d fetches within the hour", n)
	}
	r.now.Step(time.Second)
	if now = r.visit(); r.fetches() != 2 || !now.Status.FetchedKeys.FetchTime.Time.Equal(r.now.Now()) {
		t.Errorf("%d fetches after an hour, %+v", r.fetches(), now.Status.FetchedKeys)
	}

	// While Cakewalk is away, the keys stay.
	heal := r.fake.Inject(cakewalktest.Fault{Status: http.StatusInternalServerError})
	r.now.Step(fetchInterval)
	now = r.visit()
	r.has(now, accessv1alpha1.ConditionReady, metav1.ConditionTrue, accessv1alpha1.ReasonServing, "could not be fetched")
	r.has(now, accessv1alpha1.ConditionConnected, metav1.ConditionFalse, accessv1alpha1.ReasonUnreachable, "")
	if err := r.verifies(now); err != nil {
		t.Error(err)
	}
	heal()
	// The client stays closed for a while after trouble.
	r.now.Step(6 * time.Minute)
	now = r.visit()
	r.has(now, accessv1alpha1.ConditionConnected, metav1.ConditionTrue, accessv1alpha1.ReasonAnswering, "")
	if c := meta.FindStatusCondition(now.Status.Conditions, accessv1alpha1.ConditionReady); strings.Contains(c.Message, "fetched") {
		t.Error(c.Message)
	}

	// A new process fetches nothing that is fresh.
	r.restart()
	n := r.fetches()
	now = r.visit()
	r.has(now, accessv1alpha1.ConditionReady, metav1.ConditionTrue, accessv1alpha1.ReasonServing, "1 key")
	if r.fetches() != n {
		t.Error("a restart fetches again")
	}
}

func TestAMismatchFetchesAtMostOnceAMinute(t *testing.T) {
	r := newReceiverRig(t)
	now := r.visit()
	r.now.Step(time.Second)
	r.fake.RotateKey(false)
	if err := r.verifies(now); err == nil {
		t.Fatal("the old key verifies")
	}
	r.mismatch()
	r.told()
	now = r.visit()
	if err := r.verifies(now); err != nil || r.fetches() != 2 {
		t.Error(err, r.fetches())
	}
	if told := r.told(); !strings.Contains(told, "KeysChanged") {
		t.Error(told)
	}
	// A second one has to wait, and is not forgotten.
	r.now.Step(time.Second)
	r.fake.RotateKey(false)
	r.mismatch()
	now = r.visit()
	if r.fetches() != 2 || r.after > fetchMinInterval {
		t.Errorf("%d fetches, again in %s", r.fetches(), r.after)
	}
	r.now.Step(r.after)
	r.visit()
	for r.fetches() == 2 && r.now.Since(now.Status.FetchedKeys.FetchTime.Time) <= fetchMinInterval {
		r.now.Step(r.after)
		r.visit()
	}
	if err := r.verifies(now); err != nil || r.fetches() != 3 {
		t.Error(err, r.fetches())
	}
	r.now.Step(2 * fetchMinInterval)
	if r.visit(); r.fetches() != 3 {
		t.Error("a mismatch that was answered is answered again")
	}
	// Nor does a new process answer it again, nor fetch twice in a minute.
	r.restart()
	if r.visit(); r.fetches() != 3 {
		t.Error("after a restart, a mismatch that was answered is answered again")
	}
	r.mismatch()
	if r.visit(); r.fetches() != 4 {
		t.Error("a new mismatch is not answered: ", r.fetches())
	}
	r.restart()
	r.now.Step(time.Second)
	r.mismatch()
	if r.visit(); r.fetches() != 4 {
		t.Error("after a restart, keys are fetched twice in a minute")
	}
}

func TestKeysThatCannotBeFetched(t *testing.T) {
	r := newReceiverRig(t)
	r.credentials("wrong")
	now := r.visit()
	r.has(now, accessv1alpha1.ConditionReady, metav1.ConditionFalse, accessv1alpha1.ReasonKeysNotFetched, "401")
	r.has(now, accessv1alpha1.ConditionConnected, metav1.ConditionFalse, accessv1alpha1.ReasonUnauthorized, "401")
	if now.Status.FetchedKeys != nil {
		t.Error(now.Status.FetchedKeys)
	}
	if told := r.told(); strings.Contains(told, "wrong") || !strings.Contains(told, accessv1alpha1.ReasonKeysNotFetched) || !strings.Contains(told, accessv1alpha1.ReasonUnauthorized) {
		t.Error(told)
	}
	r.now.Step(keysUnready)
	if r.visit(); r.fetches() != 1 {
		t.Error("it is tried again within the minute")
	}
	r.credentials(r.fake.Key)
	r.now.Step(fetchMinInterval)
	now = r.visit()
	r.has(now, accessv1alpha1.ConditionReady, metav1.ConditionTrue, accessv1alpha1.ReasonServing, "")
	r.has(now, accessv1alpha1.ConditionConnected, metav1.ConditionTrue, accessv1alpha1.ReasonAnswering, "")
}

func TestAKeyThatIsRefusedShows(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	r := newReceiverRig(t)
	r.fake.UseKey(small, true)
	now := r.visit()
	r.has(now, accessv1alpha1.ConditionReady, metav1.ConditionFalse, accessv1alpha1.ReasonKeysNotFetched, "1024")
	r.fake.RotateKey(true)
	r.told()
	r.now.Step(fetchMinInterval)
	now = r.visit()
	r.has(now, accessv1alpha1.ConditionReady, metav1.ConditionTrue, accessv1alpha1.ReasonServing, "1024")
	if told := r.told(); !strings.Contains(told, accessv1alpha1.ReasonInvalidKey) || !strings.Contains(told, "1024") {
		t.Error(told)
	}
	r.now.Step(keysReady)
	r.visit()
	if told := r.told(); told != "" {
		t.Error("told again: ", told)
	}
}

func TestFetchedKeysGoWithTheirReceiver(t *testing.T) {
	r := newReceiverRig(t)
	now := r.visit()
	other := now.DeepCopy()
	other.ObjectMeta = metav1.ObjectMeta{Namespace: r.namespace, Name: "other", UID: "other"}
	if err := webhookkeys.StoreFetched(t.Context(), r, other, r.fake.PublicKeys(), r.now.Now()); err != nil {
		t.Fatal(err)
	}
	if err := r.Delete(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	r.visit()
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: r.namespace, Name: webhookkeys.FetchedSecret}
	if err := r.Get(t.Context(), key, secret); err != nil {
		t.Fatal(err)
	}
	if secret.Data["cakewalk"] != nil || secret.Data["other"] == nil || len(secret.OwnerReferences) != 1 || secret.Type != corev1.SecretTypeOpaque {
		t.Errorf("%+v", secret)
	}
	if _, _, _, _, ok := r.reconciler.Cakewalk.Condition(client.ObjectKeyFromObject(now)); ok {
		t.Error("the receiver's client is kept")
	}
	// A Secret that goes meanwhile does not come back for a receiver that is gone.
	if err := r.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	secret.Data["cakewalk"] = []byte("{}")
	late := interceptor.NewClient(r.WithWatch, interceptor.Funcs{Get: func(_ context.Context, _ client.WithWatch, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
		if into, ok := o.(*corev1.Secret); ok {
			secret.DeepCopyInto(into)
		}
		return nil
	}})
	if err := webhookkeys.DropFetched(t.Context(), late, r, client.ObjectKeyFromObject(now)); err != nil {
		t.Error(err)
	}
	if err := r.Get(t.Context(), key, secret); !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}

func TestConnected(t *testing.T) {
	hmac := func(_ *receiverRig, receiver *accessv1alpha1.WebhookReceiver) {
		receiver.Spec.Verification = accessv1alpha1.WebhookVerification{HMAC: &accessv1alpha1.HMACVerification{
			SecretRefs: []accessv1alpha1.SecretKeyReference{{Name: "cakewalk-api", Key: "apiKey"}},
		}}
	}
	t.Run("without an API", func(t *testing.T) {
		r := newReceiverRig(t, hmac, func(_ *receiverRig, receiver *accessv1alpha1.WebhookReceiver) { receiver.Spec.CakewalkAPI = nil })
		now := r.visit()
		r.has(now, accessv1alpha1.ConditionReady, metav1.ConditionTrue, accessv1alpha1.ReasonServing, "")
		r.has(now, accessv1alpha1.ConditionConnected, metav1.ConditionFalse, accessv1alpha1.ReasonNotConfigured, "sent again after its AccessTask was deleted")
		if told := r.told(); strings.Contains(told, accessv1alpha1.ReasonNotConfigured) {
			t.Error(told)
		}
	})
	t.Run("with one", func(t *testing.T) {
		r := newReceiverRig(t, hmac)
		now := r.visit()
		r.has(now, accessv1alpha1.ConditionConnected, metav1.ConditionTrue, accessv1alpha1.ReasonAnswering, "")
		if n := len(r.fake.Requests()); n != 1 {
			t.Errorf("%d requests", n)
		}
		r.now.Step(probeIdle - time.Second)
		if r.visit(); len(r.fake.Requests()) != 1 {
			t.Error("probed too soon")
		}
		r.fake.SetCredentials("other", "other")
		r.now.Step(time.Second)
		now = r.visit()
		r.has(now, accessv1alpha1.ConditionConnected, metav1.ConditionFalse, accessv1alpha1.ReasonUnauthorized, "401")
		r.fake.SetCredentials(r.fake.Key, r.fake.Secret)
		r.now.Step(6 * time.Minute)
		now = r.visit()
		r.has(now, accessv1alpha1.ConditionConnected, metav1.ConditionTrue, accessv1alpha1.ReasonAnswering, "")
	})
	t.Run("without credentials", func(t *testing.T) {
		r := newReceiverRig(t, hmac, func(_ *receiverRig, receiver *accessv1alpha1.WebhookReceiver) {
			receiver.Spec.CakewalkAPI.CredentialsSecretRef.Name = "missing"
		})
		now := r.visit()
		r.has(now, accessv1alpha1.ConditionConnected, metav1.ConditionFalse, accessv1alpha1.ReasonSecretNotFound, "missing")
	})
	t.Run("at a wrong address", func(t *testing.T) {
		r := newReceiverRig(t, hmac, func(r *receiverRig, receiver *accessv1alpha1.WebhookReceiver) {
			receiver.Spec.CakewalkAPI.URL = strings.TrimSuffix(r.fake.URL, "/v1") + "/v0"
		})
		now := r.visit()
		r.has(now, accessv1alpha1.ConditionConnected, metav1.ConditionFalse, accessv1alpha1.ReasonUnreachable, "spec.cakewalkAPI.url")
	})
}
