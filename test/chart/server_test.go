// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/webhookkeys"
)

// cluster is an API server on which nothing is installed.
type cluster struct {
	env        *envtest.Environment
	config     *rest.Config
	kubeconfig string
	scheme     *runtime.Scheme
}

var (
	running *cluster
	start   = sync.OnceValue(func() error {
		if os.Getenv(assetsVariable) == "" {
			return fmt.Errorf("KUBEBUILDER_ASSETS is not set: run `make test`, or `export KUBEBUILDER_ASSETS=\"$(make -s assets)\"` first")
		}
		scheme := runtime.NewScheme()
		for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, accessv1alpha1.AddToScheme} {
			if err := add(scheme); err != nil {
				return err
			}
		}
		ctrl.SetLogger(logr.Discard())
		c := &cluster{scheme: scheme, env: &envtest.Environment{ControlPlaneStartTimeout: 2 * time.Minute, ControlPlaneStopTimeout: time.Minute}}
		var err error
		if c.config, err = c.env.Start(); err != nil {
			return err
		}
		running = c
		c.config.QPS = -1
		c.kubeconfig = filepath.Join(filepath.Dir(helm), "kubeconfig")
		return os.WriteFile(c.kubeconfig, c.env.KubeConfig, 0o600)
	})
)

// server is the tests' API server, which they share one after another.
func server(t *testing.T) *cluster {
	t.Helper()
	if err := start(); err != nil {
		t.Fatal(err)
	}
	return running
}

func stop() {
	if running != nil {
		_ = running.env.Stop()
	}
}

// run runs helm or kubectl against the API server and returns what it prints.
func (c *cluster) run(program, stdin string, args ...string) (string, error) {
	if program == "kubectl" {
		program = filepath.Join(os.Getenv(assetsVariable), program)
	}
	var out bytes.Buffer
	cmd := exec.Command(program, append(args, "--kubeconfig", c.kubeconfig)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &out
	err := cmd.Run()
	return out.String(), err
}

func (c *cluster) must(t *testing.T, program, stdin string, args ...string) string {
	t.Helper()
	out, err := c.run(program, stdin, args...)
	if err != nil {
		t.Fatalf("%s %s: %v: %s", filepath.Base(program), strings.Join(args, " "), err, tail([]byte(out)))
	}
	return out
}

// as is a client with the rights of somebody; of an administrator where user is empty.
func (c *cluster) as(t *testing.T, user string) client.Client {
	t.Helper()
	config := rest.CopyConfig(c.config)
	config.Impersonate.UserName = user
	cl, err := client.New(config, client.Options{Scheme: c.scheme})
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

// clean takes away what a test installed. Namespaces stay, as there is no controller that could end them.
func (c *cluster) clean(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		for _, kind := range []string{"flowschemas", "prioritylevelconfigurations", "validatingadmissionpolicybindings", "validatingadmissionpolicies", "clusterroles", "clusterrolebindings", "customresourcedefinitions"} {
			c.must(t, "kubectl", "", "delete", kind, "-l", "app.kubernetes.io/name=access-operator", "--ignore-not-found")
		}
		c.must(t, "kubectl", "", "delete", "-k", "../../config/crd", "--ignore-not-found")
		c.must(t, "kubectl", "", "-n", namespace, "delete", "all,roles,rolebindings,serviceaccounts,configmaps,secrets,networkpolicies,poddisruptionbudgets", "--all")
	})
}

func task(i int) *accessv1alpha1.AccessTask {
	id := fmt.Sprintf("7ac60a4b-4b4d-4fc1-988c-%012d", i)
	return &accessv1alpha1.AccessTask{
		ObjectMeta: metav1.ObjectMeta{Name: id, Namespace: namespace, Labels: map[string]string{"kept": "yes"}, Annotations: map[string]string{"kept": "yes"}, Finalizers: []string{"example.com/mine"}},
		Spec:       accessv1alpha1.AccessTaskSpec{TaskID: id},
	}
}

// eventually repeats check until it returns nil, for half a minute at most.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("never came true: ", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (c *cluster) namespace(t *testing.T) {
	t.Helper()
	out, err := c.run("kubectl", "", "create", "namespace", namespace)
	if err != nil && !strings.Contains(out, "AlreadyExists") {
		t.Fatal(out)
	}
	c.must(t, "kubectl", "", "label", "namespace", namespace, "--overwrite", "pod-security.kubernetes.io/enforce=restricted", "pod-security.kubernetes.io/warn=restricted")
}

