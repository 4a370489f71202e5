// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// TestTheOperatorsRequestsHaveTheirShare asks the API server by which FlowSchema it takes the operator's requests, and
// those of others.
func TestTheOperatorsRequestsHaveTheirShare(t *testing.T) {
	c := server(t)
	for name, install := range map[string]struct {
		manifests        manifests
		namespace        string
		accounts         []string
		schema, election string
	}{
		"the component": {
			kustomize(t, "testdata/flow-control"), "elsewhere", []string{"access-operator-manager"}, "access-operator", "access-operator-leader-election",
		},
		"the chart": {
			rendered(t, "flowControl: {enabled: true}"), namespace, []string{"access-operator-manager"}, "access-operator", "access-operator-leader-election",
		},
		"the halves apart": {
			rendered(t, "mode: Separate\nflowControl: {enabled: true, concurrencyShares: 30}"), namespace,
			[]string{"access-operator-receiver", "access-operator-controllers"},
			"access-operator", "access-operator-leader-election",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.clean(t)
			applied := 0
			for _, o := range install.manifests {
				if k := o.GetKind(); k != "FlowSchema" && k != "PriorityLevelConfiguration" {
					continue
				}
				text, err := yaml.Marshal(o.Object)
				if err != nil {
					t.Fatal(err)
				}
				c.must(t, "kubectl", string(text), "apply", "--server-side", "--validate=strict", "-f", "-")
				applied++
			}
			if applied != 3 {
				t.Fatalf("%d objects share the API server out", applied)
			}
			for _, account := range install.accounts {
				if _, ok := install.manifests["ServiceAccount/"+account]; !ok && install.namespace == namespace {
					t.Fatalf("the install has no service account %s: %v", account, install.manifests.keys())
				}
				c.takenBy(t, install.namespace, account, "/apis/access.getcakewalk.io/v1alpha1/accesstasks", install.schema)
				c.takenBy(t, install.namespace, account, "/api/v1/namespaces/x/secrets/y", install.schema)
				c.takenBy(t, install.namespace, account, "/apis/coordination.k8s.io/v1/namespaces/x/leases/y", install.election)
			}
			c.takenBy(t, "default", "somebody", "/apis/access.getcakewalk.io/v1alpha1/accesstasks", "service-accounts")
		})
	}
}

// takenBy waits until the API server takes a service account's request by a FlowSchema.
func (c *cluster) takenBy(t *testing.T, namespace, account, path, want string) {
	t.Helper()
	config := rest.CopyConfig(c.config)
	config.Impersonate.UserName = fmt.Sprintf("system:serviceaccount:%s:%s", namespace, account)
	config.Impersonate.Groups = []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"}
	asking, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	var got flowcontrolv1.FlowSchema
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSuffix(c.config.Host, "/")+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := asking.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		var all flowcontrolv1.FlowSchemaList
		if err := c.as(t, "").List(t.Context(), &all, &client.ListOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, one := range all.Items {
			if string(one.UID) == answer.Header.Get("X-Kubernetes-PF-FlowSchema-UID") {
				got = one
			}
		}
		if got.Name == want {
			return
		}
	}
	t.Errorf("%s of %s asks for %s by %q, not by %q", account, namespace, path, got.Name, want)
}
