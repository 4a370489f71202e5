// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// The installed roles, as config/rbac names them.
const (
	managerRole        = "manager-role"
	receiverRole       = "receiver-role"
	metricsAuthRole    = "metrics-auth-role"
	metricsReaderRole  = "metrics-reader"
	leaderElectionRole = "leader-election-role"
	jobsRole           = "jobs"
)

// installedRoles reads the rules of every Role and ClusterRole in config/rbac, by name.
func installedRoles(t *testing.T) map[string][]rbacv1.PolicyRule {
	t.Helper()
	roles := map[string][]rbacv1.PolicyRule{}
	for _, file := range []string{"role.yaml", "backend_roles.yaml", "metrics_reader_role.yaml"} {
		text, err := os.ReadFile(filepath.Join("../../config/rbac", file))
		if err != nil {
			t.Fatal(err)
		}
		for document := range bytes.SplitSeq(text, []byte("---\n")) {
			var role rbacv1.ClusterRole
			if err := yaml.Unmarshal(document, &role); err != nil {
				t.Fatal(err)
			}
			if role.Name != "" {
				roles[role.Name] = role.Rules
			}
		}
	}
	return roles
}

// bind gives a service account of the rig's namespace, which it makes where it is missing, an installed role: in the
// whole cluster, or in the rig's namespace. It returns when the API server knows.
func (r *rig) bind(account, role string, wholeCluster bool) {
	r.t.Helper()
	rules, ok := installedRoles(r.t)[role]
	if !ok {
		r.t.Fatal("config/rbac has no role ", role)
	}
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account, Namespace: r.namespace}}
	installed := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: role}, Rules: rules}
	for _, o := range []client.Object{sa, installed} {
		if err := r.Create(r.t.Context(), o); err != nil && !apierrors.IsAlreadyExists(err) {
			r.t.Fatal(err)
		}
	}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: r.namespace}}
	if wholeCluster {
		binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: r.namespace + "-" + account + "-" + role}, RoleRef: ref, Subjects: subjects}
		if err := r.Create(r.t.Context(), binding); err != nil {
			r.t.Fatal(err)
		}
	} else {
		r.create(&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: account + "-" + role}, RoleRef: ref, Subjects: subjects})
	}
	env.Eventually(r.t, func() error {
		var missing error
		for _, rule := range rules {
			missing = errors.Join(missing, env.MayNow(r.t, r.namespace, account, rule))
		}
		return missing
	})
}

// token returns a token of a service account of the rig's namespace.
func (r *rig) token(account string) string {
	r.t.Helper()
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account, Namespace: r.namespace}}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(7200))}}
	if err := r.SubResource("token").Create(r.t.Context(), sa, request); err != nil {
		r.t.Fatal(err)
	}
	return request.Status.Token
}

// kubeconfig writes a kubeconfig of a service account of the rig's namespace, and returns the file.
func (r *rig) kubeconfig(account string) string {
	r.t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: env.Config.Host, CertificateAuthorityData: env.Config.CAData}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: r.token(account)}
	config.Contexts["c"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "c"
	file := filepath.Join(r.t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		r.t.Fatal(err)
	}
	return file
}

func readAll(t *testing.T, from io.ReadCloser) string {
	t.Helper()
	defer from.Close()
	text, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
