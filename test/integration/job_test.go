// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/job"
	"getcakewalk.io/access-operator/internal/provisioning/provisioningtest"
	"getcakewalk.io/access-operator/internal/testenv"
)

// jobCluster is an API server with Kubernetes' own Job controller. In place of nodes, the test ends the containers.
type jobCluster struct {
	env       *testenv.Env
	admin     clientset.Interface
	objects   client.Client
	proxy     *provisioningtest.HTTPProxy
	namespace string
	token     string

	mu      sync.Mutex
	ends    map[string][]provisioningtest.End
	carried map[string]int
	seen    map[string]map[string]string // what the containers found, by task
}

var _ provisioningtest.ExecutorTarget = (*jobCluster)(nil)

func startJobCluster(t *testing.T) *jobCluster {
	t.Helper()
	env, err := testenv.Start()
	if err != nil {
		t.Fatal("starting etcd and kube-apiserver, which these tests need: ", err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	admin, err := clientset.NewForConfig(env.Config)
	must(t, err)
	c := &jobCluster{
		env: env, admin: admin, objects: env.Client(t), namespace: env.Namespace(t),
		ends: map[string][]provisioningtest.End{}, carried: map[string]int{}, seen: map[string]map[string]string{},
	}
	startControllerManager(t, env.Kubeconfig)
	c.proxy = provisioningtest.NewHTTPProxy(t, env.Config.Host)
	c.proxy.Transport, err = rest.TransportFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CAData: env.Config.CAData}})
	must(t, err)
	c.proxy.Kind = func(r *http.Request) provisioningtest.Request {
		if r.Method == http.MethodGet || strings.HasSuffix(r.URL.Path, "accessreviews") || strings.Contains(r.URL.RawQuery, "dryRun") {
			return provisioningtest.Read
		}
		return provisioningtest.Write
	}
	c.allow(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); c.runPods(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return c
}

// startControllerManager starts the controllers that make pods for Jobs, judge Jobs by their pods and collect garbage.
func startControllerManager(t *testing.T, kubeconfig []byte) {
	t.Helper()
	program := os.Getenv("KUBE_CONTROLLER_MANAGER")
	if program == "" {
		t.Fatal("KUBE_CONTROLLER_MANAGER is not set, which these tests need: run `make test-integration`, or set it to the output of hack/controlplane/program.sh kube-controller-manager")
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(file, kubeconfig, 0o600))
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	must(t, err)
	cmd := exec.Command(program, "--kubeconfig="+file, "--leader-elect=false", "--secure-port=0",
		"--controllers=job-controller,garbage-collector-controller,ttl-after-finished-controller")
	cmd.Stdout, cmd.Stderr = log, log
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("kube-controller-manager: %s", text[max(0, len(text)-3000):])
		}
	})
}

// allow gives the operator's service account exactly what config/rbac has for connectors with Jobs.
func (c *jobCluster) allow(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "rbac", "backend_roles.yaml"))
	must(t, err)
	var role rbacv1.ClusterRole
	must(t, yaml.Unmarshal([]byte(strings.Split(string(text), "\n---\n")[0]), &role))
	_, err = c.admin.RbacV1().ClusterRoles().Create(t.Context(), &role, metav1.CreateOptions{})
	must(t, err)
	_, err = c.admin.CoreV1().ServiceAccounts(c.namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "operator"}}, metav1.CreateOptions{})
	must(t, err)
	_, err = c.admin.RbacV1().RoleBindings(c.namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "jobs"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: c.namespace, Name: "operator"}},
	}, metav1.CreateOptions{})
	must(t, err)
	token, err := c.admin.CoreV1().ServiceAccounts(c.namespace).CreateToken(t.Context(), "operator", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	must(t, err)
	c.token = token.Status.Token
}

