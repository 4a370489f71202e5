// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package chart installs what config and charts hold on a real API server: every object is one that it takes, policies
// refuse what they should, and tasks outlive upgrades and uninstalls.
package chart

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const (
	chartDir  = "../../charts/access-operator"
	namespace = "access-operator-system"
	// assetsVariable names the folder with etcd, kube-apiserver and kubectl.
	assetsVariable = "KUBEBUILDER_ASSETS"
)

// helm is the path of helm, built from hack/helm.
var helm string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "access-operator-chart-")
	if err == nil {
		helm = filepath.Join(dir, "helm")
		cmd := exec.Command("go", "build", "-o", helm, "helm.sh/helm/v3/cmd/helm")
		cmd.Dir = "../../hack/helm"
		var out []byte
		if out, err = cmd.CombinedOutput(); err != nil {
			err = fmt.Errorf("building helm: %w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	stop()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// manifests are objects by kind and name.
type manifests map[string]*unstructured.Unstructured

func parse(t *testing.T, text []byte) manifests {
	t.Helper()
	all := manifests{}
	for doc := range bytes.SplitSeq(append([]byte("\n"), text...), []byte("\n---\n")) {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(doc, &o.Object); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		if len(o.Object) == 0 {
			continue
		}
		key := o.GetKind() + "/" + o.GetName()
		if ns := o.GetNamespace(); ns != "" && ns != namespace {
			key = o.GetKind() + "/" + ns + "/" + o.GetName()
		}
		if all[key] != nil {
			t.Fatalf("%s is there twice", key)
		}
		all[key] = o
	}
	return all
}

// template renders the chart with values.
func template(t *testing.T, values string) (manifests, string, error) {
	t.Helper()
	var out, stderr bytes.Buffer
	cmd := exec.Command(helm, "template", "access-operator", chartDir, "--namespace", namespace, "--kube-version", "1.37.0", "--values", "-")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(values), &out, &stderr
	if err := cmd.Run(); err != nil {
		return nil, stderr.String(), err
	}
	return parse(t, out.Bytes()), "", nil
}

func rendered(t *testing.T, values string) manifests {
	t.Helper()
	all, message, err := template(t, values)
	if err != nil {
		t.Fatalf("%v: %s", err, message)
	}
	return all
}

// at reads the value at a path of an object: names, and indices into lists.
func (m manifests) at(t *testing.T, key string, path ...any) any {
	t.Helper()
	o := m[key]
	if o == nil {
		t.Fatalf("there is no %s among %v", key, m.keys())
	}
	var v any = o.Object
	for _, p := range path {
		switch p := p.(type) {
		case string:
			fields, _ := v.(map[string]any)
			v = fields[p]
		case int:
			list, _ := v.([]any)
			if p >= len(list) {
				return nil
			}
			v = list[p]
		}
	}
	return v
}

func (m manifests) keys() []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (m manifests) args(t *testing.T, deployment string) []string {
	t.Helper()
	var args []string
	list, _ := m.at(t, "Deployment/"+deployment, "spec", "template", "spec", "containers", 0, "args").([]any)
	for _, a := range list {
		args = append(args, fmt.Sprint(a))
	}
	return args
}

// TestValuesMakeWhatTheySay has one row per value that decides something.
func TestValuesMakeWhatTheySay(t *testing.T) {
	const manager, webhooks = "Deployment/access-operator-manager", "Service/access-operator-webhooks"
	pod := func(path ...any) []any { return append([]any{"spec", "template", "spec"}, path...) }
	container := func(path ...any) []any { return append(pod("containers", 0), path...) }
	for name, row := range map[string]struct {
		values string
		key    string
		path   []any
		want   any
	}{
		"the image is the chart's version":   {"", manager, container("image"), "access-operator:0.1.0"},
		"a tag":                              {"image: {repository: r.example.com/a, tag: v2}", manager, container("image"), "r.example.com/a:v2"},
		"a digest beats the tag":             {"image: {tag: v2, digest: 'sha256:" + strings.Repeat("a", 64) + "'}", manager, container("image"), "access-operator@sha256:" + strings.Repeat("a", 64)},
		"two replicas":                       {"", manager, []any{"spec", "replicas"}, float64(2)},
		"a half's replicas":                  {"mode: Separate\nreceiver: {pod: {replicas: 5}}", "Deployment/access-operator-receiver", []any{"spec", "replicas"}, float64(5)},
		"the other half's replicas":          {"mode: Separate\nreceiver: {pod: {replicas: 5}}", "Deployment/access-operator-controllers", []any{"spec", "replicas"}, float64(2)},
		"deliveries go to both halves":       {"", webhooks, []any{"spec", "selector", "app.kubernetes.io/component"}, "manager"},
		"deliveries go to the receiver":      {"mode: Separate", webhooks, []any{"spec", "selector", "app.kubernetes.io/component"}, "receiver"},
		"plain HTTP":                         {"", webhooks, []any{"spec", "ports", 0, "port"}, float64(80)},
		"TLS":                                {"receiver: {tls: {secretName: hook-tls}}", webhooks, []any{"spec", "ports", 0, "port"}, float64(443)},
		"the TLS Secret is mounted":          {"receiver: {tls: {secretName: hook-tls}}", manager, pod("volumes", 0, "secret", "secretName"), "hook-tls"},
		"the TLS port":                       {"receiver: {tls: {secretName: hook-tls}}", manager, container("ports", 0, "containerPort"), float64(9443)},
		"the controllers see no certificate": {"mode: Separate\nreceiver: {tls: {secretName: hook-tls}}", "Deployment/access-operator-controllers", pod("volumes"), nil},
		"a spool on the pod's disk":          {"receiver: {spool: {enabled: true}}", manager, pod("volumes", 0, "emptyDir", "sizeLimit"), "342Mi"},
		"counts as its storage":              {"receiver: {spool: {enabled: true}}", manager, container("resources", "limits", "ephemeral-storage"), "406Mi"},
		"the operator may write to it":       {"receiver: {spool: {enabled: true}}", manager, pod("securityContext", "fsGroup"), float64(65532)},
		"the rest is read-only":              {"receiver: {spool: {enabled: true}}", manager, container("securityContext", "readOnlyRootFilesystem"), true},
		"a spool that survives the pod":      {"pod: {replicas: 1}\nreceiver: {spool: {enabled: true, volumeClaimName: s}}", manager, pod("volumes", 0, "persistentVolumeClaim", "claimName"), "s"},
		"is never used by two":               {"pod: {replicas: 1}\nreceiver: {spool: {enabled: true, volumeClaimName: s}}", manager, []any{"spec", "strategy", "type"}, "Recreate"},
		"the controllers have no spool":      {"mode: Separate\nreceiver: {spool: {enabled: true}}", "Deployment/access-operator-controllers", pod("volumes"), nil},
		"a Certificate's Secret is mounted":  {"receiver: {tls: {certificate: {enabled: true, issuerRef: {name: ca}}}}", manager, pod("volumes", 0, "secret", "secretName"), "access-operator-webhooks-tls"},
		"a Certificate":                      {"receiver: {tls: {certificate: {enabled: true, issuerRef: {name: ca}}}}", "Certificate/access-operator-webhooks", []any{"spec", "dnsNames", 0}, "access-operator-webhooks.access-operator-system.svc"},
		"an Ingress":                         {"ingress: {enabled: true, className: nginx, hosts: [h.example.com]}", "Ingress/access-operator-webhooks", []any{"spec", "rules", 0, "http", "paths", 0, "path"}, "/webhooks"},
		"an HTTPRoute":                       {"httpRoute: {enabled: true, parentRefs: [{name: gw}], hostnames: [h.example.com]}", "HTTPRoute/access-operator-webhooks", []any{"spec", "rules", 0, "backendRefs", 0, "name"}, "access-operator-webhooks"},
		"a node selector":                    {"pod: {nodeSelector: {a: b}}", manager, pod("nodeSelector", "a"), "b"},
		"a toleration":                       {"pod: {tolerations: [{key: k, operator: Exists}]}", manager, pod("tolerations", 0, "key"), "k"},
		"a priority class":                   {"pod: {priorityClassName: high}", manager, pod("priorityClassName"), "high"},
		"spread over nodes":                  {"", manager, pod("topologySpreadConstraints", 0, "topologyKey"), "kubernetes.io/hostname"},
		"no spread":                          {"pod: {topologySpreadConstraints: []}", manager, pod("topologySpreadConstraints"), nil},
		"a pull secret":                      {"imagePullSecrets: [{name: p}]", manager, pod("imagePullSecrets", 0, "name"), "p"},
		"an environment variable":            {"pod: {extraEnv: [{name: OTEL_TRACES_EXPORTER, value: otlp}]}", manager, container("env", 0, "value"), "otlp"},
		"common labels on objects":           {"commonLabels: {team: a}", webhooks, []any{"metadata", "labels", "team"}, "a"},
		"common labels on pods":              {"commonLabels: {team: a}", manager, []any{"spec", "template", "metadata", "labels", "team"}, "a"},
		"common labels select nothing":       {"commonLabels: {app.kubernetes.io/name: x}", manager, []any{"spec", "template", "metadata", "labels", "app.kubernetes.io/name"}, "access-operator"},
		"common labels on definitions":       {"commonLabels: {team: a}", "CustomResourceDefinition/accesstasks.access.getcakewalk.io", []any{"metadata", "labels", "team"}, "a"},
		"common annotations":                 {"commonAnnotations: {by: us}", webhooks, []any{"metadata", "annotations", "by"}, "us"},
		"definitions stay":                   {"", "CustomResourceDefinition/connectors.access.getcakewalk.io", []any{"metadata", "annotations", "helm.sh/resource-policy"}, "keep"},
		"a disruption budget":                {"podDisruptionBudget: {maxUnavailable: 50%}", "PodDisruptionBudget/access-operator-manager", []any{"spec", "maxUnavailable"}, "50%"},
		"no token but in pods":               {"", "ServiceAccount/access-operator-manager", []any{"automountServiceAccountToken"}, false},
		"a token in pods":                    {"", manager, pod("automountServiceAccountToken"), true},
		"the receiver's secrets by name":     {"rbac: {secretNames: {receiver: [b, a]}}", "ClusterRole/access-operator-receiver-role", []any{"rules", 0, "resourceNames"}, []any{"a", "access-operator-cakewalk-keys", "b"}},
		"the controllers' secrets by name":   {"rbac: {secretNames: {controllers: [b, a]}}", "ClusterRole/access-operator-manager-role", []any{"rules", 0, "resourceNames"}, []any{"a", "access-operator-cakewalk-keys", "b"}},
		"and the one that they write": {"rbac: {secretNames: {controllers: [b, a]}}", "ClusterRole/access-operator-manager-role", []any{"rules", 2}, map[string]any{
			"apiGroups": []any{""}, "resources": []any{"secrets"}, "resourceNames": []any{"access-operator-cakewalk-keys"}, "verbs": []any{"create", "patch"},
		}},
		"and its config maps all":               {"rbac: {secretNames: {receiver: [b, a]}}", "ClusterRole/access-operator-receiver-role", []any{"rules", 1, "resources"}, []any{"configmaps"}},
		"the controllers' secrets all":          {"rbac: {secretNames: {receiver: [a]}}", "ClusterRole/access-operator-manager-role", []any{"rules", 0, "resourceNames"}, nil},
		"a Role in each namespace":              {"watchNamespaces: [team-a, team-b]", "Role/team-b/access-operator-receiver-role", []any{"rules", 0, "verbs", 0}, "get"},
		"bound to the account of the release":   {"watchNamespaces: [team-a, team-b]", "RoleBinding/team-b/access-operator-manager-rolebinding", []any{"subjects", 0, "namespace"}, namespace},
		"policies of these namespaces":          {"watchNamespaces: [team-a, team-b]", "ValidatingAdmissionPolicyBinding/access-operator-receiver-identity", []any{"spec", "matchResources", "namespaceSelector", "matchExpressions", 0, "values"}, []any{"team-a", "team-b"}},
		"the policy knows both halves' account": {"", "ValidatingAdmissionPolicy/access-operator-receiver-identity", []any{"spec", "variables", 0, "expression"}, "'system:serviceaccount:' + 'access-operator-system' + ':' + 'access-operator-manager'"},
		"the policy knows the controllers":      {"mode: Separate", "ValidatingAdmissionPolicy/access-operator-receiver-identity", []any{"spec", "variables", 1, "expression"}, "'system:serviceaccount:' + 'access-operator-system' + ':' + 'access-operator-controllers'"},
		"the policy knows the receiver":         {"mode: Separate", "ValidatingAdmissionPolicy/access-operator-receiver-identity", []any{"spec", "variables", 0, "expression"}, "'system:serviceaccount:' + 'access-operator-system' + ':' + 'access-operator-receiver'"},
		"the receiver's way out":                {"mode: Separate\nnetworkPolicy: {enabled: true, apiServer: [{ipBlock: {cidr: 192.0.2.1/32}}]}", "NetworkPolicy/access-operator-receiver", []any{"spec", "egress", 0, "to", 0, "ipBlock", "cidr"}, "192.0.2.1/32"},
		"the controllers' way out":              {"mode: Separate\nnetworkPolicy: {enabled: true}", "NetworkPolicy/access-operator-controllers", []any{"spec", "egress"}, []any{map[string]any{}}},
		"metrics are scraped by TLS":            {"metrics: {serviceMonitor: {enabled: true, labels: {release: p}}}", "ServiceMonitor/access-operator", []any{"spec", "endpoints", 0, "scheme"}, "https"},
		"the monitor's labels":                  {"metrics: {serviceMonitor: {enabled: true, labels: {release: p}}}", "ServiceMonitor/access-operator", []any{"metadata", "labels", "release"}, "p"},
		"a receiver, of which nothing is a template": {
			"webhookReceivers: [{name: cakewalk, namespace: team-a, spec: {suspend: false, note: '{{ .Release.Name }}'}}]",
			"WebhookReceiver/team-a/cakewalk",
			[]any{"spec", "note"},
			"{{ .Release.Name }}",
		},
		"a connector": {"connectors: [{name: okta, spec: {priority: 1}}]", "Connector/okta", []any{"spec", "priority"}, float64(1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(row.want, rendered(t, row.values).at(t, row.key, row.path...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFlagsFollowTheMode(t *testing.T) {
	t.Parallel()
	common := []string{"--metrics-bind-address=:8443", "--health-probe-bind-address=:8081", "--zap-log-level=info"}
	receives := []string{"--receiver-bind-address=:9080", "--receiver-max-body-bytes=1048576"}
	m := rendered(t, "mode: Separate")
	for deployment, want := range map[string][]string{
		"access-operator-receiver":    slices.Concat(receives, []string{"--controllers=false"}, common),
		"access-operator-controllers": slices.Concat([]string{"--receiver=false", "--leader-elect"}, common),
	} {
		if diff := cmp.Diff(want, m.args(t, deployment)); diff != "" {
			t.Errorf("%s: %s", deployment, diff)
		}
	}
	both := rendered(t, "watchNamespaces: [a, b]\nwatchLabelSelector: shard in (a, b)\nlog: {level: debug}\nmetrics: {enabled: false}\nreceiver: {maxBodyBytes: 10000000}\npod: {extraArgs: [--zap-encoder=console]}")
	want := []string{"--receiver-bind-address=:9080", "--receiver-max-body-bytes=10000000", "--leader-elect", "--watch-namespaces=a,b", "--watch-label-selector=shard in (a, b)", "--metrics-bind-address=0", "--health-probe-bind-address=:8081", "--zap-log-level=debug", "--zap-encoder=console"}
	if diff := cmp.Diff(want, both.args(t, "access-operator-manager")); diff != "" {
		t.Error(diff)
	}
}

func TestWithoutClusterScopeNothingIsClusterScoped(t *testing.T) {
	t.Parallel()
	values, err := os.ReadFile(filepath.Join(chartDir, "ci", "namespaced-values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for from, m := range map[string]manifests{
		"the chart":   rendered(t, string(values)),
		"the overlay": kustomize(t, "../../config/namespaced"),
	} {
		for key, o := range m {
			if o.GetNamespace() == "" || strings.HasPrefix(o.GetKind(), "Cluster") {
				t.Errorf("%s makes %s, which is cluster-scoped", from, key)
			}
		}
	}
}

// TestTheChartGrantsWhatTheOverlaysGrant compares all rules and who has them.
func TestTheChartGrantsWhatTheOverlaysGrant(t *testing.T) {
	t.Parallel()
	for _, overlay := range []string{"default", "hardened"} {
		values, err := os.ReadFile(filepath.Join(chartDir, "ci", overlay+"-values.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		want, got := grants(t, kustomize(t, "../../config/"+overlay)), grants(t, rendered(t, string(values)))
		if len(want) < 4 {
			t.Errorf("only %d grants in %s", len(want), overlay)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", overlay, diff)
		}
	}
}

// grants are the rules of each bound role by who has them, and those of the roles that are bound by nobody.
func grants(t *testing.T, m manifests) map[string]string {
	t.Helper()
	all := map[string]string{}
	for key, o := range m {
		switch o.GetKind() {
		case "ClusterRole", "Role":
			rules, err := yaml.Marshal(o.Object["rules"])
			if err != nil {
				t.Fatal(err)
			}
			all[key] = string(rules)
		case "ClusterRoleBinding", "RoleBinding":
			var who []string
			subjects, _ := o.Object["subjects"].([]any)
			for i := range subjects {
				who = append(who, fmt.Sprint(m.at(t, key, "subjects", i, "name")))
			}
			all[key] = fmt.Sprint(m.at(t, key, "roleRef", "name"), who)
		}
	}
	return all
}

func TestMistakesAreRefused(t *testing.T) {
	for name, row := range map[string]struct{ values, want string }{
		"an unknown value":                  {"replicas: 2", "replicas"},
		"an unknown value below":            {"ingress: {host: x}", "host"},
		"an unknown mode":                   {"mode: separate", "mode"},
		"a number for a name":               {"fullnameOverride: 3", "fullnameOverride"},
		"a host with a scheme":              {"ingress: {enabled: true, hosts: ['https://h.example.com']}", "hosts"},
		"an Ingress without a host":         {"ingress: {enabled: true}", "ingress.enabled needs ingress.hosts"},
		"a route without a Gateway":         {"httpRoute: {enabled: true}", "httpRoute.enabled needs httpRoute.parentRefs"},
		"a Certificate by nobody":           {"receiver: {tls: {certificate: {enabled: true}}}", "issuerRef"},
		"half a pod in one Deployment":      {"receiver: {pod: {replicas: 3}}", "need mode=Separate"},
		"no replica":                        {"pod: {replicas: 0}", "replicas"},
		"a pod that is killed at once":      {"pod: {terminationGracePeriodSeconds: 5}", "terminationGracePeriodSeconds"},
		"Roles for the whole cluster":       {"rbac: {clusterScoped: false}", "needs watchNamespaces"},
		"policies without cluster scope":    {"watchNamespaces: [a]\nrbac: {clusterScoped: false}", "policies are cluster-scoped"},
		"shares without cluster scope":      {"watchNamespaces: [a]\nrbac: {clusterScoped: false}\nadmissionPolicy: {receiverIdentity: false, taskEdits: false, keysSecret: false}\nflowControl: {enabled: true}", "a FlowSchema is cluster-scoped"},
		"no share of the API server":        {"flowControl: {concurrencyShares: 0}", "concurrencyShares"},
		"a namespace twice":                 {"watchNamespaces: [a, a]", "watchNamespaces"},
		"a receiver that nobody watches":    {"watchNamespaces: [team-a]\nwebhookReceivers: [{name: c, spec: {}}]", "which watchNamespaces leaves out"},
		"a connector without a spec":        {"connectors: [{name: c}]", "spec"},
		"a Secret in the values":            {"webhookReceivers: [{name: c, spec: {}, secret: s}]", "secret"},
		"a monitor without metrics":         {"metrics: {enabled: false, serviceMonitor: {enabled: true}}", "need metrics.enabled"},
		"a digest that is none":             {"image: {digest: latest}", "digest"},
		"an argument that is no flag":       {"pod: {extraArgs: [debug]}", "extraArgs"},
		"a duration that is none":           {"metrics: {serviceMonitor: {interval: often}}", "interval"},
		"an environment without a name":     {"pod: {extraEnv: [{value: x}]}", "name"},
		"a namespace that cannot be one":    {"watchNamespaces: ['Team A']", "watchNamespaces"},
		"a budget that is neither":          {"podDisruptionBudget: {maxUnavailable: half}", "maxUnavailable"},
		"an old cluster's service type":     {"service: {type: ExternalName}", "type"},
		"network policy that denies DNS":    {"networkPolicy: {enabled: true, dns: []}", "dns"},
		"labels that are no strings":        {"commonLabels: {a: 1}", "commonLabels"},
		"a level that the logger has not":   {"log: {level: trace}", "level"},
		"resources that are no resources":   {"pod: {resources: {memory: 1Gi}}", "memory"},
		"a key that only the chart may set": {"controllers: {pod: {command: [sh]}}\nmode: Separate", "command"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, message, err := template(t, row.values)
			if err == nil {
				t.Fatal("it is taken")
			}
			if !strings.Contains(message, row.want) {
				t.Errorf("the message does not say %q: %s", row.want, message)
			}
		})
	}
}

func TestAnOldClusterIsRefused(t *testing.T) {
	t.Parallel()
	out, err := exec.Command(helm, "template", "access-operator", chartDir, "--kube-version", "1.30.0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "1.31") {
		t.Errorf("%v: %s", err, tail(out))
	}
}

func TestFilesReachTheManifestsAsTheyAre(t *testing.T) {
	t.Parallel()
	m := rendered(t, "metrics: {prometheusRule: {enabled: true}, dashboard: {enabled: true}}")
	var alerts map[string]any
	read(t, "../../config/prometheus/alerts.yaml", &alerts)
	if diff := cmp.Diff(alerts, m.at(t, "PrometheusRule/access-operator", "spec")); diff != "" {
		t.Error(diff)
	}
	var dashboard, got map[string]any
	read(t, "../../config/grafana/dashboard.json", &dashboard)
	text, _ := m.at(t, "ConfigMap/access-operator-dashboard", "data", "access-operator.json").(string)
	if err := yaml.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(dashboard, got); diff != "" {
		t.Error(diff)
	}
	crds, err := filepath.Glob("../../config/crd/bases/*.yaml")
	if err != nil || len(crds) != 3 {
		t.Fatal(crds, err)
	}
	for _, file := range crds {
		var crd map[string]any
		read(t, file, &crd)
		o := unstructured.Unstructured{Object: crd}
		if diff := cmp.Diff(crd["spec"], m.at(t, "CustomResourceDefinition/"+o.GetName(), "spec")); diff != "" {
			t.Error(diff)
		}
	}
}

func TestNotesSayTheURLAndTheNextStep(t *testing.T) {
	c := server(t)
	c.clean(t)
	c.strangers(t)
	c.definitions(t)
	for name, row := range map[string]struct {
		values string
		want   []string
	}{
		"inside":     {"", []string{"http://access-operator-webhooks.access-operator-system.svc:80/webhooks/<namespace>/<name>", "a WebhookReceiver that names them"}},
		"an Ingress": {"ingress: {enabled: true, hosts: [h.example.com], tls: [{hosts: [h.example.com]}]}", []string{"https://h.example.com/webhooks/<namespace>/<name>"}},
		"a Gateway":  {"httpRoute: {enabled: true, parentRefs: [{name: g}], hostnames: [g.example.com]}\nreceiver: {tls: {secretName: x}}", []string{"https://g.example.com/webhooks/<namespace>/<name>"}},
		"no metrics": {"watchNamespaces: [a]\nrbac: {clusterScoped: false}\nadmissionPolicy: {receiverIdentity: false, taskEdits: false, keysSecret: false}", []string{"system:auth-delegator", "system:serviceaccount:access-operator-system:access-operator-manager"}},
		"a receiver": {"webhookReceivers: [{name: a, spec: {}}]", []string{"make a Connector"}},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(helm, "install", "access-operator", chartDir, "--namespace", namespace, "--values", "-", "--dry-run=client", "--set", "crds.enabled=false", "--kubeconfig", c.kubeconfig)
			cmd.Stdin = strings.NewReader(row.values)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, tail(out))
			}
			_, notes, _ := strings.Cut(string(out), "\nNOTES:\n")
			for _, want := range row.want {
				if !strings.Contains(notes, want) {
					t.Errorf("the notes do not say %q:\n%s", want, notes)
				}
			}
		})
	}
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func kustomize(t *testing.T, dir string) manifests {
	t.Helper()
	assets := os.Getenv(assetsVariable)
	out, err := exec.Command(filepath.Join(assets, "kubectl"), "kustomize", dir).Output()
	if err != nil {
		t.Fatalf("kubectl kustomize (in $KUBEBUILDER_ASSETS, which `make test` sets): %v", err)
	}
	return parse(t, out)
}

func tail(b []byte) string { return string(b[max(0, len(b)-3000):]) }
