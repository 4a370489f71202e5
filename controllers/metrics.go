// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// otherValue is the value of a label for what is not in its closed set.
const otherValue = "other"

// waitingReasons are the reasons that a task can wait for, without a person who must look.
var waitingReasons = []string{
	accessv1alpha1.ReasonPending,
	accessv1alpha1.ReasonSuspended,
	accessv1alpha1.ReasonConnectorNotReady,
	accessv1alpha1.ReasonWaitingForEarlierTask,
	accessv1alpha1.ReasonWaitingForCakewalk,
	accessv1alpha1.ReasonProvisioning,
	accessv1alpha1.ReasonRetrying,
	accessv1alpha1.ReasonDryRun,
}

// stalledReasons are the reasons that a person must look at.
var stalledReasons = []string{
	accessv1alpha1.ReasonNoConnector,
	accessv1alpha1.ReasonAmbiguousConnector,
	accessv1alpha1.ReasonWaitingForPerson,
	accessv1alpha1.ReasonWaitingForCakewalk,
	accessv1alpha1.ReasonRejected,
	accessv1alpha1.ReasonCancelled,
	accessv1alpha1.ReasonHandledByCakewalk,
	accessv1alpha1.ReasonSuperseded,
	accessv1alpha1.ReasonPermanentError,
	accessv1alpha1.ReasonRetriesExhausted,
	accessv1alpha1.ReasonDeadlineExceeded,
	accessv1alpha1.ReasonUnsupported,
}

// bounded keeps a label's values in a closed set.
func bounded(value string, set []string) string {
	if slices.Contains(set, value) {
		return value
	}
	return otherValue
}

// knownType is a task's request type, as a label: one that the operator does not know is "other".
func knownType(task *accessv1alpha1.AccessTask) string {
	kind := requestType(task)
	if _, known := kinds[kind]; !known {
		return otherValue
	}
	return kind
}

// Metrics are the metrics of tasks that are counted as things happen. Those of how things are, are read when they are
// collected: from the census and from the cache.
type Metrics struct {
	duration   *prometheus.HistogramVec
	preflights *prometheus.CounterVec
	reports    *prometheus.CounterVec
}

// NewMetrics registers the metrics with registry. Those of tasks are read from the census when they are collected.
func NewMetrics(registry prometheus.Registerer, census *Census, states *StateCollector) (*Metrics, error) {
	m := &Metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "access_operator_task_duration_seconds",
			Help:    "Time from the receipt of a task to its end, in seconds, by request type, backend and outcome (the reason of Succeeded).",
			Buckets: prometheus.ExponentialBuckets(0.1, 4, 12),
		}, []string{"request_type", "backend", "outcome"}),
		preflights: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "access_operator_task_preflights_total",
			Help: "Number of tasks that Cakewalk was asked about before their first change, by the WebhookReceiver and what it said (the reason of Checked).",
		}, []string{"namespace", "receiver", "outcome"}),
		reports: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "access_operator_task_reports_total",
			Help: "Number of reports of ended tasks to Cakewalk, by the WebhookReceiver and what became of them (the reason of Reported).",
		}, []string{"namespace", "receiver", "outcome"}),
	}
	for _, c := range []prometheus.Collector{m.duration, m.preflights, m.reports, newCensusCollector(census, states), states} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// taskFinished observes how long a task took.
func (m *Metrics) taskFinished(task *accessv1alpha1.AccessTask, now time.Time) {
	m.duration.WithLabelValues(knownType(task), task.Status.Backend, reasonOf(&task.Status)).Observe(max(now.Sub(receivedTime(task)), 0).Seconds())
}

// defaultDeadline is that of a removal that is not routed, and the schema's default for a Connector's.
const defaultDeadline = 24 * time.Hour

// censusCollector collects the census.
type censusCollector struct {
	census  *Census
	states  *StateCollector
	tasks   *prometheus.Desc
	oldest  *prometheus.Desc
	waiting *prometheus.Desc
	stalled *prometheus.Desc
	overdue *prometheus.Desc
	// unreported and oldestUnreported are by WebhookReceiver.
	unreported       *prometheus.Desc
	oldestUnreported *prometheus.Desc
}

func newCensusCollector(census *Census, states *StateCollector) *censusCollector {
	return &censusCollector{
		census: census,
		states: states,
		tasks: prometheus.NewDesc("access_operator_tasks",
			"Number of tasks by connector (empty: not routed) and state (waiting, failed, succeeded).",
			[]string{"namespace", "connector", "state"}, nil),
		oldest: prometheus.NewDesc("access_operator_oldest_unfinished_task_age_seconds",
			"Time since the receipt of the oldest unfinished task, in seconds, by connector (empty: not routed).",
			[]string{"namespace", "connector"}, nil),
		waiting: prometheus.NewDesc("access_operator_tasks_waiting",
			"Number of unfinished tasks that go on by themselves, by connector (empty: not routed) and what they wait for (the reason of Succeeded).",
			[]string{"namespace", "connector", "reason"}, nil),
		stalled: prometheus.NewDesc("access_operator_tasks_stalled",
			"Number of tasks, finished or not, that a person must look at, by connector (empty: not routed), request type and the reason of Stalled.",
			[]string{"namespace", "connector", "request_type", "reason"}, nil),
		overdue: prometheus.NewDesc("access_operator_removals_overdue",
			"Number of unfinished tasks that take access away and are past their deadline: attempts or time used up, or received longer ago than the connector's retry.deadlineSeconds (not routed: a day).",
			[]string{"namespace", "connector"}, nil),
		unreported: prometheus.NewDesc("access_operator_tasks_unreported",
			"Number of ended tasks that Cakewalk is still to be told of, by WebhookReceiver.",
			[]string{"namespace", "receiver"}, nil),
		oldestUnreported: prometheus.NewDesc("access_operator_oldest_unreported_task_age_seconds",
			"Time since the end of the task that ended first of those that Cakewalk is still to be told of, in seconds, by WebhookReceiver.",
			[]string{"namespace", "receiver"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *censusCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.tasks, c.oldest, c.waiting, c.stalled, c.overdue, c.unreported, c.oldestUnreported} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *censusCollector) Collect(ch chan<- prometheus.Metric) {
	now := time.Now()
	deadlines := c.states.deadlines()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	c.census.each(func(connector types.NamespacedName, t *tally) {
		for _, s := range []taskState{stateWaiting, stateFailed, stateSucceeded} {
			gauge(c.tasks, float64(t.states[s]), connector.Namespace, connector.Name, string(s))
		}
		for w, n := range t.whys {
			if w.stalled {
				gauge(c.stalled, float64(n), connector.Namespace, connector.Name, w.request, w.reason)
			} else {
				gauge(c.waiting, float64(n), connector.Namespace, connector.Name, w.reason)
			}
		}
		if oldest := t.oldest(); !oldest.IsZero() {
			gauge(c.oldest, max(now.Sub(oldest), 0).Seconds(), connector.Namespace, connector.Name)
		}
		deadline, ok := deadlines[connector]
		if !ok {
			deadline = defaultDeadline
		}
		gauge(c.overdue, float64(t.overdue(now, deadline)), connector.Namespace, connector.Name)
	})
	for receiver, u := range c.census.unreported() {
		gauge(c.unreported, float64(u.tasks), receiver.Namespace, receiver.Name)
		gauge(c.oldestUnreported, max(now.Sub(u.oldest), 0).Seconds(), receiver.Namespace, receiver.Name)
	}
}