// definitions installs the operator's own definitions.
func (c *cluster) definitions(t *testing.T) {
	t.Helper()
	c.must(t, "kubectl", "", "apply", "--server-side", "-k", "../../config/crd")
	c.must(t, "kubectl", "", "wait", "--for=condition=Established", "crd", "--all")
}

// strangers installs the definitions of other projects that the chart has objects for.
func (c *cluster) strangers(t *testing.T) {
	t.Helper()
	for module, files := range map[string]string{
		"sigs.k8s.io/gateway-api@v1.4.0":               "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
		"github.com/cert-manager/cert-manager@v1.19.1": "deploy/crds/cert-manager.io_certificates.yaml",
	} {
		cmd := exec.Command("go", "mod", "download", "-json", module)
		cmd.Dir = t.TempDir() // outside the module, whose go.mod has not these
		out, err := cmd.Output()
		var got struct{ Dir, Error string }
		if json.Unmarshal(out, &got) != nil || err != nil {
			t.Fatalf("getting %s: %v %s", module, err, got.Error)
		}
		c.must(t, "kubectl", "", "apply", "--server-side", "-f", filepath.Join(got.Dir, files))
	}
	// The Prometheus operator's definitions are in no Go module: these know the kinds and nothing else.
	for kind, plural := range map[string]string{"ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"} {
		c.must(t, "kubectl", fmt.Sprintf(`{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: %[2]s.monitoring.coreos.com},
spec: {group: monitoring.coreos.com, scope: Namespaced, names: {kind: %[1]s, plural: %[2]s},
versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}`, kind, plural), "apply", "--server-side", "-f", "-")
	}
	c.must(t, "kubectl", "", "wait", "--for=condition=Established", "crd", "--all")
}

// TestEveryObjectIsOneThatTheServerTakes applies everything with strict validation, for nothing.
func TestEveryObjectIsOneThatTheServerTakes(t *testing.T) {
	c := server(t)
	c.clean(t)
	c.namespace(t)
	c.strangers(t)
	files, err := filepath.Glob(filepath.Join(chartDir, "ci", "*.yaml"))
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			out, err := exec.Command(helm, "template", "access-operator", chartDir, "--namespace", namespace, "--kube-version", "1.37.0", "--values", file).Output()
			if err != nil {
				t.Fatal(err)
			}
			c.takes(t, string(out))
		})
	}
	for _, overlay := range []string{"default", "hardened", "namespaced"} {
		t.Run(overlay, func(t *testing.T) {
			out, err := exec.Command(filepath.Join(os.Getenv(assetsVariable), "kubectl"), "kustomize", "../../config/"+overlay).Output()
			if err != nil {
				t.Fatal(err)
			}
			c.takes(t, string(out))
		})
	}
}

