// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/job"
)

const kubeconfig = `{"current-context":"x","contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}],
"clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"%s}}],"users":[{"name":"u","user":{"token":"s3cr3t-token"%s}}]}`

// fromYAML is a Connector of a backend's YAML.
func fromYAML(t *testing.T, namespace, text string) *accessv1alpha1.Connector {
	t.Helper()
	c := newConnector(namespace, accessv1alpha1.SCIMBackend{})
	c.Spec.SCIM = nil
	if err := yaml.UnmarshalStrict([]byte(text), &c.Spec); err != nil {
		t.Fatal(err)
	}
	return c
}

// What is wrong with a Connector is said on it, with the field, and without the secret.
func TestMistakesAreNamed(t *testing.T) {
	c, namespace := env.Client(t), env.Namespace(t)
	signing := "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "s"}, StringData: map[string]string{
		"junk": "s3cr3t-junk: {", "short": "whsec_AAAA", "signing": signing, "username": "u", "password": "s3cr3t-password",
		"exec": fmt.Sprintf(kubeconfig, "", `,"exec":{"apiVersion":"client.authentication.k8s.io/v1","command":"/bin/sh"}`),
		"file": fmt.Sprintf(kubeconfig, "", `,"tokenFile":"/var/run/secrets/kubernetes.io/serviceaccount/token"`),
		"ca":   fmt.Sprintf(kubeconfig, `,"certificate-authority":"/etc/passwd"`, ""),
		"skip": fmt.Sprintf(kubeconfig, `,"insecure-skip-tls-verify":true`, ""),
		"http": strings.Replace(fmt.Sprintf(kubeconfig, "", ""), "https://127.0.0.1:1", "http://example.com", 1),
		"none": `{"current-context":"y"}`,
		"good": fmt.Sprintf(kubeconfig, "", ""),
	}}
	if err := c.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	kubernetes := func(key string) string {
		return "kubernetes: {requestTimeoutSeconds: 1, kubeconfigSecretRef: {name: s, key: " + key + "}}"
	}
	pod := func(text string) string { return "job: {serviceAccountName: default, template: " + text + "}" }
	tests := map[string]struct {
		spec string
		want []string
	}{
		"a kubeconfig that runs a program":       {kubernetes("exec"), []string{"kubernetes.kubeconfigSecretRef", `key "exec"`, "uses exec", "in the kubeconfig itself"}},
		"a kubeconfig that reads a file":         {kubernetes("file"), []string{"uses tokenFile"}},
		"a kubeconfig that reads an authority":   {kubernetes("ca"), []string{"uses certificate-authority"}},
		"a kubeconfig that verifies nothing":     {kubernetes("skip"), []string{"insecure-skip-tls-verify"}},
		"a kubeconfig without https":             {kubernetes("http"), []string{"without https"}},
		"a kubeconfig without a context":         {kubernetes("none"), []string{"current-context"}},
		"no kubeconfig":                          {kubernetes("junk"), []string{"is not a kubeconfig"}},
		"a kubeconfig that is not there":         {kubernetes("nowhere"), []string{`has no key "nowhere"`}},
		"a server that does not listen":          {kubernetes("good"), []string{"did not answer", "connection refused"}},
		"a signing secret that is none":          {"webhook: {url: 'https://example.com', secretRefs: [{name: s, key: signing}, {name: s, key: password}]}", []string{"webhook.secretRefs[1]", `key "password"`, "must begin with whsec_"}},
		"a signing secret that is short":         {"webhook: {url: 'https://example.com', secretRefs: [{name: s, key: short}]}", []string{"webhook.secretRefs[0]", "24 to 64 bytes"}},
		"a template without containers":          {pod("{spec: {}}"), []string{"job.template", "spec.containers", "at least one"}},
		"a template with a misspelt field":       {pod("{spec: {containrs: []}}"), []string{"job.template", `unknown field "spec.containrs"`}},
		"a template with another restart policy": {pod("{spec: {restartPolicy: OnFailure, containers: [{name: a, image: b}]}}"), []string{"spec.restartPolicy", "must be Never"}},
		"a template with another service account": {
			pod("{spec: {serviceAccountName: admin, containers: [{name: a, image: b}]}}"), []string{"spec.serviceAccountName", "must be left out"},
		},
		"a template that sets a variable of ours": {
			pod("{spec: {containers: [{name: a, image: b, env: [{name: ACCESS_TASK_ID, value: x}]}]}}"), []string{"spec.containers[0].env", "set by the operator"},
		},
		"a database without credentials": {"postgresql: {host: localhost, secretRef: {name: none}}", []string{"postgresql.secretRef", `secret "none" does not exist`}},
		"a database that does not listen": {
			"postgresql: {host: 127.0.0.1, port: 1, database: postgres, requestTimeoutSeconds: 1, secretRef: {name: s}}", []string{"cannot be reached"},
		},
		"a MySQL server that does not listen": {
			"mysql: {host: 127.0.0.1, port: 1, requestTimeoutSeconds: 1, secretRef: {name: s}}", []string{"cannot be reached"},
		},
		"a directory that does not listen": {
			"ldap: {url: 'ldap://127.0.0.1:1', bindDN: x, passwordSecretRef: {name: s, key: password}, requestTimeoutSeconds: 1, users: {baseDN: x, filter: '(a={subject})'}}", []string{"cannot be reached"},
		},
		"a directory without a password": {
			"ldap: {url: 'ldap://127.0.0.1:1', bindDN: x, passwordSecretRef: {name: s, key: nowhere}, users: {baseDN: x, filter: '(a={subject})'}}", []string{"ldap.passwordSecretRef", `no key "nowhere"`},
		},
		"a filter that is not closed": {
			"ldap: {url: 'ldap://127.0.0.1:1', bindDN: x, passwordSecretRef: {name: s, key: password}, users: {baseDN: x, filter: '((a={subject})'}}", []string{"ldap.users.filter", "is no LDAP filter"},
		},
		"a filter of groups that is not closed": {
			"ldap: {url: 'ldap://127.0.0.1:1', bindDN: x, passwordSecretRef: {name: s, key: password}, users: {baseDN: x, filter: '(a={subject})'}, groups: {filter: '((a=b)'}}", []string{"ldap.groups.filter", "is no LDAP filter"},
		},
		"an authority of a database that is none": {
			"mysql: {host: localhost, secretRef: {name: s}, tls: {certificateAuthority: {secretRef: {name: s, key: junk}}}}", []string{"mysql.tls.certificateAuthority", "no certificate in PEM"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := NewResolver(c, env.Config, prometheus.NewRegistry())
			if err != nil {
				t.Fatal(err)
			}
			engine, err := r.Engine(t.Context(), fromYAML(t, namespace, tc.spec))
			if err == nil {
				err = engine.Check(t.Context())
			}
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v: does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v", err)
			}
		})
	}
}

