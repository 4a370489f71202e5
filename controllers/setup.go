// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	ctrl "sigs.k8s.io/controller-runtime"
)

// AddToManager adds the three reconcilers to mgr, with what they share. Their metrics are registered with registry.
func AddToManager(ctx context.Context, mgr ctrl.Manager, targets Targets, registry prometheus.Registerer) error {
	gates, census, lineup := NewGates(), NewCensus(), NewLineup()
	metrics, err := NewMetrics(registry, census)
	if err != nil {
		return err
	}
	recorder := mgr.GetEventRecorder("access-operator")
	tasks := &AccessTaskReconciler{
		Client:   mgr.GetClient(),
		Recorder: recorder,
		Audit:    mgr.GetLogger().WithName("audit"),
		Targets:  targets,
		Gates:    gates,
		Lineup:   lineup,
		Metrics:  metrics,
	}
	connectors := &ConnectorReconciler{
		Client:   mgr.GetClient(),
		Recorder: recorder,
		Targets:  targets,
		Gates:    gates,
		Census:   census,
		Metrics:  metrics,
		Wake:     tasks.Wake,
	}
	tasks.Probe = connectors.Probe
	receivers := &WebhookReceiverReconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: recorder}
	if err := census.Follow(ctx, mgr.GetCache()); err != nil {
		return err
	}
	if err := lineup.Follow(ctx, mgr.GetCache()); err != nil {
		return err
	}
	if err := tasks.SetupWithManager(ctx, mgr); err != nil {
		return err
	}
	if err := connectors.SetupWithManager(mgr); err != nil {
		return err
	}
	return receivers.SetupWithManager(mgr)
}