func (c *cluster) takes(t *testing.T, text string) {
	t.Helper()
	out := c.must(t, "kubectl", text, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
	if strings.Contains(out, "Warning") {
		t.Error(out)
	}
	if n := strings.Count(out, "serverside-applied"); n != len(parse(t, []byte(text))) {
		t.Errorf("%d objects of %d were applied: %s", n, len(parse(t, []byte(text))), out)
	}
}

func TestTasksOutliveUpgradeAndUninstall(t *testing.T) {
	c := server(t)
	c.clean(t)
	c.must(t, helm, "", "install", "access-operator", chartDir, "--namespace", namespace, "--create-namespace")
	admin := c.as(t, "")
	want := map[string]types.UID{}
	for i := range 20 {
		o := task(i)
		eventually(t, func() error { return client.IgnoreAlreadyExists(admin.Create(t.Context(), o)) })
		want[o.Name] = o.UID
	}
	same := func(when string) {
		t.Helper()
		var list accessv1alpha1.AccessTaskList
		if err := admin.List(t.Context(), &list, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		if len(list.Items) != len(want) {
			t.Errorf("%d tasks of %d are there %s", len(list.Items), len(want), when)
		}
		for _, o := range list.Items {
			if o.UID != want[o.Name] || o.DeletionTimestamp != nil {
				t.Errorf("%s is not the same %s", o.Name, when)
			}
		}
	}

	// Upgrade to a version that knows one field more, and makes custom resources.
	next := filepath.Join(t.TempDir(), "next")
	if err := os.CopyFS(next, os.DirFS(chartDir)); err != nil {
		t.Fatal(err)
	}
	edit(t, filepath.Join(next, "Chart.yaml"), "version: 0.1.0", "version: 0.2.0")
	edit(t, filepath.Join(next, "files", "crds", "accesstasks.yaml"), "              taskID:\n", "              addedLater:\n                type: string\n              taskID:\n")
	values := `
webhookReceivers:
- name: cakewalk
  spec: {verification: {hmac: {secretRefs: [{name: s, key: k}]}}}
connectors:
- name: doors
  spec: {match: {workApps: [{name: Doors}]}, manual: {instructions: "{{ fail }}"}}
`
	c.must(t, helm, values, "upgrade", "access-operator", next, "--namespace", namespace, "--values", "-")
	same("after the upgrade")
	if out := c.must(t, "kubectl", "", "get", "crd", "accesstasks.access.getcakewalk.io", "-o", "yaml"); !strings.Contains(out, "addedLater") {
		t.Error("the upgrade did not upgrade the definition")
	}
	var connector accessv1alpha1.Connector
	if err := admin.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "doors"}, &connector); err != nil || connector.Spec.Manual.Instructions != "{{ fail }}" {
		t.Errorf("%v: %+v", err, connector.Spec.Manual)
	}

	c.must(t, helm, "", "uninstall", "access-operator", "--namespace", namespace)
	same("after the uninstall")
	if out := c.must(t, "kubectl", "", "-n", namespace, "get", "deployments,services,roles", "-o", "name"); out != "" {
		t.Error("the uninstall left ", out)
	}
	c.must(t, helm, "", "install", "access-operator", chartDir, "--namespace", namespace)
	same("after the second install")
	for name := range want {
		o := &accessv1alpha1.AccessTask{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
		if err := admin.Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFirstInstallWithCustomResourcesSaysThatDefinitionsComeFirst(t *testing.T) {
	c := server(t)
	c.clean(t)
	values := "connectors: [{name: doors, spec: {match: {workApps: [{name: Doors}]}, manual: {instructions: Ask.}}}]"
	out, err := c.run(helm, values, "install", "access-operator", chartDir, "--namespace", namespace, "--create-namespace", "--values", "-")
	if err == nil || !strings.Contains(out, "ensure CRDs are installed first") {
		t.Fatalf("%v: %s", err, out)
	}
	c.definitions(t)
	c.must(t, helm, values, "install", "access-operator", chartDir, "--namespace", namespace, "--create-namespace", "--values", "-", "--set", "crds.enabled=false")
	c.must(t, helm, "", "uninstall", "access-operator", "--namespace", namespace)
}

func TestPoliciesHold(t *testing.T) {
	c := server(t)
	c.clean(t)
	c.definitions(t)
	c.must(t, "kubectl", "", "apply", "--server-side", "-k", "../../config/hardened")
	admin := c.as(t, "")
	for _, role := range []string{"viewer", "on-call", "task-operator", "editor"} {
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "test-" + role, Labels: map[string]string{"app.kubernetes.io/name": "access-operator"}},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "access-operator-" + role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: role}},
		}
		if err := admin.Create(t.Context(), binding); err != nil {
			t.Fatal(err)
		}
	}
	const (
		receiver    = "system:serviceaccount:access-operator-system:access-operator-receiver"
		controllers = "system:serviceaccount:access-operator-system:access-operator-controllers"
	)
	received := func(i int) *accessv1alpha1.AccessTask {
		o := task(i)
		o.Finalizers = nil
		o.Spec.ReceiverRef = &accessv1alpha1.WebhookReceiverReference{Name: "cakewalk"}
		return o
	}
	// Both policies are in force some moments after they were made.
	eventually(t, func() error {
		o := received(0)
		if err := admin.Create(t.Context(), o, client.DryRunAll); !apierrors.IsForbidden(err) {
			return fmt.Errorf("an administrator made a task for the receiver: %w", err)
		}
		return nil
	})
	for user, refused := range map[string]string{
		receiver:    "",
		"":          "only the receiver, " + receiver,
		controllers: "only the receiver, " + receiver,
		"system:serviceaccount:team-a:access-operator-receiver": "cannot create resource",
		"on-call": "cannot create resource", "task-operator": "cannot create resource", "editor": "cannot create resource", "viewer": "cannot create resource",
	} {
		refuses(t, fmt.Sprintf("%q makes a task as the receiver does", user), refused, c.as(t, user).Create(t.Context(), received(1), client.DryRunAll))
	}
	const onlyControllers = "only the controllers, " + controllers
	found := func(i int, receiverRef bool) *accessv1alpha1.AccessTask {
		o := received(i)
		o.Labels[accessv1alpha1.LabelFoundBy] = accessv1alpha1.FoundByBackfill
		if !receiverRef {
			o.Spec.ReceiverRef = nil
		}
		return o
	}
	for user, refused := range map[string][2]string{
		controllers: {"", ""},
		receiver:    {"the controllers, " + controllers, onlyControllers},
		"":          {"the controllers, " + controllers, onlyControllers},
	} {
		refuses(t, fmt.Sprintf("%q makes a task as the backfill does", user), refused[0], c.as(t, user).Create(t.Context(), found(1, true), client.DryRunAll))
		refuses(t, fmt.Sprintf("%q says that the backfill found a task", user), refused[1], c.as(t, user).Create(t.Context(), found(1, false), client.DryRunAll))
	}
	o := task(2)
	if err := admin.Create(t.Context(), o); err != nil {
		t.Fatal("a task made by hand: ", err)
	}
	marked := found(4, true)
	if err := c.as(t, controllers).Create(t.Context(), marked); err != nil {
		t.Fatal(err)
	}
	label := func(o *accessv1alpha1.AccessTask, value string) error {
		text := fmt.Sprintf(`{"metadata":{"labels":{%q:%s}}}`, accessv1alpha1.LabelFoundBy, value)
		return admin.Patch(t.Context(), o.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(text)), client.DryRunAll)
	}
	refuses(t, "the mark is set later", onlyControllers, label(o, `"backfill"`))
	refuses(t, "the mark is taken away", onlyControllers, label(marked, "null"))
	refuses(t, "the mark stays", "", label(marked, `"backfill"`))
	patch := func(user, text string) error {
		return c.as(t, user).Patch(t.Context(), o.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(text)), client.DryRunAll)
	}
	eventually(t, func() error {
		if err := patch("on-call", `{"spec":{"suspend":true}}`); !apierrors.IsForbidden(err) {
			return fmt.Errorf("suspended by who is on call: %w", err)
		}
		return nil
	})
	const needs = "the verb suspend on accesstasks"
	for _, row := range []struct{ user, patch, refused string }{
		{"on-call", `{"metadata":{"annotations":{"access.getcakewalk.io/retry":"1"}}}`, ""},
		{"on-call", `{"metadata":{"annotations":{"access.getcakewalk.io/complete":"jane: done"}}}`, ""},
		{"on-call", `{"spec":{"suspend":true}}`, needs},
		{"on-call", `{"spec":{"ttlSecondsAfterFinished":1}}`, needs},
		{"on-call", `{"metadata":{"annotations":{"access.getcakewalk.io/retry":"1"}},"spec":{"suspend":true}}`, needs},
		{"on-call", `{"metadata":{"annotations":{"other":"x"}}}`, needs},
		{"on-call", `{"metadata":{"annotations":{"kept":null}}}`, needs},
		{"on-call", `{"metadata":{"annotations":{"kept":"no"}}}`, needs},
		{"on-call", `{"metadata":{"labels":{"access.getcakewalk.io/receiver":"x"}}}`, needs},
		{"on-call", `{"metadata":{"labels":{"kept":null}}}`, needs},
		{"on-call", `{"metadata":{"finalizers":["example.com/mine","example.com/other"]}}`, needs},
		{"on-call", `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"1"}]}}`, needs},
		{"on-call", `{"metadata":{"finalizers":null}}`, ""}, // as the garbage collector does
		{"task-operator", `{"spec":{"suspend":true}}`, ""},
		{"task-operator", `{"spec":{"ttlSecondsAfterFinished":1}}`, ""},
		{"task-operator", `{"metadata":{"labels":{"mine":"x"}}}`, ""},
		{"task-operator", `{"metadata":{"annotations":{"access.getcakewalk.io/retry":"1"}}}`, ""},
		{"viewer", `{"metadata":{"annotations":{"access.getcakewalk.io/retry":"1"}}}`, "cannot patch resource"},
		{"editor", `{"metadata":{"annotations":{"access.getcakewalk.io/retry":"1"}}}`, "cannot patch resource"},
		{receiver, `{"metadata":{"annotations":{"access.getcakewalk.io/retry":"1"}}}`, "cannot patch resource"},
		{"", `{"spec":{"suspend":true}}`, ""},
	} {
		refuses(t, row.user+" patches "+row.patch, row.refused, patch(row.user, row.patch))
	}
	for _, user := range []string{"on-call", "task-operator", "editor"} {
		refuses(t, user+" deletes", "cannot delete resource", c.as(t, user).Delete(t.Context(), o.DeepCopy(), client.DryRunAll))
	}
	if err := admin.Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))); err != nil {
		t.Fatal(err)
	}
}

