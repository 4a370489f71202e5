// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package e2e

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
)

// askedReceiver makes a receiver "asked" of a Cakewalk that is asked and told, and whose keys are fetched.
func (r *rig) askedReceiver() *cakewalktest.Fake {
	r.t.Helper()
	fake := cakewalktest.Start(r.t, cakewalktest.Options{})
	r.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "api"}, StringData: map[string]string{"apiKey": fake.Key, "apiSecret": fake.Secret}})
	r.create(&accessv1alpha1.WebhookReceiver{
		ObjectMeta: metav1.ObjectMeta{Name: "asked"},
		Spec: accessv1alpha1.WebhookReceiverSpec{
			Verification: accessv1alpha1.WebhookVerification{RSA: &accessv1alpha1.RSAVerification{FetchFrom: fake.KeysURL}},
			CakewalkAPI:  &accessv1alpha1.CakewalkAPI{URL: fake.URL, CredentialsSecretRef: accessv1alpha1.SecretReference{Name: "api"}},
			Backfill:     &accessv1alpha1.Backfill{UserIDs: []string{fake.AddUser(cakewalk.User{Email: "it@example.com"})}},
		},
	})
	return fake
}

// grant adds a task to a Cakewalk: access to Slack.
func (r *rig) grant(fake *cakewalktest.Fake) string {
	return fake.AddTask(cakewalktest.Task{Request: &cakewalktest.Request{
		TargetUser: &cakewalk.User{Email: uuid.NewString() + "@example.com"},
		WorkApp:    &cakewalk.NamedObject{Name: "Slack"},
	}})
}

// serving waits until a receiver takes deliveries.
func (r *rig) serving(receiver string) {
	r.t.Helper()
	r.eventually("the receiver has keys", func() error {
		w := &accessv1alpha1.WebhookReceiver{}
		if err := r.Get(r.t.Context(), client.ObjectKey{Namespace: r.namespace, Name: receiver}, w); err != nil {
			return err
		}
		if ready := meta.FindStatusCondition(w.Status.Conditions, accessv1alpha1.ConditionReady); ready == nil || ready.Status != metav1.ConditionTrue {
			return fmt.Errorf("it is %+v", ready)
		}
		return nil
	})
}

// announce delivers a task of a Cakewalk to the receiver "asked".
func (r *rig) announce(fake *cakewalktest.Fake, id string) {
	r.t.Helper()
	body := fake.Body(id)
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+"/webhooks/"+r.namespace+"/asked", bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("X-SIGNATURE", fake.Sign(body))
	res, err := r.sender.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		r.t.Fatal(res.Status, readAll(r.t, res.Body))
	}
}
