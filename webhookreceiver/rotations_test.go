// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	applyv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/webhookkeys"
)

// forever is a patience that no test outlasts: an answer that comes did not wait for it.
const forever = time.Hour

func newKey(tb testing.TB) *rsa.PrivateKey {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// postSigned sends a body that is signed with an RSA key to the receiver "fetching".
func (s *suite) postSigned(tb testing.TB, key *rsa.PrivateKey, body string) reply {
	tb.Helper()
	digest := sha256.Sum256([]byte(body))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		tb.Fatal(err)
	}
	return s.send(tb, http.MethodPost, s.path("fetching"), []byte(body), base64.StdEncoding.EncodeToString(signature))
}

// fetching makes the receiver "fetching", for which a key was fetched.
func (s *suite) fetching(tb testing.TB, key *rsa.PrivateKey) *accessv1alpha1.WebhookReceiver {
	tb.Helper()
	receiver := &accessv1alpha1.WebhookReceiver{ObjectMeta: objectMeta(s.namespace, "fetching")}
	receiver.Spec.Verification.RSA = &accessv1alpha1.RSAVerification{FetchFrom: "https://open-api.example.com/api/Keys"}
	receiver.Spec.CakewalkAPI = &accessv1alpha1.CakewalkAPI{CredentialsSecretRef: accessv1alpha1.SecretReference{Name: "api"}}
	if err := s.client.Create(tb.Context(), receiver); err != nil {
		tb.Fatal(err)
	}
	if err := s.fetched(tb.Context(), receiver, key, time.Now().Add(-time.Minute)); err != nil {
		tb.Fatal(err)
	}
	return receiver
}

// fetched does what the controllers do when they have fetched a key.
func (s *suite) fetched(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver, key *rsa.PrivateKey, at time.Time) error {
	if err := webhookkeys.StoreFetched(ctx, s.client, receiver, []*rsa.PublicKey{&key.PublicKey}, at); err != nil {
		return err
	}
	status := applyv1alpha1.WebhookReceiverStatus().WithFetchedKeys(applyv1alpha1.FetchedKeys().WithFetchTime(metav1.NewTime(at)))
	return s.client.Status().Apply(ctx, applyv1alpha1.WebhookReceiver(receiver.Name, receiver.Namespace).WithStatus(status), client.ForceOwnership, client.FieldOwner("access-operator"))
}

