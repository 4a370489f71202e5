// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	accessac "getcakewalk.io/access-operator/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// +kubebuilder:rbac:groups=access.getcakewalk.io,resources=connectors/status,verbs=patch

const (
	// connectorWorkers is how many Connectors are visited at the same time.
	connectorWorkers = 16
	// probeTimeout bounds one probe.
	probeTimeout = 30 * time.Second
	// referencesUnready and referencesReady are how often the Secrets of a Connector are looked at for changes. Secrets are
	// read by name: a watch would need the right to read all of them.
	referencesUnready = 2 * time.Second
	referencesReady   = 10 * time.Second
	// reprobeMin and reprobeMax bound how soon a Connector that is not ready is probed again; it doubles in between.
	reprobeMin = 5 * time.Second
	reprobeMax = time.Minute
	// countsDelay is how long changed counts of tasks wait for more of them.
	countsDelay = 5 * time.Second
)

// ConnectorReconciler probes Connectors, writes their status and wakes the tasks that wait for them. All fields but Now
// are required.
type ConnectorReconciler struct {
	// Client reads from the cache and writes to the API server.
	client.Client
	// Recorder records events.
	Recorder events.EventRecorder
	// Targets gives access to the target systems.
	Targets Targets
	// Gates are shared with the AccessTaskReconciler.
	Gates *Gates
	// Census counts the tasks.
	Census *Census
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Wake visits the tasks of a Connector.
	Wake func(ctx context.Context, c *accessv1alpha1.Connector)

	mu     sync.Mutex
	queue  workqueue.TypedRateLimitingInterface[reconcile.Request]
	probes map[types.NamespacedName]probe
}

// probe is what is remembered of a Connector's probes. Losing it costs one probe.
type probe struct {
	// revision is what was probed.
	revision string
	// at is when.
	at time.Time
	// failures is how many in a row failed.
	failures int
	// asked tells that a task asks for a probe.
	asked bool
}

var _ reconcile.Reconciler = (*ConnectorReconciler)(nil)

