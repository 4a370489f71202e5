// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	accessac "getcakewalk.io/access-operator/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// +kubebuilder:rbac:groups=access.getcakewalk.io,resources=accesstasks,verbs=get;list;watch;delete
// +kubebuilder:rbac:groups=access.getcakewalk.io,resources=accesstasks/status,verbs=patch
// +kubebuilder:rbac:groups=access.getcakewalk.io,resources=connectors,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=secrets;configmaps,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

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

// AccessTaskReconciler runs AccessTasks to completion. All fields but Now are required.
type AccessTaskReconciler struct {
	// Client reads from the cache and writes to the API server.
	client.Client
	// Recorder records events.
	Recorder events.EventRecorder
	// Audit is the audit log: one line per change of access that took effect.
	Audit logr.Logger
	// Targets gives access to the target systems.
	Targets Targets
	// Gates are shared with the ConnectorReconciler.
	Gates *Gates
	// Lineup knows the order of the tasks of a person in an application.
	Lineup *Lineup
	// Metrics are shared by all reconcilers.
	Metrics *Metrics
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Probe asks for a Connector to be probed soon.
	Probe func(connector types.NamespacedName)
}

var _ reconcile.Reconciler = (*AccessTaskReconciler)(nil)

// SetupWithManager adds the reconciler and its indexes to a manager.
func (r *AccessTaskReconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	if err := indexTasks(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("accesstask").
		For(&accessv1alpha1.AccessTask{}).
		Watches(&accessv1alpha1.Connector{}, handler.EnqueueRequestsFromMapFunc(r.tasksOf), wakingChanges()).
		WatchesRawSource(&wakeSource{reconciler: r}).
		WithOptions(controller.Options{MaxConcurrentReconciles: taskWorkers, ReconciliationTimeout: reconcileTimeout}).
		Complete(r)
}

// Reconcile visits one task: it fetches, decides, acts and writes the status once.
func (r *AccessTaskReconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	defer r.Gates.leave(req.NamespacedName)
	task := &accessv1alpha1.AccessTask{}
	if err := r.Get(ctx, req.NamespacedName, task); err != nil {
		if apierrors.IsNotFound(err) {
			r.Gates.unpark(req.NamespacedName)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !task.DeletionTimestamp.IsZero() {
		return reconcile.Result{}, nil
	}
	connectors, err := r.connectors(ctx, req.Namespace)
	if err != nil {
		return reconcile.Result{}, err
	}
	d := decide(view{task: task, connectors: connectors, lineup: r.Lineup, now: r.now(), changedAt: r.Gates.changedAt})
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

// write records the outcome: status, event, metrics and audit log.
func (r *AccessTaskReconciler) write(ctx context.Context, task *accessv1alpha1.AccessTask, d decision) (reconcile.Result, error) {
	status := settle(task, d.base, d.connector, r.kindOf(d.connector), d.outcome, r.now())
	after := d.outcome.after
	if d.outcome.finished != "" {
		after = ttlLeft(task)
	}
	if err := r.apply(ctx, task, status); err != nil {
		return again(err)
	}
	return reconcile.Result{RequeueAfter: after}, nil
}

// apply writes a status where it differs, and tells of the change. The write fails with a conflict if anybody changed
// the task since it was read. The task then carries what the API server stored.
func (r *AccessTaskReconciler) apply(ctx context.Context, task *accessv1alpha1.AccessTask, status accessv1alpha1.AccessTaskStatus) error {
	before := task.Status
	if equality.Semantic.DeepEqual(before, status) {
		return nil
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
	return nil
}

// delete removes a task whose time to be kept is over, unless it was changed meanwhile.
func (r *AccessTaskReconciler) delete(ctx context.Context, task *accessv1alpha1.AccessTask) error {
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
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}

// ttlLeft is when a task that finishes now is to be deleted; zero for never.
func ttlLeft(task *accessv1alpha1.AccessTask) time.Duration {
	ttl := task.Spec.TTLSecondsAfterFinished
	if ttl == nil {
		return 0
	}
	// A moment later: what the decision compares is rounded to seconds.
	return time.Duration(*ttl)*time.Second + time.Second
}