// runPods does for pods what a node would: it starts the container once its Secret is there, and ends it.
func (c *jobCluster) runPods(ctx context.Context) {
	for ctx.Err() == nil {
		pods, err := c.admin.CoreV1().Pods(c.namespace).List(ctx, metav1.ListOptions{})
		if err == nil {
			for i := range pods.Items {
				if p := &pods.Items[i]; p.Status.Phase == corev1.PodPending && p.DeletionTimestamp == nil {
					c.runPod(ctx, p)
				}
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c *jobCluster) runPod(ctx context.Context, p *corev1.Pod) {
	id := p.Labels["access.getcakewalk.io/task"]
	container := p.Spec.Containers[0]
	secret, err := c.admin.CoreV1().Secrets(c.namespace).Get(ctx, p.Spec.Volumes[len(p.Spec.Volumes)-1].Secret.SecretName, metav1.GetOptions{})
	if err != nil {
		return
	}
	seen := map[string]string{"event.json": string(secret.Data["event.json"])}
	for _, e := range container.Env {
		if e.ValueFrom != nil {
			seen[e.Name] = string(secret.Data[e.ValueFrom.SecretKeyRef.Key])
		}
	}
	c.mu.Lock()
	c.seen[id] = seen
	c.carried[id]++
	end := provisioningtest.Succeeds
	if ends := c.ends[id]; len(ends) > 0 {
		end = ends[0]
		if len(ends) > 1 {
			c.ends[id] = ends[1:]
		}
	}
	c.mu.Unlock()
	code, phase := int32(0), corev1.PodSucceeded
	switch end {
	case provisioningtest.FailsForNow:
		code, phase = 75, corev1.PodFailed
	case provisioningtest.Fails:
		code, phase = 3, corev1.PodFailed
	case provisioningtest.Succeeds:
	}
	p.Status.Phase = phase
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: container.Name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: code, Reason: "Ended", Message: "said\x1b[31m by\nthe container " + strings.Repeat("x", 5000), FinishedAt: metav1.Now(),
	}}}}
	if _, err := c.admin.CoreV1().Pods(c.namespace).UpdateStatus(ctx, p, metav1.UpdateOptions{}); err != nil {
		c.mu.Lock()
		c.carried[id]--
		c.mu.Unlock()
	}
}

const podTemplate = `{"spec": {"containers": [{"name": "change", "image": "example.com/change:1", "command": ["/change"]}]}}`

func (c *jobCluster) Executor(tb testing.TB) provisioning.Executor {
	return c.executor(tb, c.proxy.URL)
}

func (c *jobCluster) executor(tb testing.TB, url string) provisioning.Executor {
	tb.Helper()
	template, err := job.ParseTemplate([]byte(podTemplate), "default")
	must(tb, err)
	api, err := clientset.NewForConfig(&rest.Config{Host: url, BearerToken: c.token, QPS: -1})
	must(tb, err)
	return job.New(job.Options{
		Client: api, Namespace: c.namespace, Template: template, ServiceAccountName: "default", ActiveDeadline: time.Minute, TTL: time.Hour,
		OwnerAPIVersion: accessv1alpha1.GroupVersion.String(), OwnerKind: "AccessTask",
	})
}

func (c *jobCluster) Proxy() provisioningtest.Proxy { return c.proxy }

func (c *jobCluster) Ends(_ testing.TB, id string, ends ...provisioningtest.End) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends[id] = ends
}

func (c *jobCluster) Carried(_ testing.TB, id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.carried[id]
}

// Task makes the object that stands for the task: it owns the Jobs.
func (c *jobCluster) Task(tb testing.TB, id string) provisioning.Task {
	tb.Helper()
	object := &accessv1alpha1.AccessTask{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: id}, Spec: accessv1alpha1.AccessTaskSpec{TaskID: id}}
	if err := c.objects.Create(tb.Context(), object); apierrors.IsAlreadyExists(err) {
		err = c.objects.Get(tb.Context(), client.ObjectKeyFromObject(object), object)
		must(tb, err)
	} else {
		must(tb, err)
	}
	task := newTask(id)
	task.Namespace, task.UID = c.namespace, string(object.UID)
	return task
}

func (c *jobCluster) Traits() provisioningtest.ExecutorTraits {
	return provisioningtest.ExecutorTraits{
		// A Retry-After of the API server's is followed by client-go itself.
		Faults:  []provisioningtest.Fault{provisioningtest.Busy, provisioningtest.Fail, provisioningtest.FailAfter, provisioningtest.Hang},
		Secrets: func() []string { return []string{c.token} },
		Nowhere: func(tb testing.TB) provisioning.Executor { return c.executor(tb, "http://127.0.0.1:1") },
	}
}

