// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// metrics counts the calls to backends.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "access_operator_backend_requests_total",
			Help: "Calls to target systems, by operation (check, observe or a change) and outcome (ok, permanent, retryable, unavailable, pending).",
		}, []string{"namespace", "connector", "backend", "operation", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "access_operator_backend_request_duration_seconds",
			Help:    "How long calls to target systems took, in seconds, with the wait for the connector's rate limit.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2.5, 10),
		}, []string{"namespace", "connector", "backend", "operation"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// of returns an engine's Called for one Connector.
func (m *metrics) of(name types.NamespacedName, kind string) func(string, time.Duration, error) {
	return func(operation string, took time.Duration, err error) {
		m.requests.WithLabelValues(name.Namespace, name.Name, kind, operation, provisioning.Word(err)).Inc()
		m.duration.WithLabelValues(name.Namespace, name.Name, kind, operation).Observe(took.Seconds())
	}
}

// forget drops the series of a Connector that was deleted.
func (m *metrics) forget(name types.NamespacedName) {
	labels := prometheus.Labels{"namespace": name.Namespace, "connector": name.Name}
	m.requests.DeletePartialMatch(labels)
	m.duration.DeletePartialMatch(labels)
}
