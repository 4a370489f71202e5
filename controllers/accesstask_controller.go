// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	accessac "getcakewalk.io/access-operator/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/audit"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// +kubebuilder:rbac:groups=access.getcakewalk.io,resources=accesstasks,verbs=list;watch;delete
// +kubebuilder:rbac:groups=access.getcakewalk.io,resources=accesstasks/status,verbs=patch
// +kubebuilder:rbac:groups=access.getcakewalk.io,resources=connectors,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=secrets;configmaps,verbs=get
// An event names the version of its object, and each is told after a write: none is ever repeated, which would take patch.
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create

const (
	// taskWorkers is how many tasks are visited at the same time. Slots per connector, of which there are at most 32, keep
	// one connector from taking them all.
	taskWorkers = 256
	// reconcileTimeout bounds one visit; provisionTimeout, shorter, bounds its calls to the target system, so that there
	// is always time left to write down what was done.
	reconcileTimeout = 2 * time.Minute
	provisionTimeout = 90 * time.Second
	// parkedStatusAfter is how long a task is parked before its status says that it waits for its turn: most waits are
	// over sooner, and a write for each would slow down those who wait.
	parkedStatusAfter = 15 * time.Second
	// waitingStatusAfter is the same for a task that waits for an older one of the same person and application.
	waitingStatusAfter = time.Minute
)

// Targets gives access to the target systems of Connectors. Errors are those of internal/provisioning.
type Targets interface {
	// Engine returns the engine of a Connector, nil for a backend that leaves everything to a person.
	Engine(ctx context.Context, c *accessv1alpha1.Connector) (*provisioning.Engine, error)
	// Subject returns whom a request is about in the target system.
	Subject(ctx context.Context, c *accessv1alpha1.Connector, request *accessv1alpha1.AccessRequest) (provisioning.Subject, error)
	// Kind names a Connector's kind of backend, for example scim.
	Kind(c *accessv1alpha1.Connector) string
	// Revision changes when the Connector or something that it refers to changes.
	Revision(ctx context.Context, c *accessv1alpha1.Connector) (string, error)
	// Forget drops what is kept of a Connector that was deleted.
	Forget(connector types.NamespacedName)
}

// AccessTaskReconciler runs AccessTasks to completion. All fields but Clock and Leading are required.
type AccessTaskReconciler struct {
	// Client reads from the cache and writes to the API server.
	client.Client
	// Recorder records events.
	Recorder events.EventRecorder
	// Live reads from the API server what the cache does not hold whole.
	Live client.Reader
	// Audit is the audit log. What cannot be written there is not done.
	Audit *audit.Log
	// Targets gives access to the target systems.
	Targets Targets
	// Cakewalk gives the clients of Cakewalk's Open API.
	Cakewalk Cakewalk
	// Lookout asks Cakewalk about tasks that wait.
	Lookout *Lookout
	// Gates are shared with the ConnectorReconciler.
	Gates *Gates
	// Lineup knows the order of the tasks of a person in an application.
	Lineup *Lineup
	// Metrics are shared by all reconcilers.
	Metrics *Metrics
	// Clock is the clock; nil is the system's.
	Clock clock.WithTicker
	// Leading is asked before every change in a target system; an error means that another process may lead. Nil: none can.
	Leading func() error
	// Probe asks for a Connector to be probed soon.
	Probe func(connector types.NamespacedName)

	writes writes
	names  names
}

var _ reconcile.Reconciler = (*AccessTaskReconciler)(nil)

