// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http/httptest"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
)

// tenant is a Cakewalk that knows every task that is announced, and is asked and told about them.
type tenant struct {
	*cakewalktest.Fake

	server *httptest.Server
}

func startTenant() *tenant {
	t := &tenant{Fake: cakewalktest.New(cakewalktest.Options{})}
	t.server = httptest.NewServer(t.Fake)
	t.ServedAt(t.server.URL)
	return t
}

func (t *tenant) close() { t.server.Close() }

// asked is how many requests came until now. A nil tenant got none.
func (t *tenant) asked() int {
	if t == nil {
		return 0
	}
	return len(t.Requests())
}

// know makes the tasks of deliveries known.
func (t *tenant) know(deliveries []delivery) error {
	for _, d := range deliveries {
		if _, err := t.AddEvents(d.body); err != nil {
			return err
		}
	}
	return nil
}

// askTenant gives the namespace's receiver a Cakewalk that is asked before a change, and told after it.
func (o *operating) askTenant(ctx context.Context) error {
	o.tenant = startTenant()
	credentials := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "api", Namespace: o.namespace},
		StringData: map[string]string{"apiKey": o.tenant.Key, "apiSecret": o.tenant.Secret},
	}
	if err := o.Create(ctx, credentials); err != nil {
		return fmt.Errorf("creating %T: %w", credentials, err)
	}
	receiver := &accessv1alpha1.WebhookReceiver{}
	if err := o.Get(ctx, client.ObjectKey{Namespace: o.namespace, Name: receiverHMAC}, receiver); err != nil {
		return err
	}
	receiver.Spec.CakewalkAPI = &accessv1alpha1.CakewalkAPI{URL: o.tenant.URL, CredentialsSecretRef: accessv1alpha1.SecretReference{Name: credentials.Name}}
	return o.Update(ctx, receiver)
}

// reported counts tasks that Cakewalk was told of, and those that failed, of which it is not.
func reported(task *accessv1alpha1.AccessTask) bool {
	return meta.IsStatusConditionTrue(task.Status.Conditions, accessv1alpha1.ConditionReported) ||
		meta.IsStatusConditionFalse(task.Status.Conditions, accessv1alpha1.ConditionSucceeded)
}
