// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
	"getcakewalk.io/access-operator/internal/webhookkeys"
)

// A create by server-side apply is authorised with the object's name, unlike one by POST. So the right to make one Secret
// needs no right to make others.
func TestTheRightToStoreKeysIsThatToOneSecret(t *testing.T) {
	t.Parallel()
	admin, namespace := env.Client(t), env.Namespace(t)
	patch := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"patch"}, ResourceNames: []string{webhookkeys.FetchedSecret}}
	rule := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"create", "patch"}, ResourceNames: []string{webhookkeys.FetchedSecret}}
	for _, o := range []client.Object{
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "controllers"}},
		&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "keys"}, Rules: []rbacv1.PolicyRule{patch}},
		&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "keys"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "keys"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "controllers"}},
		},
	} {
		if err := admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	env.Eventually(t, func() error { return env.MayNow(t, namespace, "controllers", patch) })
	config := rest.CopyConfig(env.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + namespace + ":controllers"}
	c, err := client.New(config, client.Options{Scheme: env.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	fake := cakewalktest.New(cakewalktest.Options{})
	receiver := &accessv1alpha1.WebhookReceiver{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "cakewalk", UID: "1"}}
	receiver.Spec.Verification.RSA = &accessv1alpha1.RSAVerification{FetchFrom: "https://example.com"}
	store := func() error {
		return webhookkeys.StoreFetched(t.Context(), c, receiver, fake.PublicKeys(), metav1.Now().Time)
	}
	if err := store(); !apierrors.IsForbidden(err) {
		t.Error("the right to patch is enough to create: ", err)
	}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "keys"}, Rules: []rbacv1.PolicyRule{rule}}
	if err := admin.Update(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	env.Eventually(t, func() error { return env.MayNow(t, namespace, "controllers", rule) })
	for _, what := range []string{"created", "changed"} {
		if err := store(); err != nil {
			t.Errorf("the Secret is not %s: %v", what, err)
		}
	}
	other := applycorev1.Secret("other", namespace).WithData(map[string][]byte{"a": []byte("b")})
	if err := c.Apply(t.Context(), other, client.FieldOwner("x")); !apierrors.IsForbidden(err) {
		t.Error("another Secret is created: ", err)
	}
	posted := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: webhookkeys.FetchedSecret}}
	if err := c.Create(t.Context(), posted); !apierrors.IsForbidden(err) {
		t.Error("a Secret is posted: ", err)
	}
}