// TestTheKeysSecretHoldsNoToken: the one Secret that the controllers may write is none that the API server fills.
func TestTheKeysSecretHoldsNoToken(t *testing.T) {
	c := server(t)
	c.clean(t)
	c.definitions(t)
	c.must(t, "kubectl", "", "apply", "--server-side", "-k", "../../config/default")
	admin := c.as(t, "")
	manager := c.as(t, "system:serviceaccount:access-operator-system:access-operator-manager")
	secret := func(kind corev1.SecretType, account string) *applycorev1.SecretApplyConfiguration {
		s := applycorev1.Secret(webhookkeys.FetchedSecret, namespace).WithData(map[string][]byte{"a": []byte("b")})
		if kind != "" {
			s.WithType(kind)
		}
		if account != "" {
			s.WithAnnotations(map[string]string{corev1.ServiceAccountNameKey: account})
		}
		return s
	}
	apply := func(as client.Client, s *applycorev1.SecretApplyConfiguration) error {
		return as.Apply(t.Context(), s, client.FieldOwner("test"), client.ForceOwnership, client.DryRunAll)
	}
	const kind, account = "must have the type Opaque", "must not name a service account"
	eventually(t, func() error {
		if err := apply(admin, secret(corev1.SecretTypeServiceAccountToken, "default")); !apierrors.IsForbidden(err) {
			return fmt.Errorf("an administrator asks for a token: %w", err)
		}
		return nil
	})
	refuses(t, "the keys", "", apply(manager, secret(corev1.SecretTypeOpaque, "")))
	refuses(t, "a token", kind, apply(manager, secret(corev1.SecretTypeServiceAccountToken, "default")))
	refuses(t, "another type", kind, apply(manager, secret("example.com/other", "")))
	refuses(t, "an account", account, apply(manager, secret(corev1.SecretTypeOpaque, "default")))
	posted := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: webhookkeys.FetchedSecret, Annotations: map[string]string{corev1.ServiceAccountNameKey: "default"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
	refuses(t, "a posted token", kind, admin.Create(t.Context(), posted, client.DryRunAll))
	if err := admin.Apply(t.Context(), secret("", ""), client.FieldOwner("test")); err != nil {
		t.Fatal(err)
	}
	refuses(t, "an account later", account, apply(manager, secret("", "default")))
	other := posted.DeepCopy()
	other.Name = "other"
	refuses(t, "another Secret", "", admin.Create(t.Context(), other, client.DryRunAll))
	refuses(t, "another Secret by the manager", "cannot patch resource", apply(manager, applycorev1.Secret("other", namespace)))
}

// TestAMemberOfEditHandsOutNoAccess: rights in a namespace include looking, nothing else.
func TestAMemberOfEditHandsOutNoAccess(t *testing.T) {
	for key, o := range kustomize(t, "../../config/default") {
		for label := range o.GetLabels() {
			if strings.HasPrefix(label, "rbac.authorization.k8s.io/aggregate-to-") && (label != "rbac.authorization.k8s.io/aggregate-to-view" || key != "ClusterRole/access-operator-viewer") {
				t.Errorf("%s has the label %s", key, label)
			}
		}
	}
}

func TestTheNamespacedInstallMayWorkInItsNamespaceAlone(t *testing.T) {
	c := server(t)
	c.clean(t)
	c.namespace(t)
	c.definitions(t)
	c.must(t, "kubectl", "", "apply", "--server-side", "-k", "../../config/namespaced")
	manager := c.as(t, "system:serviceaccount:access-operator-system:access-operator-manager")
	eventually(t, func() error { return manager.Create(t.Context(), task(3), client.DryRunAll) })
	elsewhere := task(3)
	elsewhere.Namespace = "default"
	refuses(t, "a task elsewhere", "cannot create resource", manager.Create(t.Context(), elsewhere, client.DryRunAll))
	refuses(t, "tasks here", "", manager.List(t.Context(), &accessv1alpha1.AccessTaskList{}, client.InNamespace(namespace)))
	refuses(t, "tasks everywhere", "cannot list resource", manager.List(t.Context(), &accessv1alpha1.AccessTaskList{}))
	secret := &unstructured.Unstructured{}
	secret.SetAPIVersion("v1")
	secret.SetKind("Secret")
	refuses(t, "a Secret elsewhere", "cannot get resource", manager.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "x"}, secret))
}

// refuses checks that an error says why, or that there is none.
func refuses(t *testing.T, what, why string, err error) {
	t.Helper()
	switch {
	case why == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case why != "" && (err == nil || !strings.Contains(err.Error(), why)):
		t.Errorf("%s: it is not refused for %q: %v", what, why, err)
	}
}

func edit(t *testing.T, file, old, with string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), old) != 1 {
		t.Fatalf("%s has %q %d times", file, old, strings.Count(string(text), old))
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), old, with, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}
