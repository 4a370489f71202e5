// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// collectTimeout bounds the reads of one collection. They are answered from the cache, at once unless it has not filled.
const collectTimeout = 2 * time.Second

// StateCollector collects what the status of Connectors and WebhookReceivers says. It reads the cache each time, so that
// every replica says the same, a restart forgets nothing, and what was deleted has no series.
type StateCollector struct {
	reader        client.Reader
	connectorUp   *prometheus.Desc
	receiverReady *prometheus.Desc
	lastVerified  *prometheus.Desc
	connected     *prometheus.Desc
	keysFetched   *prometheus.Desc
}

// NewStateCollector returns a collector of what reader, a cache, holds.
func NewStateCollector(reader client.Reader) *StateCollector {
	return &StateCollector{
		reader: reader,
		connectorUp: prometheus.NewDesc("access_operator_connector_ready",
			"1 if the Connector is Ready, else 0.",
			[]string{"namespace", "connector"}, nil),
		receiverReady: prometheus.NewDesc("access_operator_webhookreceiver_ready",
			"1 if the WebhookReceiver is Ready, that is has a key to verify deliveries with and is not suspended, else 0.",
			[]string{"namespace", "receiver"}, nil),
		connected: prometheus.NewDesc("access_operator_webhookreceiver_connected",
			"1 if Cakewalk's API answers with the WebhookReceiver's credentials and lets them do what is configured, else 0. Absent without spec.cakewalkAPI.",
			[]string{"namespace", "receiver"}, nil),
		keysFetched: prometheus.NewDesc("access_operator_webhook_keys_fetched_timestamp_seconds",
			"When keys were last fetched from spec.verification.rsa.fetchFrom, in seconds since 1970. Absent where none ever were.",
			[]string{"namespace", "receiver"}, nil),
		lastVerified: prometheus.NewDesc("access_operator_webhook_last_verified_delivery_timestamp_seconds",
			"When a delivery with a good signature last arrived at any replica, in seconds since 1970, to the minute. Absent where none ever did.",
			[]string{"namespace", "receiver"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *StateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.connectorUp, c.receiverReady, c.lastVerified, c.connected, c.keysFetched} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. What was not visited yet has no series, and neither has anything before the
// cache is filled.
func (c *StateCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	var connectors accessv1alpha1.ConnectorList
	if err := c.reader.List(ctx, &connectors, client.UnsafeDisableDeepCopy); err == nil {
		for i := range connectors.Items {
			o := &connectors.Items[i]
			if ready := meta.FindStatusCondition(o.Status.Conditions, accessv1alpha1.ConditionReady); ready != nil {
				ch <- prometheus.MustNewConstMetric(c.connectorUp, prometheus.GaugeValue, truth(ready.Status == "True"), o.Namespace, o.Name)
			}
		}
	}
	var receivers accessv1alpha1.WebhookReceiverList
	if err := c.reader.List(ctx, &receivers, client.UnsafeDisableDeepCopy); err != nil {
		return
	}
	for i := range receivers.Items {
		o := &receivers.Items[i]
		if ready := meta.FindStatusCondition(o.Status.Conditions, accessv1alpha1.ConditionReady); ready != nil {
			ch <- prometheus.MustNewConstMetric(c.receiverReady, prometheus.GaugeValue, truth(ready.Status == "True"), o.Namespace, o.Name)
		}
		if connected := meta.FindStatusCondition(o.Status.Conditions, accessv1alpha1.ConditionConnected); connected != nil && o.Spec.CakewalkAPI != nil {
			ch <- prometheus.MustNewConstMetric(c.connected, prometheus.GaugeValue, truth(connected.Status == "True"), o.Namespace, o.Name)
		}
		if f := o.Status.FetchedKeys; f != nil && f.FetchTime != nil {
			ch <- prometheus.MustNewConstMetric(c.keysFetched, prometheus.GaugeValue, float64(f.FetchTime.Unix()), o.Namespace, o.Name)
		}
		if last := o.Status.LastDeliveryTime; last != nil {
			ch <- prometheus.MustNewConstMetric(c.lastVerified, prometheus.GaugeValue, float64(last.Unix()), o.Namespace, o.Name)
		}
	}
}

// deadlines are how long after its receipt a removal of each Connector is overdue.
func (c *StateCollector) deadlines() map[types.NamespacedName]time.Duration {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	all := map[types.NamespacedName]time.Duration{}
	var connectors accessv1alpha1.ConnectorList
	if err := c.reader.List(ctx, &connectors, client.UnsafeDisableDeepCopy); err != nil {
		return all
	}
	for i := range connectors.Items {
		o := &connectors.Items[i]
		if s := o.Spec.Retry.DeadlineSeconds; s > 0 {
			all[client.ObjectKeyFromObject(o)] = time.Duration(s) * time.Second
		}
	}
	return all
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