// SetupWithManager adds the reconciler to a manager.
func (r *ConnectorReconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.probes = map[types.NamespacedName]probe{}
	queue := source.Func(func(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.queue = q
		r.Census.setMoved(func(connector types.NamespacedName) {
			if connector.Name != "" {
				q.AddAfter(reconcile.Request{NamespacedName: connector}, countsDelay)
			}
		})
		return nil
	})
	return ctrl.NewControllerManagedBy(mgr).
		Named("connector").
		For(&accessv1alpha1.Connector{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(queue).
		// The status tells how many tasks there are.
		WatchesRawSource(told(r.Census.synced)).
		WithOptions(controller.Options{MaxConcurrentReconciles: connectorWorkers, ReconciliationTimeout: reconcileTimeout}).
		Complete(r)
}

// Probe asks for a Connector to be probed soon, because a task found it unavailable.
func (r *ConnectorReconciler) Probe(connector types.NamespacedName) {
	r.askProbe(connector)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.queue != nil {
		r.queue.Add(reconcile.Request{NamespacedName: connector})
	}
}

// Reconcile visits one Connector.
func (r *ConnectorReconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	c := &accessv1alpha1.Connector{}
	if err := r.Get(ctx, req.NamespacedName, c); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.NamespacedName)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !c.DeletionTimestamp.IsZero() {
		return reconcile.Result{}, nil
	}
	revision, err := r.Targets.Revision(ctx, c)
	if err != nil {
		return reconcile.Result{}, err
	}
	status := *c.Status.DeepCopy()
	status.ObservedGeneration = new(c.Generation)
	status.Backend = r.Targets.Kind(c)
	status.Tasks = new(r.Census.of(req.NamespacedName))
	now := r.now()
	last := r.takeProbe(req.NamespacedName)
	changed := last.revision != "" && last.revision != revision
	if changed {
		r.Gates.reopen(req.NamespacedName)
	}
	if probeDue(c, last, revision, now) {
		ready := r.probe(ctx, c)
		ready.LastTransitionTime = metav1.NewTime(now)
		ready.ObservedGeneration = c.Generation
		if ready.Status == metav1.ConditionTrue && !meta.IsStatusConditionTrue(status.Conditions, accessv1alpha1.ConditionReady) {
			r.Gates.healed(req.NamespacedName)
		}
		meta.SetStatusCondition(&status.Conditions, ready)
		status.LastProbeTime = new(metav1.NewTime(now))
		last = r.probed(req.NamespacedName, revision, ready.Status == metav1.ConditionTrue, now)
	}
	if changed {
		// A changed Secret changes nothing on the Connector that tasks are woken by.
		r.Wake(ctx, c)
	}
	if err := r.write(ctx, c, status); err != nil {
		// What this probe found was not written: the next visit finds it again.
		r.askProbe(req.NamespacedName)
		return again(err)
	}
	// Again when it is time to probe, or to look whether a Secret was changed.
	return reconcile.Result{RequeueAfter: nextVisit(c, status, last, now)}, nil
}

// probeDue tells whether a Connector is to be probed now.
func probeDue(c *accessv1alpha1.Connector, last probe, revision string, now time.Time) bool {
	ready := meta.FindStatusCondition(c.Status.Conditions, accessv1alpha1.ConditionReady)
	if ready == nil || ready.ObservedGeneration != c.Generation || last.revision != revision || last.asked {
		return true
	}
	return !now.Before(last.at.Add(probeEvery(c, last)))
}

// probeEvery is how long after a probe the next one is due.
func probeEvery(c *accessv1alpha1.Connector, last probe) time.Duration {
	interval := time.Duration(c.Spec.ProbeIntervalSeconds) * time.Second
	if last.failures == 0 {
		return interval
	}
	return min(reprobeMin<<min(last.failures-1, 10), reprobeMax)
}

// nextVisit is how long to wait until the Connector is visited again.
func nextVisit(c *accessv1alpha1.Connector, s accessv1alpha1.ConnectorStatus, last probe, now time.Time) time.Duration {
	look := referencesReady
	if !meta.IsStatusConditionTrue(s.Conditions, accessv1alpha1.ConditionReady) {
		look = referencesUnready
	}
	return max(min(look, last.at.Add(probeEvery(c, last)).Sub(now)), time.Second)
}

// probe returns the condition Ready. What a task found counts too, as long as it keeps the connector closed: a target
// system may answer a probe and refuse what tasks need.
func (r *ConnectorReconciler) probe(ctx context.Context, c *accessv1alpha1.Connector) metav1.Condition {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	ready := metav1.Condition{Type: accessv1alpha1.ConditionReady, Status: metav1.ConditionFalse}
	engine, err := r.Targets.Engine(ctx, c)
	if err == nil && engine == nil {
		ready.Status, ready.Reason = metav1.ConditionTrue, accessv1alpha1.ReasonNoProbeNeeded
		ready.Message = "tasks are left to a person; there is no target system to probe"
		return ready
	}
	if err == nil {
		err = engine.Check(ctx)
	}
	if err == nil {
		_, err = r.Gates.closedFor(client.ObjectKeyFromObject(c))
	}
	if err == nil {
		ready.Status, ready.Reason = metav1.ConditionTrue, accessv1alpha1.ReasonProbed
		ready.Message = "the target system answers with the connector's credentials"
		return ready
	}
	var unavailable *provisioning.UnavailableError
	var wrong *provisioning.PermanentError
	switch {
	case errors.As(err, &unavailable):
		ready.Reason = unavailable.Reason
	case errors.As(err, &wrong):
		ready.Reason = wrong.Reason
	default:
		ready.Reason = accessv1alpha1.ReasonUnreachable
	}
	ready.Message = shorten(err.Error(), maxMessage)
	return ready
}

// write writes a status where it differs, and makes known that a Connector became ready or ceased to be.
func (r *ConnectorReconciler) write(ctx context.Context, c *accessv1alpha1.Connector, status accessv1alpha1.ConnectorStatus) error {
	if equality.Semantic.DeepEqual(c.Status, status) {
		return nil
	}
	config := accessac.Connector(c.Name, c.Namespace).WithResourceVersion(c.ResourceVersion)
	var err error
	if config.Status, err = convert[accessac.ConnectorStatusApplyConfiguration](status); err != nil {
		return err
	}
	if err := r.Status().Apply(ctx, config, client.ForceOwnership, client.FieldOwner(fieldOwner)); err != nil {
		return fmt.Errorf("writing status: %w", err)
	}
	before := meta.FindStatusCondition(c.Status.Conditions, accessv1alpha1.ConditionReady)
	after := meta.FindStatusCondition(status.Conditions, accessv1alpha1.ConditionReady)
	if after == nil {
		return nil
	}
	if before == nil || before.Status != after.Status || before.Reason != after.Reason {
		kind := corev1.EventTypeNormal
		if after.Status != metav1.ConditionTrue {
			kind = corev1.EventTypeWarning
		}
		r.Recorder.Eventf(c, nil, kind, after.Reason, "Probe", "%s", shorten(after.Message, maxNote))
		log.FromContext(ctx).Info("Connector was probed", "ready", after.Status, "reason", after.Reason)
	}
	return nil
}

// takeProbe returns what is remembered, and takes a wish for a probe as seen.
func (r *ConnectorReconciler) takeProbe(name types.NamespacedName) probe {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.probes[name]
	taken := p
	p.asked = false
	r.probes[name] = p
	return taken
}

// askProbe has the next visit probe.
func (r *ConnectorReconciler) askProbe(name types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.probes[name]
	p.asked = true
	r.probes[name] = p
}

// probed remembers a probe.
func (r *ConnectorReconciler) probed(name types.NamespacedName, revision string, ready bool, now time.Time) probe {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.probes[name]
	switch {
	case ready:
		p.failures = 0
	case p.revision != revision:
		p.failures = 1
	default:
		p.failures++
	}
	p.revision, p.at = revision, now
	r.probes[name] = p
	return p
}

func (r *ConnectorReconciler) forget(name types.NamespacedName) {
	r.Targets.Forget(name)
	r.Gates.forget(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.probes, name)
}

func (r *ConnectorReconciler) now() time.Time {
	if r.Now == nil {
		return time.Now()
	}
	return r.Now()
}
