// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// Metrics are the metrics of tasks and connectors.
type Metrics struct {
	duration *prometheus.HistogramVec
	ready    *prometheus.GaugeVec
}

// NewMetrics registers the metrics with registry. Those of tasks are read from the census when they are collected.
func NewMetrics(registry prometheus.Registerer, census *Census) (*Metrics, error) {
	m := &Metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "access_operator_task_duration_seconds",
			Help:    "Time from the receipt of a task to its end, in seconds, by request type, backend and outcome (the reason of Succeeded).",
			Buckets: prometheus.ExponentialBuckets(0.1, 4, 12),
		}, []string{"request_type", "backend", "outcome"}),
		ready: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "access_operator_connector_ready",
			Help: "1 if the Connector is Ready, else 0.",
		}, []string{"namespace", "connector"}),
	}
	for _, c := range []prometheus.Collector{m.duration, m.ready, newCensusCollector(census)} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// taskFinished observes how long a task took.
func (m *Metrics) taskFinished(task *accessv1alpha1.AccessTask, now time.Time) {
	kind := requestType(task)
	if _, known := kinds[kind]; !known {
		kind = "other"
	}
	m.duration.WithLabelValues(kind, task.Status.Backend, reasonOf(&task.Status)).Observe(max(now.Sub(receivedTime(task)), 0).Seconds())
}

func (m *Metrics) connectorReady(name types.NamespacedName, ready bool) {
	value := 0.0
	if ready {
		value = 1
	}
	m.ready.WithLabelValues(name.Namespace, name.Name).Set(value)
}

func (m *Metrics) forgetConnector(name types.NamespacedName) {
	m.ready.DeleteLabelValues(name.Namespace, name.Name)
}

// censusCollector collects the census.
type censusCollector struct {
	census *Census
	tasks  *prometheus.Desc
	oldest *prometheus.Desc
}

func newCensusCollector(census *Census) *censusCollector {
	return &censusCollector{
		census: census,
		tasks: prometheus.NewDesc("access_operator_tasks",
			"Number of tasks by connector (empty: not routed) and state (waiting, failed, succeeded).",
			[]string{"namespace", "connector", "state"}, nil),
		oldest: prometheus.NewDesc("access_operator_oldest_unfinished_task_age_seconds",
			"Time since the receipt of the oldest unfinished task, in seconds, by connector (empty: not routed).",
			[]string{"namespace", "connector"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *censusCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.tasks
	ch <- c.oldest
}

// Collect implements prometheus.Collector.
func (c *censusCollector) Collect(ch chan<- prometheus.Metric) {
	now := time.Now()
	c.census.each(func(connector types.NamespacedName, counts map[taskState]int, oldest time.Time) {
		for _, s := range []taskState{stateWaiting, stateFailed, stateSucceeded} {
			ch <- prometheus.MustNewConstMetric(c.tasks, prometheus.GaugeValue, float64(counts[s]), connector.Namespace, connector.Name, string(s))
		}
		if !oldest.IsZero() {
			ch <- prometheus.MustNewConstMetric(c.oldest, prometheus.GaugeValue, max(now.Sub(oldest), 0).Seconds(), connector.Namespace, connector.Name)
		}
	})
}
