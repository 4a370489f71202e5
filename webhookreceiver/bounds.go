// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// bounds is a collector that shows what is in use of the bounds, at the time of a scrape.
type bounds struct {
	admission *admission
	backlog   *backlog

	inFlight, inFlightBytes, unfinished, unfinishedLimit *prometheus.Desc
}

var _ prometheus.Collector = (*bounds)(nil)

func newBounds(a *admission, b *backlog) *bounds {
	receiver := []string{"namespace", "receiver"}
	return &bounds{
		admission: a, backlog: b,
		inFlight: prometheus.NewDesc("access_operator_webhook_in_flight",
			"Deliveries that this replica is answering. It answers at most 1024, half of them for one receiver.", nil, nil),
		inFlightBytes: prometheus.NewDesc("access_operator_webhook_in_flight_bytes",
			"Bytes of the bodies of the deliveries that this replica is answering. There are at most 64 MiB, half of them for one receiver.", nil, nil),
		unfinished: prometheus.NewDesc("access_operator_unfinished_tasks",
			"Unfinished AccessTasks by the WebhookReceiver that stored them. Every replica shows the same.", receiver, nil),
		unfinishedLimit: prometheus.NewDesc("access_operator_unfinished_tasks_limit",
			"The limits.maxUnfinishedTasks of each WebhookReceiver, at which it refuses deliveries. 0: no limit.", receiver, nil),
	}
}

// Describe implements Collector.
func (b *bounds) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{b.inFlight, b.inFlightBytes, b.unfinished, b.unfinishedLimit} {
		out <- d
	}
}

// Collect implements Collector.
func (b *bounds) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), labels...)
	}
	now := b.admission.inFlight()
	gauge(b.inFlight, now.deliveries)
	gauge(b.inFlightBytes, now.bytes)
	for receiver, q := range b.backlog.queues() {
		gauge(b.unfinished, int64(q.unfinished), receiver.Namespace, receiver.Name)
		gauge(b.unfinishedLimit, int64(q.limit), receiver.Namespace, receiver.Name)
	}
}

// queue is how many tasks of a receiver are unfinished, and how many may be; 0: any number.
type queue struct {
	unfinished int
	limit      int32
}

// queues returns the queues of the WebhookReceivers that exist.
func (b *backlog) queues() map[types.NamespacedName]queue {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := make(map[types.NamespacedName]queue, len(b.limits))
	for receiver, limit := range b.limits {
		all[receiver] = queue{unfinished: b.counts[labelled(receiver)], limit: limit}
	}
	return all
}

// receivers keeps the limits of the WebhookReceivers.
func (b *backlog) receivers() toolscache.ResourceEventHandler {
	set := func(object any) {
		if r, ok := object.(*accessv1alpha1.WebhookReceiver); ok {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.limits[types.NamespacedName{Namespace: r.Namespace, Name: r.Name}] = r.Spec.Limits.MaxUnfinishedTasks
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    set,
		UpdateFunc: func(_, object any) { set(object) },
		DeleteFunc: func(object any) {
			if tombstone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
				object = tombstone.Obj
			}
			if r, ok := object.(*accessv1alpha1.WebhookReceiver); ok {
				b.mu.Lock()
				defer b.mu.Unlock()
				delete(b.limits, types.NamespacedName{Namespace: r.Namespace, Name: r.Name})
			}
		},
	}
}
