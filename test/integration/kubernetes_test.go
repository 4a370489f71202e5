// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/kubernetes"
	"getcakewalk.io/access-operator/internal/provisioning/provisioningtest"
)

const (
	team   = "team-a"
	binder = "binder"
)

// cluster is a second API server, judged by an administrator's client.
type cluster struct {
	admin   clientset.Interface
	config  *rest.Config
	proxy   *provisioningtest.HTTPProxy
	secrets []string
	bound   string // the Secret that the token in force is bound to
	kind    string // what subjects are
}

var _ provisioningtest.Target = (*cluster)(nil)

// startCluster starts an API server of its own and gives a service account what docs/backends/kubernetes.md says.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	e := &envtest.Environment{}
	config, err := e.Start()
	if err != nil {
		t.Fatal("starting etcd and kube-apiserver, which these tests need (KUBEBUILDER_ASSETS; make test-integration sets it): ", err)
	}
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
	})
	config.QPS = -1
	admin, err := clientset.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{admin: admin, config: config, kind: rbacv1.UserKind}
	c.proxy = provisioningtest.NewHTTPProxy(t, config.Host)
	if c.proxy.Transport, err = rest.TransportFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CAData: config.CAData}}); err != nil {
		t.Fatal(err)
	}
	c.proxy.Kind = func(r *http.Request) provisioningtest.Request {
		if r.Method == http.MethodGet || strings.HasSuffix(r.URL.Path, "selfsubjectreviews") {
			return provisioningtest.Read
		}
		return provisioningtest.Write
	}
	for _, ns := range []string{team} {
		_, err := admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{})
		must(t, err)
	}
	_, err = admin.CoreV1().ServiceAccounts(team).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: binder}}, metav1.CreateOptions{})
	must(t, err)
	c.allow(t, "bindings", rbacv1.PolicyRule{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"rolebindings", "clusterrolebindings"}, Verbs: []string{"get", "list", "create", "update", "delete"}})
	c.allow(t, "roles", rbacv1.PolicyRule{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles", "clusterroles"}, Verbs: []string{"get", "bind"}})
	c.newToken(t)
	return c
}

// allow gives the backend's service account a right everywhere.
func (c *cluster) allow(tb testing.TB, name string, rule rbacv1.PolicyRule) {
	tb.Helper()
	_, err := c.admin.RbacV1().ClusterRoles().Create(tb.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{rule}}, metav1.CreateOptions{})
	must(tb, err)
	_, err = c.admin.RbacV1().ClusterRoleBindings().Create(tb.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: team, Name: binder}},
	}, metav1.CreateOptions{})
	must(tb, err)
}

// newToken makes a token that ends with a Secret.
func (c *cluster) newToken(tb testing.TB) {
	tb.Helper()
	c.bound = fmt.Sprintf("token-%d", len(c.secrets))
	s, err := c.admin.CoreV1().Secrets(team).Create(tb.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: c.bound}}, metav1.CreateOptions{})
	must(tb, err)
	token, err := c.admin.CoreV1().ServiceAccounts(team).CreateToken(tb.Context(), binder, &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Secret", Name: s.Name, UID: s.UID},
	}}, metav1.CreateOptions{})
	must(tb, err)
	c.secrets = append(c.secrets, token.Status.Token)
}

func TestKubernetesConformance(t *testing.T) {
	for _, kind := range []string{rbacv1.UserKind, rbacv1.GroupKind} {
		t.Run(kind, func(t *testing.T) {
			c := startCluster(t)
			c.kind = kind
			provisioningtest.RunConformance(t, c)
		})
	}
}

func (c *cluster) Traits() provisioningtest.Traits {
	return provisioningtest.Traits{
		Entitlement: func(word string) string {
			switch {
			case strings.HasPrefix(word, "viewers"):
				return "ClusterRole/" + word
			case strings.HasPrefix(word, "editors"):
				return "Role/" + team + "/" + word
			default:
				return "ClusterRole/" + team + "/" + word
			}
		},
		NoAccounts: true, CaseSensitive: true,
		OddSubjects:     []string{"o'neil \"x\"", "system:masters\n", "ä😀", "a/b%2f", "*"},
		OddEntitlements: []string{"system:odd", "R&D 100", "ünï😀", "a?b#c", "+"},
		Faults: []provisioningtest.Fault{
			provisioningtest.Busy, provisioningtest.BusyForSeconds, provisioningtest.Fail, provisioningtest.FailAfter,
			provisioningtest.Refuse, provisioningtest.Swallow, provisioningtest.Hang,
		},
		Inherit: func(tb testing.TB, subject, entitlement string) string {
			must(tb, c.bind(tb.Context(), metav1.ObjectMeta{Name: "by-hand"}, entitlement, subject))
			return "by-hand"
		},
		Secrets:     func() []string { return c.secrets },
		WrongSecret: func(tb testing.TB) provisioning.Backend { return c.backend(tb, c.proxy.URL, "wrong") },
		Nowhere:     func(tb testing.TB) provisioning.Backend { return c.backend(tb, "http://127.0.0.1:1", "x") },
	}
}

