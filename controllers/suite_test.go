// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/audit"
	"getcakewalk.io/access-operator/internal/openapi"
	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/provisioningtest"
	"getcakewalk.io/access-operator/internal/testenv"
)

var env *testenv.Env

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	testenv.Main(m, &env)
}

// fakeTargets gives every Connector the target system in memory that is registered under its name.
type fakeTargets struct {
	mu      sync.Mutex
	fakes   map[string]*provisioningtest.Fake
	ledgers map[string]*provisioning.Ledger
	// executors carry out whole tasks, by the Connector's name.
	executors map[string]provisioning.Executor
	revision  atomic.Int64
}

func (f *fakeTargets) Engine(_ context.Context, c *accessv1alpha1.Connector) (*provisioning.Engine, error) {
	if c.Spec.Manual != nil {
		return nil, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.executors[c.Name]; e != nil {
		return &provisioning.Engine{Executor: e}, nil
	}
	if f.fakes[c.Name] == nil {
		return nil, provisioning.Unavailable(accessv1alpha1.ReasonInvalidConfiguration, errors.New("no such target"))
	}
	return &provisioning.Engine{Backend: f.fakes[c.Name], Ledger: f.ledgers[c.Name]}, nil
}

func (f *fakeTargets) Subject(_ context.Context, _ *accessv1alpha1.Connector, r *accessv1alpha1.AccessRequest) (provisioning.Subject, error) {
	return provisioning.Subject{ID: r.TargetUser.Email}, nil
}

func (f *fakeTargets) Kind(c *accessv1alpha1.Connector) string {
	if c.Spec.Manual != nil {
		return "manual"
	}
	return "scim"
}

func (f *fakeTargets) Revision(_ context.Context, c *accessv1alpha1.Connector) (string, error) {
	return fmt.Sprintf("%d/%d", c.Generation, f.revision.Load()), nil
}

func (f *fakeTargets) Forget(types.NamespacedName) {}

// rig is a namespace with running controllers and target systems in memory.
type rig struct {
	client.WithWatch
	t         *testing.T
	namespace string
	targets   *fakeTargets
	auditLog  auditLog
	// config connects the controllers.
	config *rest.Config
	// clock is the controllers' clock; nil is the system's.
	clock clock.WithTicker
	// fails is when calls of the target system "a" fail; nil is never.
	fails func(operation string, s provisioning.Subject) error
	stop  func()
	// elected is closed when the controllers were started.
	elected <-chan struct{}
	mu      sync.Mutex
	// received is when the newest task was received.
	received time.Time
}

// auditLog keeps what is written, or refuses it.
type auditLog struct {
	mu      sync.Mutex
	text    bytes.Buffer
	full    bool
	refused int
}

func (l *auditLog) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full {
		l.refused++
		return 0, errors.New("no space is left")
	}
	return l.text.Write(text)
}

// fill has the log refuse what is written from now on, or take it again. It returns how often it has refused.
func (l *auditLog) fill(full bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.full = full
	return l.refused
}

// newRig makes a rig whose Connector "a" serves "Google Workspace" in the returned target system: with the active
// accounts ann and bob, and bob in both groups.
func newRig(t *testing.T, change ...func(*rig)) (*rig, *provisioningtest.Fake) {
	t.Helper()
	t.Parallel()
	r := &rig{
		WithWatch: env.Client(t), t: t, namespace: env.Namespace(t), received: t0, config: env.Config,
		targets: &fakeTargets{fakes: map[string]*provisioningtest.Fake{}, ledgers: map[string]*provisioning.Ledger{}},
	}
	for _, f := range change {
		f(r)
	}
	fake := r.target("a")
	fake.Fail = r.fails
	r.start()
	t.Cleanup(func() { r.stop() })
	return r, fake
}

// target registers a target system under the name of a Connector.
func (r *rig) target(connector string) *provisioningtest.Fake {
	fake := provisioningtest.New([]string{"ann@example.com", "bob@example.com"}, []string{"members", "editors"})
	fake.Join("members", "bob@example.com")
	fake.Join("editors", "bob@example.com")
	r.targets.mu.Lock()
	defer r.targets.mu.Unlock()
	r.targets.fakes[connector], r.targets.ledgers[connector] = fake, &provisioning.Ledger{}
	return fake
}

// start runs the controllers on the rig's namespace until stop is called.
func (r *rig) start() {
	r.t.Helper()
	mgr, err := ctrl.NewManager(r.config, ctrl.Options{
		Scheme:                  env.Scheme,
		Metrics:                 metricsserver.Options{BindAddress: "0"},
		NewCache:                NewCache,
		Cache:                   cache.Options{DefaultNamespaces: map[string]cache.Config{r.namespace: {}}},
		Controller:              config.Controller{SkipNameValidation: new(true)},
		GracefulShutdownTimeout: new(30 * time.Second),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.elected = mgr.Elected()
	ctx, cancel := context.WithCancel(context.Background())
	now := time.Now
	if r.clock != nil {
		now = r.clock.Now
	}
	clients, err := openapi.NewClients(r, prometheus.NewRegistry(), now)
	if err != nil {
		r.t.Fatal(err)
	}
	o := Options{Targets: r.targets, Cakewalk: clients, Audit: audit.New(&r.auditLog, nil), Registry: prometheus.NewRegistry(), Clock: r.clock}
	if err := AddToManager(ctx, mgr, o); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Error("the manager ended:", err)
		}
	})
}

