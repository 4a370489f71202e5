// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// target is a target system that knows who is in which group.
type target struct {
	server  *httptest.Server
	members sync.Map
	// delay is how long every request waits, in nanoseconds.
	delay atomic.Int64
	// hangs tells that requests about members are not answered until it is false.
	hangs atomic.Bool
	// full tells that everybody is in every group.
	full atomic.Bool
	// requests counts those about members.
	requests atomic.Int64
	// ended has the requests end that hang.
	ended chan struct{}
}

func startTarget(delay time.Duration) *target {
	t := &target{ended: make(chan struct{})}
	t.delay.Store(int64(delay))
	routes := http.NewServeMux()
	routes.HandleFunc("GET /alive", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	routes.HandleFunc("GET /groups/{group}/members/{user}", t.member(func(w http.ResponseWriter, name string) {
		if _, ok := t.members.Load(name); !ok && !t.full.Load() {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"id":"member"}`))
	}))
	routes.HandleFunc("PUT /groups/{group}/members/{user}", t.member(func(w http.ResponseWriter, name string) {
		t.members.Store(name, true)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.server = httptest.NewServer(routes)
	return t
}

// member answers a request about a member of a group.
func (t *target) member(answer func(w http.ResponseWriter, name string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		t.requests.Add(1)
		for t.hangs.Load() {
			select {
			case <-t.ended:
				return
			case <-r.Context().Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
		if delay := time.Duration(t.delay.Load()); delay > 0 {
			time.Sleep(delay)
		}
		answer(w, r.PathValue("group")+"/"+r.PathValue("user"))
	}
}

// goOn has the target answer again, also what it was asked meanwhile.
func (t *target) goOn() { t.hangs.Store(false) }

func (t *target) close() {
	close(t.ended)
	t.server.Close()
}

// connect makes a Connector of an application to a target, as many tasks at a time as a Connector allows.
func (p *plane) connect(ctx context.Context, namespace, app string, t *target) error {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: app, Namespace: namespace}, StringData: map[string]string{"token": "token"}}
	if err := p.Create(ctx, secret); err != nil {
		return err
	}
	member := accessv1alpha1.HTTPRequest{Method: http.MethodGet, Path: "/groups/{entitlement}/members/{user.id}"}
	c := &accessv1alpha1.Connector{
		ObjectMeta: metav1.ObjectMeta{Name: app, Namespace: namespace},
		Spec: accessv1alpha1.ConnectorSpec{
			Match:            accessv1alpha1.ConnectorMatch{WorkApps: []accessv1alpha1.WorkAppMatch{{Name: app}}},
			PermissionLevels: []accessv1alpha1.PermissionLevelMapping{{Name: "Editor", Entitlements: []string{"editors"}}},
			Limits:           accessv1alpha1.ConnectorLimits{RequestsPerSecond: 10000, Burst: 10000, MaxConcurrent: 32},
			HTTP: &accessv1alpha1.HTTPBackend{
				BaseURL: t.server.URL,
				Authentication: accessv1alpha1.HTTPAuthentication{Bearer: &accessv1alpha1.BearerAuthentication{
					TokenSecretRef: accessv1alpha1.SecretKeyReference{Name: app, Key: "token"},
				}},
				Operations: accessv1alpha1.HTTPOperations{
					Check: &accessv1alpha1.HTTPRequest{Method: http.MethodGet, Path: "/alive"},
					Observe: accessv1alpha1.HTTPObserve{Membership: &accessv1alpha1.HTTPMemberLookup{HTTPLookup: accessv1alpha1.HTTPLookup{
						HTTPRequest: member, ID: "user.id",
					}}},
					AddEntitlement: []accessv1alpha1.HTTPRequest{{Method: http.MethodPut, Path: member.Path}},
				},
			},
		},
	}
	if err := p.Create(ctx, c); err != nil {
		return err
	}
	return nil
}
