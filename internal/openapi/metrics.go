// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"getcakewalk.io/access-operator/internal/cakewalk"
)

// metrics counts the requests to Cakewalk.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "access_operator_cakewalk_requests_total",
			Help: "Requests to Cakewalk's Open API, by operation (for example get_task or approve_task) and status code (none for no answer).",
		}, []string{"operation", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "access_operator_cakewalk_request_duration_seconds",
			Help:    "How long requests to Cakewalk's Open API took, in seconds, without the wait for their turn.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2.5, 9),
		}, []string{"operation"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) observe(o cakewalk.Observation) {
	code := "none"
	if o.Status != 0 {
		code = strconv.Itoa(o.Status)
	}
	m.requests.WithLabelValues(o.Operation, code).Inc()
	m.duration.WithLabelValues(o.Operation).Observe(o.Took.Seconds())
}