// connector creates a Connector like newConnector's.
func (r *rig) connector(name string, change ...func(*accessv1alpha1.Connector)) *accessv1alpha1.Connector {
	r.t.Helper()
	soon := func(c *accessv1alpha1.Connector) { c.Spec.Retry.MinDelaySeconds = 1 }
	c := newConnector(name, slices.Insert(change, 0, soon)...)
	c.Namespace, c.Generation, c.Status = r.namespace, 0, accessv1alpha1.ConnectorStatus{}
	if c.Spec.SCIM != nil {
		c.Spec.SCIM.Authentication.Bearer = &accessv1alpha1.BearerAuthentication{TokenSecretRef: accessv1alpha1.SecretKeyReference{Name: "s", Key: "k"}}
	}
	if err := r.Create(r.t.Context(), c); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// task creates an AccessTask like newTask's, for ann.
func (r *rig) task(change ...func(*accessv1alpha1.AccessTask)) *accessv1alpha1.AccessTask {
	r.t.Helper()
	// One after the other, also where several are made at once.
	r.mu.Lock()
	r.received = r.received.Add(time.Millisecond)
	received := r.received
	r.mu.Unlock()
	task := newTask(append([]func(*accessv1alpha1.AccessTask){func(t *accessv1alpha1.AccessTask) {
		t.Spec.ReceivedTime = new(metav1.NewMicroTime(received))
	}}, change...)...)
	task.Namespace, task.Name, task.Generation = r.namespace, uuid.NewString(), 0
	task.Spec.TaskID = task.Name
	if u := taskUser(task); u != nil {
		u.Email = strings.ToLower(u.Email)
	}
	if err := r.Create(r.t.Context(), task); err != nil {
		r.t.Fatal(err)
	}
	return task
}

func taskUser(task *accessv1alpha1.AccessTask) *accessv1alpha1.User {
	if task.Spec.Request == nil {
		return nil
	}
	return task.Spec.Request.TargetUser
}

func forUser(email string) func(*accessv1alpha1.AccessTask) {
	return func(t *accessv1alpha1.AccessTask) {
		t.Spec.Request.TargetUser = &accessv1alpha1.User{ID: email, Email: email}
	}
}

// eventually repeats check until it returns nil.
func (r *rig) eventually(check func() error) {
	r.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatal("never came true: ", err)
		}
		if now, ok := r.clock.(*clocktesting.FakeClock); ok {
			now.Step(time.Second)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// until waits until a task's Succeeded has a reason, and returns the task then.
func (r *rig) until(task *accessv1alpha1.AccessTask, reason string) *accessv1alpha1.AccessTask {
	r.t.Helper()
	now := &accessv1alpha1.AccessTask{}
	r.eventually(func() error {
		if err := r.Get(r.t.Context(), client.ObjectKeyFromObject(task), now); err != nil {
			return err
		}
		if got := reasonOf(&now.Status); got != reason {
			return fmt.Errorf("%s is %s (%s), want %s", now.Name, got, message(now), reason)
		}
		return nil
	})
	return now
}

func message(task *accessv1alpha1.AccessTask) string {
	if c := meta.FindStatusCondition(task.Status.Conditions, accessv1alpha1.ConditionSucceeded); c != nil {
		return c.Message
	}
	return ""
}

// ready waits until a Connector's Ready has a reason.
func (r *rig) ready(c *accessv1alpha1.Connector, status metav1.ConditionStatus, reason string) *accessv1alpha1.Connector {
	r.t.Helper()
	now := &accessv1alpha1.Connector{}
	r.eventually(func() error {
		if err := r.Get(r.t.Context(), client.ObjectKeyFromObject(c), now); err != nil {
			return err
		}
		got := meta.FindStatusCondition(now.Status.Conditions, accessv1alpha1.ConditionReady)
		if got == nil || got.Status != status || got.Reason != reason {
			return fmt.Errorf("%s is %+v, want %s %s", now.Name, got, status, reason)
		}
		return nil
	})
	return now
}

// annotate sets an annotation.
func (r *rig) annotate(task *accessv1alpha1.AccessTask, key, value string) {
	r.t.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, key, value)
	if err := r.Patch(r.t.Context(), &accessv1alpha1.AccessTask{ObjectMeta: metav1.ObjectMeta{Namespace: task.Namespace, Name: task.Name}}, client.RawPatch(types.MergePatchType, patch)); err != nil {
		r.t.Fatal(err)
	}
}

// patch changes an object's spec.
func (r *rig) patch(o client.Object, spec string) {
	r.t.Helper()
	if err := r.Patch(r.t.Context(), o, client.RawPatch(types.MergePatchType, []byte(`{"spec":`+spec+`}`))); err != nil {
		r.t.Fatal(err)
	}
}
