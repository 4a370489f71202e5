// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/spool"
)

// alertedCodes are the answers that alerts count. Their series of a receiver begin at 0, before the first such answer:
// a rate cannot see a counter's first value.
var alertedCodes = []int{
	http.StatusOK, http.StatusBadRequest, http.StatusUnauthorized, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity,
	http.StatusInternalServerError, http.StatusServiceUnavailable,
}

// deliveryMetrics measure deliveries. Their labels are bounded by the receivers that exist: a request to an unknown path
// counts with an empty namespace and receiver, an unknown event type as "other".
type deliveryMetrics struct {
	deliveries *prometheus.CounterVec
	refusals   *prometheus.CounterVec
	events     *prometheus.CounterVec
	duration   prometheus.Histogram
	// setAside counts spooled deliveries that are not stored any more, by reason.
	setAside *prometheus.CounterVec
	// certificateEnd has a value once a certificate is served.
	certificateEnd *prometheus.GaugeVec
}

func newMetrics(registry prometheus.Registerer) (*deliveryMetrics, error) {
	m := &deliveryMetrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "access_operator_webhook_deliveries_total",
			Help: "Deliveries by receiver and HTTP status code. Unknown paths count with an empty namespace and receiver.",
		}, []string{"namespace", "receiver", "code"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "access_operator_webhook_refusals_total",
			Help: "Deliveries that were not taken whole, by receiver and reason (for example in_flight, in_flight_bytes, backlog, too_large, too_many_events, signature, not_stored, spool_full).",
		}, []string{"namespace", "receiver", "reason"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "access_operator_webhook_events_total",
			Help: "Events of verified deliveries by receiver, event type (other: unknown) and outcome (stored, duplicate, conflict, ignored, invalid, spooled, failed).",
		}, []string{"namespace", "receiver", "type", "outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "access_operator_webhook_delivery_duration_seconds",
			Help:    "Time from a delivery's header to its answer, in seconds.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
		setAside: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "access_operator_spool_set_aside_total",
			Help: "Spooled deliveries that are not stored any more but left to a person, by reason (damaged, expired, receiver-gone, invalid).",
		}, []string{"reason"}),
		certificateEnd: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "access_operator_receiver_certificate_not_after_timestamp_seconds",
			Help: "When the certificate that this replica's receiver serves ends, in seconds since 1970. Absent without TLS.",
		}, nil),
	}
	for _, collector := range []prometheus.Collector{m.deliveries, m.refusals, m.events, m.duration, m.setAside, m.certificateEnd} {
		if err := registry.Register(collector); err != nil {
			return nil, err
		}
	}
	for _, reason := range []spool.Reason{spool.ReasonDamaged, spool.ReasonExpired, spool.ReasonReceiverGone, spool.ReasonInvalid} {
		m.setAside.WithLabelValues(string(reason))
	}
	return m, nil
}

func (m *deliveryMetrics) delivered(receiver types.NamespacedName, a answer, took time.Duration) {
	m.deliveries.WithLabelValues(receiver.Namespace, receiver.Name, strconv.Itoa(a.code)).Inc()
	if a.refused != "" {
		m.refusals.WithLabelValues(receiver.Namespace, receiver.Name, string(a.refused)).Inc()
	}
	m.duration.Observe(took.Seconds())
}

func (m *deliveryMetrics) event(receiver types.NamespacedName, eventType string, o outcome) {
	if eventType != cakewalk.EventTest && eventType != cakewalk.EventActionTaskActionable {
		eventType = "other"
	}
	m.events.WithLabelValues(receiver.Namespace, receiver.Name, eventType, string(o)).Inc()
}

// served notes the certificate that is served from now on.
func (m *deliveryMetrics) served(certificate tls.Certificate, log logr.Logger) {
	leaf := certificate.Leaf
	if leaf == nil {
		var err error
		if leaf, err = x509.ParseCertificate(certificate.Certificate[0]); err != nil {
			log.Error(err, "The receiver's certificate cannot be read")
			return
		}
	}
	m.certificateEnd.WithLabelValues().Set(float64(leaf.NotAfter.Unix()))
}

// receiverSeries begins the series of each WebhookReceiver, and ends those of deleted ones.
func (m *deliveryMetrics) receiverSeries() toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) {
			if receiver, ok := object.(*accessv1alpha1.WebhookReceiver); ok {
				for _, code := range alertedCodes {
					m.deliveries.WithLabelValues(receiver.Namespace, receiver.Name, strconv.Itoa(code))
				}
				for _, reason := range refusedAtBounds {
					m.refusals.WithLabelValues(receiver.Namespace, receiver.Name, string(reason))
				}
			}
		},
		DeleteFunc: func(object any) {
			if tombstone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
				object = tombstone.Obj
			}
			if receiver, ok := object.(*accessv1alpha1.WebhookReceiver); ok {
				labels := prometheus.Labels{"namespace": receiver.Namespace, "receiver": receiver.Name}
				m.deliveries.DeletePartialMatch(labels)
				m.refusals.DeletePartialMatch(labels)
				m.events.DeletePartialMatch(labels)
			}
		},
	}
}
