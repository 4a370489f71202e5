// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
)

// store is an API server that holds Secrets and can be away.
type store struct {
	client.Reader

	mu      sync.Mutex
	secrets map[string]*corev1.Secret
	away    bool
	reads   int
	version int
}

func (s *store) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.away {
		return errors.New("the API server is away")
	}
	secret, ok := s.secrets[key.String()]
	to, is := into.(*corev1.Secret)
	if !ok || !is {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, key.Name)
	}
	secret.DeepCopyInto(to)
	return nil
}

func (s *store) put(name string, data map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "tenant", Name: name, UID: types.UID(name), ResourceVersion: strconv.Itoa(s.version)},
		Data:       map[string][]byte{},
	}
	for key, value := range data {
		secret.Data[key] = []byte(value)
	}
	s.secrets["tenant/"+name] = secret
}

func (s *store) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.secrets, "tenant/"+name)
}

// world is a fake Cakewalk, Clients, and a receiver with good credentials; its clock stands still until it is moved.
type world struct {
	*testing.T
	fake     *cakewalktest.Fake
	store    *store
	registry *prometheus.Registry
	clients  *Clients
	receiver *accessv1alpha1.WebhookReceiver
	now      time.Time
	task     string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, fake: cakewalktest.Start(t, cakewalktest.Options{}), store: &store{secrets: map[string]*corev1.Secret{}}, registry: prometheus.NewRegistry(), now: time.Now()}
	var err error
	if w.clients, err = NewClients(w.store, w.registry, func() time.Time { return w.now }); err != nil {
		t.Fatal(err)
	}
	w.receiver = &accessv1alpha1.WebhookReceiver{
		ObjectMeta: metav1.ObjectMeta{Namespace: "tenant", Name: "cakewalk", UID: "1", Generation: 1},
		Spec: accessv1alpha1.WebhookReceiverSpec{CakewalkAPI: &accessv1alpha1.CakewalkAPI{
			URL: w.fake.URL, CredentialsSecretRef: accessv1alpha1.SecretReference{Name: "api"},
		}},
	}
	w.store.put("api", map[string]string{"apiKey": " " + w.fake.Key + "\n", "apiSecret": w.fake.Secret + "\r\n"})
	w.task = w.fake.AddTask(cakewalktest.Task{})
	return w
}

func (w *world) client() *cakewalk.Client {
	w.Helper()
	c, err := w.clients.Client(w.Context(), w.receiver)
	if err != nil {
		w.Fatal(err)
	}
	return c
}

// read reads a task with the client as it is now.
func (w *world) read() error {
	w.Helper()
	_, err := w.client().Task(w.Context(), w.task)
	return err
}

func (w *world) wantCondition(status, reason string, words ...string) {
	w.Helper()
	gotStatus, gotReason, message, at, ok := w.clients.Condition(client.ObjectKeyFromObject(w.receiver))
	if !ok || gotStatus != status || gotReason != reason || !at.Equal(w.now) {
		w.Errorf("got %t %s %s %q at %s, want %s %s", ok, gotStatus, gotReason, message, at, status, reason)
	}
	for _, word := range words {
		if !strings.Contains(message, word) {
			w.Errorf("%q does not hold %q", message, word)
		}
	}
	for _, secret := range []string{w.fake.Key, w.fake.Secret} {
		if strings.Contains(message, secret) {
			w.Errorf("%q holds a secret", message)
		}
	}
}