func (c *cluster) Backend(tb testing.TB) provisioning.Backend {
	return c.backend(tb, c.proxy.URL, c.secrets[len(c.secrets)-1])
}

func (c *cluster) backend(tb testing.TB, url, token string) *kubernetes.Backend {
	b, err := kubernetes.New(kubernetes.Options{Config: &rest.Config{Host: url, BearerToken: token}, SubjectKind: c.kind, Timeout: 3 * time.Second})
	must(tb, err)
	tb.Cleanup(b.Close)
	return b
}

func (c *cluster) Proxy() provisioningtest.Proxy { return c.proxy }

func (*cluster) AddAccounts(testing.TB, ...string) {}

func (*cluster) Account(testing.TB, string) provisioning.AccountState {
	return provisioning.AccountActive
}

// split reads an entitlement: kind, namespace, name.
func splitRole(entitlement string) (kind, namespace, name string) {
	parts := strings.Split(entitlement, "/")
	if len(parts) == 2 {
		return parts[0], "", parts[1]
	}
	return parts[0], parts[1], parts[2]
}

// AddEntitlement makes the role, and bindings as an operator that ran before has left them.
func (c *cluster) AddEntitlement(tb testing.TB, entitlement string, holders ...string) {
	tb.Helper()
	kind, namespace, name := splitRole(entitlement)
	rbac := c.admin.RbacV1()
	rules := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}}}
	var err error
	if kind == "Role" {
		_, err = rbac.Roles(namespace).Create(tb.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{})
	} else {
		_, err = rbac.ClusterRoles().Create(tb.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{})
	}
	must(tb, err)
	limit := make(chan struct{}, 32)
	var all sync.WaitGroup
	for _, h := range holders {
		limit <- struct{}{}
		all.Go(func() {
			defer func() { <-limit }()
			meta := metav1.ObjectMeta{Name: kubernetes.BindingName(c.kind, h, entitlement), Labels: map[string]string{"app.kubernetes.io/managed-by": "access-operator"}}
			if err := c.bind(tb.Context(), meta, entitlement, h); err != nil {
				tb.Error(err)
			}
		})
	}
	all.Wait()
}

// bind makes a binding.
func (c *cluster) bind(ctx context.Context, meta metav1.ObjectMeta, entitlement string, users ...string) error {
	kind, namespace, name := splitRole(entitlement)
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
	var subjects []rbacv1.Subject
	for _, u := range users {
		subjects = append(subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: c.kind, Name: u})
	}
	var err error
	if namespace == "" {
		_, err = c.admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}, metav1.CreateOptions{})
	} else {
		_, err = c.admin.RbacV1().RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}, metav1.CreateOptions{})
	}
	return err
}

func (c *cluster) Holders(tb testing.TB, entitlement string) []string {
	tb.Helper()
	kind, namespace, name := splitRole(entitlement)
	var holders []string
	add := func(ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
		if ref.Kind == kind && ref.Name == name {
			for _, s := range subjects {
				holders = append(holders, s.Name)
			}
		}
	}
	if namespace == "" {
		list, err := c.admin.RbacV1().ClusterRoleBindings().List(tb.Context(), metav1.ListOptions{})
		must(tb, err)
		for _, b := range list.Items {
			add(b.RoleRef, b.Subjects)
		}
		return holders
	}
	list, err := c.admin.RbacV1().RoleBindings(namespace).List(tb.Context(), metav1.ListOptions{})
	must(tb, err)
	for _, b := range list.Items {
		add(b.RoleRef, b.Subjects)
	}
	return holders
}

