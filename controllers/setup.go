// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"

	"getcakewalk.io/access-operator/internal/audit"
)

// Options are what the controllers need. All fields but ShardLabels, Clock and Leading are required.
type Options struct {
	// Targets gives access to the target systems.
	Targets Targets
	// Cakewalk gives the clients of Cakewalk's Open API.
	Cakewalk Cakewalk
	// Audit is the audit log.
	Audit *audit.Log
	// Registry is where metrics are registered.
	Registry prometheus.Registerer
	// ShardLabels are the labels of a WebhookReceiver that its tasks get besides LabelShard.
	ShardLabels []string
	// Clock is the clock of tasks and their queues; nil is the system's.
	Clock clock.WithTicker
	// Leading is asked before every change in a target system; an error means that another process may lead, and nothing
	// is changed. Nil: no other can.
	Leading func() error
}

// AddToManager adds the reconcilers to mgr, with what they share.
func AddToManager(ctx context.Context, mgr ctrl.Manager, o Options) error {
	gates, census, lineup := NewGates(), NewCensus(), NewLineup()
	if o.Clock != nil {
		gates.now = o.Clock.Now
	}
	metrics, err := NewMetrics(o.Registry, census, NewStateCollector(mgr.GetCache()))
	if err != nil {
		return err
	}
	recorder := mgr.GetEventRecorder("access-operator")
	tasks := &AccessTaskReconciler{
		Client:   mgr.GetClient(),
		Recorder: recorder,
		Live:     mgr.GetAPIReader(),
		Clock:    o.Clock,
		Leading:  o.Leading,
		Audit:    o.Audit,
		Targets:  o.Targets,
		Cakewalk: o.Cakewalk,
		Lookout:  NewLookout(),
		Gates:    gates,
		Lineup:   lineup,
		Metrics:  metrics,
	}
	connectors := &ConnectorReconciler{
		Client:   mgr.GetClient(),
		Recorder: recorder,
		Targets:  o.Targets,
		Gates:    gates,
		Census:   census,
		Wake:     tasks.Wake,
	}
	tasks.Probe = connectors.Probe
	receivers := &WebhookReceiverReconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: recorder, Cakewalk: o.Cakewalk}
	if o.Clock != nil {
		receivers.Now = o.Clock.Now
	}
	backfill, err := NewBackfill(mgr.GetClient(), cachedTasks{mgr.GetClient(), census}, recorder, o.Cakewalk, o.Audit, o.Registry)
	if err != nil {
		return err
	}
	backfill.ShardLabels = o.ShardLabels
	backfill.Synced = func() bool { return census.synced() }
	if err := mgr.Add(&announcement{known: backfill.Synced, log: mgr.GetLogger()}); err != nil {
		return err
	}
	if o.Clock != nil {
		backfill.Now = o.Clock.Now
	}
	if err := mgr.Add(backfill); err != nil {
		return err
	}
	if err := census.Follow(ctx, mgr.GetCache()); err != nil {
		return err
	}
	if err := lineup.Follow(ctx, mgr.GetCache()); err != nil {
		return err
	}
	kept := newRetention(tasks)
	if _, err := followTasks(ctx, mgr.GetCache(), kept); err != nil {
		return err
	}
	if err := mgr.Add(kept); err != nil {
		return err
	}
	if err := tasks.SetupWithManager(ctx, mgr); err != nil {
		return err
	}
	if err := (&ReportReconciler{Tasks: tasks}).SetupWithManager(mgr); err != nil {
		return err
	}
	if err := mgr.Add(&lookout{Lookout: tasks.Lookout, tasks: tasks}); err != nil {
		return err
	}
	if err := connectors.SetupWithManager(mgr); err != nil {
		return err
	}
	return receivers.SetupWithManager(mgr)
}