// In its own cluster the operator acts as the service account, and can do what that can and no more.
func TestKubernetesActsAsTheServiceAccount(t *testing.T) {
	c, namespace := env.Client(t), env.Namespace(t)
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "dev"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}}}}
	if err := c.Create(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	r, err := NewResolver(c, env.Config, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	engine, err := r.Engine(t.Context(), fromYAML(t, namespace, "kubernetes: {serviceAccountName: binder, subjectKind: User, requestTimeoutSeconds: 10}"))
	if err != nil {
		t.Fatal(err)
	}
	grant := func() error {
		_, err := engine.Provision(t.Context(), provisioning.Subject{ID: "ann"}, provisioning.Goal{
			Kind: provisioning.Grant, Levels: [][]string{{"Role/" + namespace + "/dev"}},
		}, func(context.Context, provisioning.Intent) error { return nil })
		return err
	}
	// The tests themselves may do everything: if it acted as them, this would succeed.
	var unavailable *provisioning.UnavailableError
	if err := grant(); !errors.As(err, &unavailable) || !strings.Contains(err.Error(), "system:serviceaccount:"+namespace+":binder") {
		t.Fatalf("%v", err)
	}
	allow(t, c, namespace, rbacv1.PolicyRule{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles", "rolebindings"}, Verbs: []string{"get", "list", "create", "update", "delete"}})
	if err := grant(); provisioning.Word(err) != "permanent" || !strings.Contains(err.Error(), "the verb bind") {
		t.Fatalf("%v", err)
	}
	allow(t, c, namespace, rbacv1.PolicyRule{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles"}, ResourceNames: []string{"dev"}, Verbs: []string{"bind"}})
	if err := grant(); err != nil {
		t.Fatal(err)
	}
	bindings := &rbacv1.RoleBindingList{}
	if err := c.List(t.Context(), bindings, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(bindings.Items, func(b rbacv1.RoleBinding) bool {
		return b.RoleRef.Name == "dev" && len(b.Subjects) == 1 && b.Subjects[0].Name == "ann" && b.Labels["app.kubernetes.io/managed-by"] == "access-operator"
	}) {
		t.Errorf("%+v", bindings.Items)
	}
}

// allow gives the service account binder a right, and waits until the authorizer knows.
func allow(t *testing.T, c client.Client, namespace string, rule rbacv1.PolicyRule) {
	t.Helper()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "allow-"}, Rules: []rbacv1.PolicyRule{rule}}
	if err := c.Create(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: role.Name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "binder"}},
	}
	if err := c.Create(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	env.Eventually(t, func() error { return env.MayNow(t, namespace, "binder", rule) })
}

func TestPasswordsAreWrittenBeforeTheyAreUsed(t *testing.T) {
	c, namespace := env.Client(t), env.Namespace(t)
	refs := &references{namespace: namespace, cluster: env.Config}
	s, err := newPasswordStore("f", "passwords", refs)
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.passwordOf(t.Context(), "ann@example.com")
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.passwordOf(t.Context(), "ann@example.com")
	if err != nil || again != first {
		t.Errorf("another password after a crash: %v", err)
	}
	other, err := s.passwordOf(t.Context(), "ann_example.com")
	if err != nil || other == first || len(other) < 26 {
		t.Errorf("the password of another: %v", err)
	}
	stored := &corev1.Secret{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "passwords"}, stored); err != nil {
		t.Fatal(err)
	}
	found := 0
	for key, value := range stored.Data {
		if strings.HasPrefix(key, "ann_example.com-") && (string(value) == first || string(value) == other) {
			found++
		}
	}
	if found != 2 || len(stored.Data) != 2 {
		t.Errorf("stored %d of %d", found, len(stored.Data))
	}
	nobody := rest.CopyConfig(env.Config)
	nobody.Impersonate.UserName = "nobody"
	if s, err = newPasswordStore("f", "passwords", &references{namespace: namespace, cluster: nobody}); err != nil {
		t.Fatal(err)
	}
	if _, err = s.passwordOf(t.Context(), "bob"); provisioning.Word(err) != "unavailable" || !strings.Contains(err.Error(), `f: the operator may not get, create and update the secret "passwords"`) {
		t.Errorf("%v", err)
	}
}

// A template that leaves everything open becomes a pod that the restricted profile takes.
func TestJobsAreRestricted(t *testing.T) {
	c, namespace := env.Client(t), env.Namespace(t)
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted","pod-security.kubernetes.io/warn":"restricted"}}}`))
	if err := c.Patch(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, patch); err != nil {
		t.Fatal(err)
	}
	const open = `{"spec":{"initContainers":[{"name":"i","image":"x"}],"containers":[{"name":"a","image":"b"}]}}`
	template, err := job.ParseTemplate([]byte(open), "default")
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "p"}, Spec: template.Spec}
	if err := c.Create(t.Context(), pod, client.DryRunAll); err != nil {
		t.Error(err)
	}

	connector := fromYAML(t, namespace, "job: {serviceAccountName: default}")
	connector.Spec.Job.Template = runtime.RawExtension{Raw: []byte(open)}
	r, err := NewResolver(c, env.Config, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	engine, err := r.Engine(t.Context(), connector)
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