// Rotate deletes the Secret that the token is bound to, and waits until the API server forgets that it took it.
func (c *cluster) Rotate(tb testing.TB) {
	tb.Helper()
	old := c.secrets[len(c.secrets)-1]
	must(tb, c.admin.CoreV1().Secrets(team).Delete(tb.Context(), c.bound, metav1.DeleteOptions{}))
	client, err := clientset.NewForConfig(&rest.Config{Host: c.config.Host, BearerToken: old, TLSClientConfig: rest.TLSClientConfig{CAData: c.config.CAData}})
	must(tb, err)
	for range 600 {
		_, err := client.AuthenticationV1().SelfSubjectReviews().Create(tb.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if apierrors.IsUnauthorized(err) {
			c.newToken(tb)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	tb.Fatal("the API server still takes the old token")
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func TestKubernetesLeavesForeignBindings(t *testing.T) {
	c := startCluster(t)
	role := "Role/" + team + "/dev"
	c.AddEntitlement(t, role)
	must(t, c.bind(t.Context(), metav1.ObjectMeta{Name: "by-hand"}, role, ann))
	e := &provisioning.Engine{Backend: c.Backend(t)}
	goal := func(kind provisioning.Kind) provisioning.Goal {
		return provisioning.Goal{Kind: kind, Levels: [][]string{{role}}}
	}
	intend := func(context.Context, provisioning.Intent) error { return nil }

	out, err := e.Provision(t.Context(), provisioning.Subject{ID: ann}, goal(provisioning.Grant), intend)
	if err != nil || len(out.Results) != 1 {
		t.Errorf("a grant of what another binding gives too: %v %v", out.Results, err)
	}
	_, err = e.Provision(t.Context(), provisioning.Subject{ID: ann}, goal(provisioning.Remove), intend)
	if provisioning.Word(err) != "permanent" || !strings.Contains(err.Error(), "team-a/by-hand") {
		t.Errorf("a removal of what another binding gives: %v", err)
	}
	if got := c.Holders(t, role); !slices.Equal(got, []string{ann}) {
		t.Errorf("holders %v", got)
	}

	// A binding of the operator's that somebody has put another into.
	shared := kubernetes.BindingName(rbacv1.UserKind, bob, role)
	must(t, c.bind(t.Context(), metav1.ObjectMeta{Name: shared, Labels: map[string]string{"app.kubernetes.io/managed-by": "access-operator"}}, role, bob, cyd))
	if _, err := e.Provision(t.Context(), provisioning.Subject{ID: bob}, goal(provisioning.Remove), intend); err != nil {
		t.Error(err)
	}
	if got := c.Holders(t, role); !slices.Contains(got, cyd) || slices.Contains(got, bob) {
		t.Errorf("holders %v", got)
	}
	if _, err := e.Provision(t.Context(), provisioning.Subject{ID: bob}, goal(provisioning.Grant), intend); err != nil {
		t.Error(err)
	}
	if got := c.Holders(t, role); !slices.Contains(got, cyd) || !slices.Contains(got, bob) {
		t.Errorf("holders %v", got)
	}
}

func TestKubernetesSaysWhichRightIsMissing(t *testing.T) {
	c := startCluster(t)
	role := "ClusterRole/strong"
	c.AddEntitlement(t, role)
	// It holds no pods itself, and may not bind.
	roles, err := c.admin.RbacV1().ClusterRoles().Get(t.Context(), "roles", metav1.GetOptions{})
	must(t, err)
	roles.Rules[0].Verbs = []string{"get"}
	_, err = c.admin.RbacV1().ClusterRoles().Update(t.Context(), roles, metav1.UpdateOptions{})
	must(t, err)
	e := &provisioning.Engine{Backend: c.Backend(t)}
	goal := provisioning.Goal{Kind: provisioning.Grant, Levels: [][]string{{role}}}
	for range 100 {
		_, err = e.Provision(t.Context(), provisioning.Subject{ID: ann}, goal, func(context.Context, provisioning.Intent) error { return nil })
		if err != nil {
			break
		}
		// The authorizer hears of the change a moment later.
		time.Sleep(100 * time.Millisecond)
		must(t, c.admin.RbacV1().ClusterRoleBindings().Delete(t.Context(), kubernetes.BindingName(rbacv1.UserKind, ann, role), metav1.DeleteOptions{}))
	}
	if provisioning.Word(err) != "permanent" || !strings.Contains(err.Error(), "the verb bind") {
		t.Errorf("%v", err)
	}
}