// onMismatch fetches a key once the status of a receiver asks for it. The returned function waits for that.
func (s *suite) onMismatch(tb testing.TB, receiver *accessv1alpha1.WebhookReceiver, key *rsa.PrivateKey) (wait func()) {
	tb.Helper()
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	tb.Cleanup(cancel)
	go func() {
		for {
			now := &accessv1alpha1.WebhookReceiver{}
			if err := s.client.Get(ctx, client.ObjectKeyFromObject(receiver), now); err != nil {
				done <- err
				return
			}
			if now.Status.LastMismatchTime != nil {
				done <- s.fetched(ctx, receiver, key, time.Now())
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	return func() {
		tb.Helper()
		if err := <-done; err != nil {
			tb.Fatal(err)
		}
	}
}

func TestTheFirstDeliveryAfterARotationIsTaken(t *testing.T) {
	s := start(t, nil)
	s.server.handler.rotations.patience = forever
	before, after := newKey(t), newKey(t)
	receiver := s.fetching(t, before)
	s.waitServed(t, "fetching")
	if got := s.postSigned(t, before, "["+grant(id(1), "{}")+"]"); got.code != 200 || got.answered.Stored != 1 {
		t.Fatal(got.code, got.body)
	}
	wait := s.onMismatch(t, receiver, after)
	if got := s.postSigned(t, after, "["+grant(id(2), "{}")+"]"); got.code != 200 || got.answered.Stored != 1 {
		t.Error(got.code, got.body)
	}
	wait()
	if got := s.postSigned(t, after, "["+grant(id(3), "{}")+"]"); got.code != 200 {
		t.Error(got.code, got.body)
	}
	now := &accessv1alpha1.WebhookReceiver{}
	s.get(t, "fetching", now)
	if now.Status.LastDeliveryTime == nil || now.Status.LastMismatchTime == nil {
		t.Errorf("%+v", now.Status)
	}
}

func TestAForgedDeliveryWaitsForNoMoreThanTheNextFetch(t *testing.T) {
	s := start(t, nil)
	s.server.handler.rotations.patience = forever
	key := newKey(t)
	receiver := s.fetching(t, key)
	s.waitServed(t, "fetching")
	wait := s.onMismatch(t, receiver, key)
	if got := s.postSigned(t, newKey(t), "[]"); got.code != 401 {
		t.Error(got.code, got.body)
	}
	wait()
	if len(s.server.handler.rotations.waiters) != 0 || s.server.handler.rotations.all != 0 {
		t.Error(s.server.handler.rotations.waiters)
	}
}

func TestAMismatchWithoutNewerKeysIsRefused(t *testing.T) {
	s := start(t, nil)
	s.server.handler.rotations.patience = time.Millisecond
	s.fetching(t, newKey(t))
	s.waitServed(t, "fetching")
	if got := s.postSigned(t, newKey(t), "[]"); got.code != 401 {
		t.Error(got.code, got.body)
	}
}

func TestWaitersAreBounded(t *testing.T) {
	s := start(t, nil)
	r := s.server.handler.rotations
	r.patience = forever
	s.fetching(t, newKey(t))
	s.waitServed(t, "fetching")
	key := types.NamespacedName{Namespace: s.namespace, Name: "fetching"}
	var leaves []func()
	for range maxWaitersOfReceiver {
		leave, ok := r.enter(key)
		if !ok {
			t.Fatal("no room for a waiter")
		}
		leaves = append(leaves, leave)
	}
	if got := s.postSigned(t, newKey(t), "[]"); got.code != 401 {
		t.Error(got.code, got.body)
	}
	for i := range maxWaiters - maxWaitersOfReceiver {
		if leave, ok := r.enter(types.NamespacedName{Name: fmt.Sprint(i)}); ok {
			leaves = append(leaves, leave)
		}
	}
	if _, ok := r.enter(types.NamespacedName{Name: "other"}); ok {
		t.Error("too many wait over all receivers")
	}
	for _, leave := range leaves {
		leave()
	}
	if leave, ok := r.enter(key); !ok || len(r.waiters) != 1 {
		t.Error("there is room again", r.waiters)
	} else {
		leave()
	}
}

func TestAReceiverThatFetchesNothingRefusesAtOnce(t *testing.T) {
	s := start(t, nil)
	s.server.handler.rotations.patience = forever
	s.receiver(t, "cakewalk", secret, nil)
	if got := s.post(t, "cakewalk", "wrong", "[]"); got.code != 401 {
		t.Error(got.code, got.body)
	}
	s.server.handler.status.mu.Lock()
	defer s.server.handler.status.mu.Unlock()
	if len(s.server.handler.status.pending) != 0 {
		t.Error("a mismatch is noted: ", s.server.handler.status.pending)
	}
}

func TestFetchedKeysOutliveTheServerAndARestart(t *testing.T) {
	var away atomic.Bool
	s := faulty(t, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, o ...client.GetOption) error {
		if away.Load() {
			return apierrors.NewServiceUnavailable("away")
		}
		return c.Get(ctx, key, object, o...)
	}})
	now := time.Now()
	s.server.handler.keys.now = func() time.Time { return now }
	key := newKey(t)
	s.fetching(t, key)
	if got := s.postSigned(t, key, "[]"); got.code != 200 {
		t.Fatal(got.code, got.body)
	}
	away.Store(true)
	now = now.Add(time.Hour)
	if got := s.postSigned(t, key, "[]"); got.code != 200 {
		t.Error("the last good keys:", got.code, got.body)
	}
	away.Store(false)
	// What a restart forgets.
	s.server.handler.keys.forget(types.NamespacedName{Namespace: s.namespace, Name: "fetching"})
	if got := s.postSigned(t, key, "[]"); got.code != 200 {
		t.Error("after a restart:", got.code, got.body)
	}
}

func TestMismatchesAreWrittenOnceAMinuteAndNoneIsLost(t *testing.T) {
	now := time.Date(2026, 11, 23, 7, 44, 0, 0, time.UTC)
	c := env.Client(t)
	s := &suite{client: c, namespace: env.Namespace(t)}
	writer := newStatusWriter(dependencies{live: c, writer: c, log: logr.Discard(), now: func() time.Time { return now }})
	receiver := s.fetching(t, newKey(t))
	key := client.ObjectKeyFromObject(receiver)
	status := func() accessv1alpha1.WebhookReceiverStatus {
		t.Helper()
		writer.writeAll(t.Context())
		s.get(t, "fetching", receiver)
		return receiver.Status
	}
	writer.note(key, true)
	first := status()
	writer.noteMismatch(key)
	noted := now
	if got := status(); !got.LastMismatchTime.Time.Equal(noted) || !got.LastTestTime.Equal(first.LastTestTime) ||
		!got.LastDeliveryTime.Equal(first.LastDeliveryTime) || len(got.Conditions) != 1 || got.FetchedKeys == nil {
		t.Errorf("%+v", got)
	}
	now = now.Add(statusInterval / 2)
	writer.noteMismatch(key)
	second := now
	writer.note(key, true)
	if got := status(); !got.LastMismatchTime.Time.Equal(noted) || !got.LastTestTime.Time.Equal(now) {
		t.Errorf("within the minute: %+v", got)
	}
	now = now.Add(statusInterval / 2)
	if got := status(); !got.LastMismatchTime.Time.Equal(second) || got.LastTestTime == nil || len(got.Conditions) != 1 {
		t.Errorf("after the minute: %+v", got)
	}
	now = now.Add(2 * statusInterval)
	writer.note(key, false)
	if got := status(); !got.LastMismatchTime.Time.Equal(second) || !got.LastDeliveryTime.Time.Equal(now) {
		t.Errorf("a delivery takes the mismatch away: %+v", got)
	}
}

// Two replicas write with one name, so that one that had read earlier would take away what the other wrote.
func TestReplicasDoNotTakeAwayEachOthersNotes(t *testing.T) {
	c := env.Client(t)
	s := &suite{client: c, namespace: env.Namespace(t)}
	receiver := s.fetching(t, newKey(t))
	key := client.ObjectKeyFromObject(receiver)
	other := newStatusWriter(dependencies{live: c, writer: c, log: logr.Discard(), now: time.Now})
	var raced atomic.Bool
	racing := interceptor.NewClient(c, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, k client.ObjectKey, object client.Object, o ...client.GetOption) error {
		err := c.Get(ctx, k, object, o...)
		if err == nil && raced.CompareAndSwap(false, true) {
			other.noteMismatch(key)
			other.writeAll(ctx)
		}
		return err
	}})
	writer := newStatusWriter(dependencies{live: racing, writer: c, log: logr.Discard(), now: time.Now})
	writer.note(key, true)
	writer.writeAll(t.Context())
	s.get(t, "fetching", receiver)
	if receiver.Status.LastMismatchTime == nil || receiver.Status.LastTestTime == nil {
		t.Errorf("%+v", receiver.Status)
	}
}
