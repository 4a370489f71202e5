// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"getcakewalk.io/access-operator/internal/cakewalk"
)

// deliveryMetrics measure deliveries. Their labels are bounded by the receivers that exist: a request to an unknown path
// counts with an empty namespace and receiver, an unknown event type as "other".
type deliveryMetrics struct {
	deliveries *prometheus.CounterVec
	events     *prometheus.CounterVec
	duration   prometheus.Histogram
}

func newMetrics(registry prometheus.Registerer) (*deliveryMetrics, error) {
	m := &deliveryMetrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "access_operator_webhook_deliveries_total",
			Help: "Deliveries by receiver and HTTP status code. Unknown paths count with an empty namespace and receiver.",
		}, []string{"namespace", "receiver", "code"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "access_operator_webhook_events_total",
			Help: "Events of verified deliveries by receiver, event type (other: unknown) and outcome (stored, duplicate, conflict, ignored, invalid, failed).",
		}, []string{"namespace", "receiver", "type", "outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "access_operator_webhook_delivery_duration_seconds",
			Help:    "Time from a delivery's header to its answer, in seconds.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
	}
	for _, collector := range []prometheus.Collector{m.deliveries, m.events, m.duration} {
		if err := registry.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *deliveryMetrics) delivered(receiver types.NamespacedName, a answer, took time.Duration) {
	m.deliveries.WithLabelValues(receiver.Namespace, receiver.Name, strconv.Itoa(a.code)).Inc()
	m.duration.Observe(took.Seconds())
}

func (m *deliveryMetrics) event(receiver types.NamespacedName, eventType string, o outcome) {
	if eventType != cakewalk.EventTest && eventType != cakewalk.EventActionTaskActionable {
		eventType = "other"
	}
	m.events.WithLabelValues(receiver.Namespace, receiver.Name, eventType, string(o)).Inc()
}