func TestJobConformance(t *testing.T) {
	c := startJobCluster(t)
	provisioningtest.RunExecutorConformance(t, c)
	t.Run("the container finds the task", c.findsTheTask)
	t.Run("a person starts a failed task over", c.startsOver)
	t.Run("a Job that was seen to end is deleted after its time, and its Secret with it", c.cleansUp)
	t.Run("a right that is missing is named", c.namesTheRight)
}

func (c *jobCluster) findsTheTask(t *testing.T) {
	id := "10000000-0000-4000-8000-000000000001"
	task := c.Task(t, id)
	task.Attempt = 1
	said := c.toTheEnd(t, task)
	if !strings.Contains(said, "said [31m by the container xxx") || len(said) > 1200 {
		t.Errorf("message %q", said)
	}
	seen := c.seen[id]
	for name, want := range map[string]string{
		"ACCESS_TASK_ID": id, "ACCESS_TASK_ACTION": "Grant", "ACCESS_TASK_REQUEST_TYPE": "GrantAccessRequest", "ACCESS_TASK_SUBJECT": ann,
		"ACCESS_TASK_USER_EMAIL": ann, "ACCESS_TASK_WORK_APP": "Google Workspace", "ACCESS_TASK_PERMISSION_LEVEL": "Editor",
		"ACCESS_TASK_ENTITLEMENTS": "editors", "ACCESS_TASK_ATTEMPT": "1",
	} {
		if seen[name] != want {
			t.Errorf("%s=%q, want %q", name, seen[name], want)
		}
	}
	events, err := cakewalk.Decode([]byte(seen["event.json"]), 1)
	if err != nil || events[0].Task == nil || events[0].Task.Request.TargetUser.Email != ann {
		t.Errorf("event.json %s: %v", seen["event.json"], err)
	}
}

// toTheEnd carries a task out and returns what was said.
func (c *jobCluster) toTheEnd(t *testing.T, task provisioning.Task) string {
	t.Helper()
	e := c.executor(t, c.proxy.URL)
	for range 1200 {
		said, err := e.Execute(t.Context(), task)
		switch provisioning.Word(err) {
		case "ok":
			return said
		case "pending":
			time.Sleep(50 * time.Millisecond)
		default:
			return err.Error()
		}
	}
	t.Fatal("the task never ended")
	return ""
}

func (c *jobCluster) startsOver(t *testing.T) {
	id := "10000000-0000-4000-8000-000000000002"
	c.Ends(t, id, provisioningtest.Fails, provisioningtest.Succeeds)
	task := c.Task(t, id)
	task.Attempt = 1
	if said := c.toTheEnd(t, task); !strings.Contains(said, "exit code 3") {
		t.Error(said)
	}
	task.Run = "again, says Jane"
	if said := c.toTheEnd(t, task); !strings.Contains(said, "succeeded") {
		t.Error(said)
	}
	if got := c.Carried(t, id); got != 2 {
		t.Errorf("carried out %d times", got)
	}
}

func (c *jobCluster) cleansUp(t *testing.T) {
	id := "10000000-0000-4000-8000-000000000003"
	task := c.Task(t, id)
	task.Attempt = 1
	c.toTheEnd(t, task)
	jobs, err := c.admin.BatchV1().Jobs(c.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "access.getcakewalk.io/task=" + id})
	must(t, err)
	if len(jobs.Items) != 1 || jobs.Items[0].Spec.TTLSecondsAfterFinished == nil {
		t.Fatalf("%+v", jobs.Items)
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"ttlSecondsAfterFinished": 0}})
	must(t, err)
	_, err = c.admin.BatchV1().Jobs(c.namespace).Patch(t.Context(), jobs.Items[0].Name, "application/merge-patch+json", patch, metav1.PatchOptions{})
	must(t, err)
	for range 600 {
		_, err = c.admin.CoreV1().Secrets(c.namespace).Get(t.Context(), jobs.Items[0].Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Error("the Secret is still there: ", err)
}

func (c *jobCluster) namesTheRight(t *testing.T) {
	must(t, c.admin.RbacV1().RoleBindings(c.namespace).Delete(t.Context(), "jobs", metav1.DeleteOptions{}))
	var err error
	for range 100 {
		if err = c.executor(t, c.proxy.URL).Check(t.Context()); err != nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if provisioning.Word(err) != "unavailable" || !strings.Contains(fmt.Sprint(err), "access-operator-jobs") {
		t.Error(err)
	}
}
