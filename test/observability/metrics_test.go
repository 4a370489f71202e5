// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package observability checks what operators of the operator rely on: metrics, alerts, the dashboard, the runbook, and
// the reasons given for rights. Documents and code cannot drift apart.
package observability

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/controllers"
	"getcakewalk.io/access-operator/internal/buildinfo"
	"getcakewalk.io/access-operator/internal/connector"
	"getcakewalk.io/access-operator/internal/openapi"
	"getcakewalk.io/access-operator/webhookreceiver"
)

const (
	prefix = "access_operator_"
	// root is the repository's folder.
	root = "../.."
)

// registered returns the labels of every metric of the operator that the manager registers.
func registered(t *testing.T) map[string]string {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, accessv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	// Nothing is started, so that no server is asked.
	mapper := meta.NewDefaultRESTMapper(nil)
	for kind := range scheme.AllKnownTypes() {
		mapper.Add(kind, meta.RESTScopeNamespace)
	}
	mgr, err := ctrl.NewManager(&rest.Config{Host: "https://127.0.0.1:1"}, ctrl.Options{
		Scheme:         scheme,
		Metrics:        metricsserver.Options{BindAddress: "0"},
		MapperProvider: func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return mapper, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := buildinfo.Register(metrics.Registry, "", ""); err != nil {
		t.Fatal(err)
	}
	if err := webhookreceiver.AddToManager(mgr, webhookreceiver.Options{}); err != nil {
		t.Fatal(err)
	}
	resolver, err := connector.NewResolver(mgr.GetAPIReader(), mgr.GetConfig(), metrics.Registry)
	if err != nil {
		t.Fatal(err)
	}
	clients, err := openapi.NewClients(mgr.GetAPIReader(), metrics.Registry, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := controllers.AddToManager(t.Context(), mgr, controllers.Options{Targets: resolver, Cakewalk: clients, Registry: metrics.Registry}); err != nil {
		t.Fatal(err)
	}
	registry, ok := metrics.Registry.(interface {
		Describe(chan<- *prometheus.Desc)
	})
	if !ok {
		t.Fatalf("%T cannot describe itself", metrics.Registry)
	}
	descriptions := make(chan *prometheus.Desc)
	go func() {
		defer close(descriptions)
		registry.Describe(descriptions)
	}()
	text := regexp.MustCompile(`fqName: "([^"]*)".*variableLabels: \{([^}]*)\}`)
	all := map[string]string{}
	for d := range descriptions {
		if m := text.FindStringSubmatch(d.String()); m != nil && strings.HasPrefix(m[1], prefix) {
			all[m[1]] = strings.ReplaceAll(m[2], ",", ", ")
		}
	}
	return all
}

// read returns a file of the repository.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// table returns the cells of a Markdown document's table rows whose first cell starts with start.
func table(text, start string) [][]string {
	var rows [][]string
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if strings.HasPrefix(line, "|") && strings.HasPrefix(cells[0], start) {
			rows = append(rows, cells)
		}
	}
	return rows
}

func documented(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, cells := range table(read(t, "docs/operating.md"), "`"+prefix) {
		all[strings.Trim(cells[0], "`")] = cells[1]
	}
	return all
}

func TestTheDocumentsNameEveryMetricAndItsLabels(t *testing.T) {
	if diff := cmp.Diff(registered(t), documented(t)); diff != "" {
		t.Errorf("docs/operating.md (+) and the code (-) differ:\n%s", diff)
	}
}
