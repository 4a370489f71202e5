// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build cluster

package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// group is the one group of the SCIM server.
const group = "editors"

// target is a SCIM server in the cluster.
type target struct {
	t         *testing.T
	namespace string
	// url is where the operator and the suite reach it.
	url string
	// token is what it asks for.
	token string
}

// startTarget starts a SCIM server with the group editors, in which bob is.
func startTarget(t *testing.T, namespace string) *target {
	t.Helper()
	s := &target{t: t, namespace: namespace, token: "scim-token-" + namespace}
	labels := map[string]string{"app": "scim"}
	create(t, namespace, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "scim-server"}, StringData: map[string]string{"token": s.token}})
	create(t, namespace, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "scim"}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(false),
			SecurityContext:              &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{
				Name: "scim", Image: cluster.scimImage, ImagePullPolicy: corev1.PullIfNotPresent,
				Args:            []string{"--listen", ":8080", "--token-file", "/token/token", "--log-changes", "--delay", "20ms", "--user", "bob@example.com", "--group", group + "=bob@example.com"},
				Resources:       corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}},
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
				VolumeMounts:    []corev1.VolumeMount{{Name: "token", MountPath: "/token"}},
			}},
			Volumes: []corev1.Volume{{Name: "token", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "scim-server"}}}},
		}},
	}})
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "scim"}, Spec: corev1.ServiceSpec{
		Selector: labels, Ports: []corev1.ServicePort{{Port: 8080}},
	}}
	create(t, namespace, service)
	// By address: the cluster may have no DNS.
	s.url = "http://" + service.Spec.ClusterIP + ":8080/scim/v2"
	eventually(t, time.Minute, "the SCIM server answers", func() error {
		_, err := s.get("/Groups", s.token)
		return err
	})
	return s
}

func (s *target) get(path, token string) ([]byte, error) {
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	_, body, err := send(req, http.StatusOK)
	return body, err
}

// rotate makes the server ask for another token.
func (s *target) rotate(token string) {
	s.t.Helper()
	setSecret(s.t, s.namespace, "scim-server", "token", token)
	s.token = token
	// The kubelet looks at a pod's Secrets when it looks at the pod, and that is at once when the pod changes.
	var pods corev1.PodList
	if err := cluster.List(s.t.Context(), &pods, client.InNamespace(s.namespace), client.MatchingLabels{"app": "scim"}); err != nil {
		s.t.Fatal(err)
	}
	next := time.Time{}
	eventually(s.t, 2*time.Minute, "the SCIM server asks for the new token", func() error {
		if time.Now().After(next) {
			next = time.Now().Add(2 * time.Second)
			patch := fmt.Sprintf(`{"metadata":{"annotations":{"touched":%q}}}`, time.Now().Format(time.RFC3339Nano))
			if err := cluster.Patch(s.t.Context(), &pods.Items[0], client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
				return err
			}
		}
		_, err := s.get("/Groups", token)
		return err
	})
}

// memberships is how often somebody is stored as a member of the group.
func (s *target) memberships(email string) int {
	s.t.Helper()
	var users, groups struct {
		Resources []struct {
			ID      string
			Members []struct{ Value string }
		}
	}
	for path, into := range map[string]any{
		"/Users?filter=" + url.QueryEscape(fmt.Sprintf("userName eq %q", email)):     &users,
		"/Groups?filter=" + url.QueryEscape(fmt.Sprintf("displayName eq %q", group)): &groups,
	} {
		body, err := s.get(path, s.token)
		if err != nil {
			s.t.Fatal(err)
		}
		if err := json.Unmarshal(body, into); err != nil {
			s.t.Fatal(err)
		}
	}
	if len(groups.Resources) != 1 {
		s.t.Fatalf("%d groups %s", len(groups.Resources), group)
	}
	n := 0
	for _, m := range groups.Resources[0].Members {
		if len(users.Resources) > 0 && m.Value == users.Resources[0].ID {
			n++
		}
	}
	return n
}

var change = regexp.MustCompile(`(?m)^(POST|PUT|PATCH|DELETE) .* 2\d\d .*$`)

// repeated are the changes that the server was asked to make, and made, more than once.
func (s *target) repeated() []string {
	s.t.Helper()
	text, err := kubectl(s.t.Context(), "", "logs", "--namespace", s.namespace, "deployment/scim", "--tail", "-1")
	if err != nil {
		s.t.Fatal(err)
	}
	lines := change.FindAllString(text, -1)
	if len(lines) == 0 {
		s.t.Error("the SCIM server's log shows no change: this would prove nothing")
	}
	slices.Sort(lines)
	var twice []string
	for i := 1; i < len(lines); i++ {
		if lines[i] == lines[i-1] {
			twice = append(twice, lines[i])
		}
	}
	return twice
}