// SetupWithManager adds the reconciler and its indexes to a manager.
func (r *AccessTaskReconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	if err := indexTasks(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("accesstask").
		For(&accessv1alpha1.AccessTask{}, builder.WithPredicates(r.notClosed())).
		Watches(&accessv1alpha1.Connector{}, handler.EnqueueRequestsFromMapFunc(r.tasksOf), wakingChanges()).
		Watches(&accessv1alpha1.WebhookReceiver{}, handler.EnqueueRequestsFromMapFunc(r.tasksOf), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(r.wakeSource()).
		// No task is decided about before the lineup knows the others.
		WatchesRawSource(told(r.Lineup.synced)).
		WithOptions(controller.Options{MaxConcurrentReconciles: taskWorkers, ReconciliationTimeout: reconcileTimeout, NewQueue: r.newQueue()}).
		Complete(r)
}

// Reconcile visits one task: it fetches, decides, acts and writes the status once.
func (r *AccessTaskReconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	defer r.Gates.leave(req.NamespacedName)
	task := &accessv1alpha1.AccessTask{}
	if err := r.read(ctx, req.NamespacedName, task); err != nil {
		if apierrors.IsNotFound(err) {
			r.Gates.unpark(req.NamespacedName)
			r.writes.forget(req.NamespacedName)
			r.Lookout.forget(req.NamespacedName)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !task.DeletionTimestamp.IsZero() {
		return reconcile.Result{}, nil
	}
	if r.writes.stale(req.NamespacedName, task.ResourceVersion) {
		// What was written is on its way, and brings the task back.
		return reconcile.Result{RequeueAfter: time.Second}, nil
	}
	v, err := r.view(ctx, task)
	if err != nil {
		return reconcile.Result{}, err
	}
	d := decide(v)
	ctx, visited := trace(ctx, task, d)
	defer func() { visited(d) }()
	switch d.verb {
	case verbDelete:
		// The object is gone, or was changed meanwhile and comes back by itself.
		return reconcile.Result{}, r.delete(ctx, task)
	case verbPlan, verbProvision:
		// Settled or parked; where the task waits for something that sends no event, the result says for how long.
		d = r.act(ctx, task, d)
	case verbWait, verbSettle:
	}
	if d.verb != verbSettle {
		return reconcile.Result{RequeueAfter: d.after}, nil
	}
	if ctx.Err() != nil {
		// The process ends: the next one observes what was done.
		return reconcile.Result{}, ctx.Err()
	}
	r.close(d)
	return r.write(ctx, task, d)
}

// read reads a task, from the API server where the cache does not hold it whole.
func (r *AccessTaskReconciler) read(ctx context.Context, name types.NamespacedName, task *accessv1alpha1.AccessTask) error {
	err := r.Get(ctx, name, task)
	if err == nil || apierrors.IsNotFound(err) || ctx.Err() != nil {
		return err
	}
	// By a list, for which the controllers have the right.
	var found accessv1alpha1.AccessTaskList
	if err := r.Live.List(ctx, &found, client.InNamespace(name.Namespace), client.MatchingFields{"metadata.name": name.Name}); err != nil {
		return fmt.Errorf("reading a task: %w", err)
	}
	if len(found.Items) == 0 {
		return apierrors.NewNotFound(accessv1alpha1.GroupVersion.WithResource("accesstasks").GroupResource(), name.Name)
	}
	found.Items[0].DeepCopyInto(task)
	return nil
}

// view gathers what a decision about a task rests on.
func (r *AccessTaskReconciler) view(ctx context.Context, task *accessv1alpha1.AccessTask) (view, error) {
	v := view{task: task, told: r.Lookout.told(client.ObjectKeyFromObject(task)), lineup: r.Lineup, now: r.now(), changedAt: r.Gates.changedAt}
	var err error
	if v.receiver, err = r.receiver(ctx, task); err != nil {
		return v, err
	}
	v.connectors, err = r.connectors(ctx, task.Namespace)
	return v, err
}

// receiver returns the WebhookReceiver that stored a task, the cache's own object, which must not be changed; nil for none
// or one that does not exist.
func (r *AccessTaskReconciler) receiver(ctx context.Context, task *accessv1alpha1.AccessTask) (*accessv1alpha1.WebhookReceiver, error) {
	if task.Spec.ReceiverRef == nil {
		return nil, nil
	}
	receiver := &accessv1alpha1.WebhookReceiver{}
	err := r.Get(ctx, types.NamespacedName{Namespace: task.Namespace, Name: task.Spec.ReceiverRef.Name}, receiver, client.UnsafeDisableDeepCopy)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the WebhookReceiver of a task: %w", err)
	}
	return receiver, nil
}

// write records the outcome: status, event, metrics and audit log.
func (r *AccessTaskReconciler) write(ctx context.Context, task *accessv1alpha1.AccessTask, d decision) (reconcile.Result, error) {
	status := settle(task, d.base, d.connector, r.kindOf(d.connector), d.outcome, r.now())
	settleReport(&status, task, d.receiver, d.outcome, r.now())
	if err := r.apply(ctx, task, status, d.found); err != nil {
		return again(err)
	}
	r.Lookout.forget(client.ObjectKeyFromObject(task))
	return reconcile.Result{RequeueAfter: d.outcome.after}, nil
}

// apply writes a status where it differs, and tells of the change: the audit log before it is written, so that a crash
// loses no line, and everybody else after. The write fails with a conflict if anybody changed
// the task since it was read. The task then carries what the API server stored.
func (r *AccessTaskReconciler) apply(ctx context.Context, task *accessv1alpha1.AccessTask, status accessv1alpha1.AccessTaskStatus, found findings) error {
	before := task.Status
	if equality.Semantic.DeepEqual(before, status) {
		return nil
	}
	if err := r.Audit.Write(ctx, auditor{task: task, before: &before, after: &status, found: found}.lines()...); err != nil {
		return err
	}
	if err := r.put(ctx, task, status); err != nil {
		return err
	}
	r.tell(ctx, task, before)
	return nil
}

// put writes a status, also where it does not differ: then nothing is stored, and it is known that the task was not
// changed since it was read.
func (r *AccessTaskReconciler) put(ctx context.Context, task *accessv1alpha1.AccessTask, status accessv1alpha1.AccessTaskStatus) error {
	config := accessac.AccessTask(task.Name, task.Namespace).WithResourceVersion(task.ResourceVersion)
	var err error
	if config.Status, err = convert[accessac.AccessTaskStatusApplyConfiguration](status); err != nil {
		return err
	}
	if err := r.Status().Apply(ctx, config, client.ForceOwnership, client.FieldOwner(fieldOwner)); err != nil {
		return fmt.Errorf("writing status: %w", err)
	}
	task.ResourceVersion, task.Status = *config.ResourceVersion, status
	r.writes.note(client.ObjectKeyFromObject(task), task.ResourceVersion)
	return nil
}

// delete removes a task whose time to be kept is over, unless it was changed meanwhile.
func (r *AccessTaskReconciler) delete(ctx context.Context, task *accessv1alpha1.AccessTask) error {
	if err := r.Audit.Write(ctx, deletion(task)); err != nil {
		return err
	}
	err := r.Delete(ctx, task, client.Preconditions{UID: &task.UID, ResourceVersion: &task.ResourceVersion})
	if apierrors.IsConflict(err) {
		return nil
	}
	return client.IgnoreNotFound(err)
}

// again is the result of a write that failed. A conflict is no error: the newer object is on its way.
func again(err error) (reconcile.Result, error) {
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: time.Second}, nil
	}
	return reconcile.Result{}, client.IgnoreNotFound(err)
}

func (r *AccessTaskReconciler) connectors(ctx context.Context, namespace string) ([]*accessv1alpha1.Connector, error) {
	var all accessv1alpha1.ConnectorList
	// The objects are the cache's own and must not be changed; copying them for every visit of every task would cost more
	// than all the rest.
	if err := r.List(ctx, &all, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing connectors: %w", err)
	}
	connectors := make([]*accessv1alpha1.Connector, len(all.Items))
	for i := range all.Items {
		connectors[i] = &all.Items[i]
	}
	return connectors, nil
}

// Wake visits the unfinished tasks that a change of a Connector can concern.
func (r *AccessTaskReconciler) Wake(ctx context.Context, c *accessv1alpha1.Connector) {
	for _, request := range r.tasksOf(ctx, c) {
		r.Gates.wakeTask(request.NamespacedName)
	}
}

func (r *AccessTaskReconciler) kindOf(c *accessv1alpha1.Connector) string {
	if c == nil {
		return ""
	}
	return r.Targets.Kind(c)
}

func (r *AccessTaskReconciler) now() time.Time {
	if r.Clock == nil {
		return time.Now()
	}
	return r.Clock.Now()
}

// ticker ticks by the reconciler's clock.
func (r *AccessTaskReconciler) ticker(every time.Duration) clock.Ticker {
	if r.Clock == nil {
		return clock.RealClock{}.NewTicker(every)
	}
	return r.Clock.NewTicker(every)
}

// newQueue makes the queue of a controller that goes by the reconciler's clock; nil is the usual one.
func (r *AccessTaskReconciler) newQueue() func(string, workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
	if r.Clock == nil {
		return nil
	}
	return func(name string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
		return workqueue.NewTypedRateLimitingQueueWithConfig(limiter, workqueue.TypedRateLimitingQueueConfig[reconcile.Request]{Name: name, Clock: r.Clock})
	}
}
