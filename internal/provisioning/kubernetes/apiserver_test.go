// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// What a proxy answers in place of the API server says nothing about who has access.
func TestWhatIsNoListIsNotAnEmptyOne(t *testing.T) {
	for body, want := range map[string]string{
		`{"kind":"RoleBindingList","items":[]}`: "ok",
		`{"ok":true}`:                           "unavailable",
		`{"kind":"Status","status":"Success"}`:  "unavailable",
		`null`:                                  "unavailable",
		`<html>`:                                "unavailable",
	} {
		b, err := New(Options{Config: &rest.Config{Host: "http://api.example", Transport: &always{status: 200, body: []byte(body)}}, SubjectKind: rbacv1.UserKind, Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if seen, err := b.Observe(t.Context(), provisioning.Subject{ID: "ann"}, []string{"Role/prod/admin"}); provisioning.Word(err) != want {
			t.Errorf("%s: %+v, %v, want %s", body, seen, err, want)
		}
	}
}
