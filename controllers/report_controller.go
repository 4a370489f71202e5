// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

const (
	// reportWorkers is how many tasks are reported at the same time.
	reportWorkers = 8
	// reportTimeout bounds one try to report, which is up to four requests that each wait for their turn.
	reportTimeout = time.Minute
)

// ReportReconciler tells Cakewalk how tasks ended. It has a queue of its own, so that a report that fails never has a task
// provisioned again, and no task waits for a report. All fields are required.
type ReportReconciler struct {
	// Tasks writes the status of tasks.
	Tasks *AccessTaskReconciler
}

var _ reconcile.Reconciler = (*ReportReconciler)(nil)

// SetupWithManager adds the reconciler to a manager.
func (r *ReportReconciler) SetupWithManager(mgr ctrl.Manager) error {
	due := predicate.NewPredicateFuncs(func(o client.Object) bool {
		task, ok := o.(*accessv1alpha1.AccessTask)
		return ok && unreported(&task.Status)
	})
	return ctrl.NewControllerManagedBy(mgr).
		Named("report").
		For(&accessv1alpha1.AccessTask{}, builder.WithPredicates(due)).
		WithOptions(controller.Options{MaxConcurrentReconciles: reportWorkers, ReconciliationTimeout: reportTimeout, NewQueue: r.Tasks.newQueue()}).
		Complete(r)
}

// Reconcile tries once to report a task.
func (r *ReportReconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	task := &accessv1alpha1.AccessTask{}
	if err := r.Tasks.read(ctx, req.NamespacedName, task); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !task.DeletionTimestamp.IsZero() || !unreported(&task.Status) {
		return reconcile.Result{}, nil
	}
	if r.Tasks.writes.stale(req.NamespacedName, task.ResourceVersion) {
		return reconcile.Result{RequeueAfter: time.Second}, nil
	}
	receiver, err := r.Tasks.receiver(ctx, task)
	if err != nil {
		return reconcile.Result{}, err
	}
	over := r.Tasks.now().Sub(endOf(task))
	became := reported{}
	if what := reportOf(task, &task.Status, receiver); what == reportNothing {
		// The receiver was deleted or does not want reports any more.
		if receiver != nil {
			return r.write(ctx, task, reported{})
		}
		became = notTold(errors.New("the WebhookReceiver of the task does not exist"), over)
	} else {
		became = r.report(ctx, task, receiver, what, over)
	}
	if ctx.Err() != nil {
		return reconcile.Result{}, ctx.Err()
	}
	if became.status == metav1.ConditionUnknown && over < reportTroubleAfter {
		return reconcile.Result{RequeueAfter: spread(became.after)}, nil
	}
	return r.write(ctx, task, became)
}

// report reads the task in Cakewalk and, where it is open there, approves or declines it. Neither is idempotent, and an
// answer can be lost: what is read comes first on every try.
func (r *ReportReconciler) report(ctx context.Context, task *accessv1alpha1.AccessTask, receiver *accessv1alpha1.WebhookReceiver, what report, over time.Duration) reported {
	open := receiver.Spec.CakewalkAPI.OpenStatuses
	known, err := r.Tasks.ask(ctx, task, receiver)
	if err != nil {
		return r.later(err, over)
	}
	if told, ok := toldAlready(what, known, open); ok {
		return told
	}
	if err := r.tell(ctx, task, receiver, what); err != nil {
		if cakewalk.FaultOf(err) != cakewalk.FaultConflict {
			return r.later(err, over)
		}
		// Somebody acted meanwhile; what they did is seen now, or counts as the same.
		if known, err := r.Tasks.ask(ctx, task, receiver); err == nil {
			if told, ok := toldAlready(what, known, open); ok {
				return told
			}
		}
		return reported{status: metav1.ConditionTrue, reason: accessv1alpha1.ReasonAlreadyApproved, message: "somebody else closed the task in Cakewalk"}
	}
	if what == reportDecline {
		return reported{status: metav1.ConditionTrue, reason: accessv1alpha1.ReasonDeclined, message: "declined in Cakewalk"}
	}
	return reported{status: metav1.ConditionTrue, reason: accessv1alpha1.ReasonApproved, message: "approved in Cakewalk"}
}

// tell approves or declines a task.
func (r *ReportReconciler) tell(ctx context.Context, task *accessv1alpha1.AccessTask, receiver *accessv1alpha1.WebhookReceiver, what report) error {
	api, err := r.Tasks.Cakewalk.Client(ctx, receiver)
	if err != nil {
		return err
	}
	if what == reportDecline {
		return api.Decline(ctx, task.Spec.TaskID, raw(receiver.Spec.CakewalkAPI.DeclineBody))
	}
	return api.Approve(ctx, task.Spec.TaskID, raw(receiver.Spec.CakewalkAPI.ApproveBody))
}

// later is what became of a report that failed, not before the API wants to be asked again.
func (r *ReportReconciler) later(err error, over time.Duration) reported {
	became := notTold(err, over)
	if of, ok := errors.AsType[*cakewalk.APIError](err); ok {
		became.after = max(became.after, of.After)
	}
	return became
}

// write records what became of a report; an empty one takes the condition off.
func (r *ReportReconciler) write(ctx context.Context, task *accessv1alpha1.AccessTask, became reported) (reconcile.Result, error) {
	status := *task.Status.DeepCopy()
	conditionSetter(&status, task.Generation, r.Tasks.now())(accessv1alpha1.ConditionReported, became.status, became.reason, became.message)
	if err := r.Tasks.apply(ctx, task, status, findings{}); err != nil {
		return again(err)
	}
	if became.status != metav1.ConditionUnknown {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{RequeueAfter: spread(became.after)}, nil
}

// spread lets tasks that failed together come back at different moments.
func spread(after time.Duration) time.Duration {
	return after + time.Duration(rand.Float64()*float64(after)/4) //nolint:gosec // a delay is no secret
}

func raw(o *runtime.RawExtension) []byte {
	if o == nil {
		return nil
	}
	return o.Raw
}
