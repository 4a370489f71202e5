// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// always has the role, and answers every request for its bindings alike.
type always struct {
	status int
	body   []byte
	asked  int
}

func (a *always) RoundTrip(req *http.Request) (*http.Response, error) {
	a.asked++
	if strings.Contains(req.URL.Path, "/roles/") {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: req, Body: io.NopCloser(strings.NewReader(`{"kind":"Role"}`))}, nil
	}
	return &http.Response{
		StatusCode: a.status, Header: http.Header{"Content-Type": {"application/json"}}, Request: req,
		Body: io.NopCloser(bytes.NewReader(a.body)),
	}, nil
}

// FuzzAnswers holds what is concluded from an API server's answer against what the answer says.
func FuzzAnswers(f *testing.F) {
	const entitlement = "Role/prod/admin"
	for status, body := range map[int]string{
		200: `{"kind":"RoleBindingList","items":[{"metadata":{"name":"access-operator-1","labels":{"app.kubernetes.io/managed-by":"access-operator"}},` +
			`"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"admin"},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"ann"}]}]}`,
		201: `{"kind":"RoleBindingList","metadata":{"continue":"x"},"items":[{}]}`,
		203: `{"ok":true}`,
		403: `{"kind":"Status","message":"no","code":403}`,
		404: `<html>`,
		429: `{"kind":"Status","status":"Failure","code":429,"details":{"retryAfterSeconds":-5}}`,
		500: ``,
	} {
		f.Add(status, []byte(body))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 200 || status > 599 {
			return
		}
		server := &always{status: status, body: body}
		b, err := New(Options{Config: &rest.Config{Host: "http://api.example", Transport: server}, SubjectKind: rbacv1.UserKind, Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		seen, err := b.Observe(t.Context(), provisioning.Subject{ID: "ann"}, []string{entitlement})
		if server.asked > maxPages+1 {
			t.Errorf("%d requests", server.asked)
		}
		if err != nil {
			return
		}
		var list rbacv1.RoleBindingList
		if status >= 300 || json.Unmarshal(body, &list) != nil || list.Kind != "RoleBindingList" {
			t.Errorf("%d %q was taken for %+v", status, body, seen)
		}
	})
}

func FuzzParseRole(f *testing.F) {
	for _, seed := range []string{"ClusterRole/view", "ClusterRole/prod/view", "Role/prod/admin", "Role//x", "Role/../x", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := parseRole(text); err == nil && r.String() != text {
			t.Errorf("%q is read as %q", text, r)
		}
	})
}
