// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"getcakewalk.io/access-operator/internal/spool"
)

// spoolGauges is a collector that shows what is in the spool, at the time of a scrape. Without a spool all is 0.
type spoolGauges struct {
	spool    *spool.Spool
	maxBytes int64
	now      func() time.Time

	files, bytes, limit, oldest, aside *prometheus.Desc
}

var _ prometheus.Collector = (*spoolGauges)(nil)

func newSpoolGauges(s *spool.Spool, maxBytes int64, now func() time.Time) *spoolGauges {
	if s == nil {
		maxBytes = 0
	}
	return &spoolGauges{
		spool: s, maxBytes: maxBytes, now: now,
		files:  prometheus.NewDesc("access_operator_spool_files", "Deliveries that wait on this replica's disk for the API server.", nil, nil),
		bytes:  prometheus.NewDesc("access_operator_spool_bytes", "Bytes that they take, counted in blocks of 4096.", nil, nil),
		limit:  prometheus.NewDesc("access_operator_spool_limit_bytes", "Bytes that they may take, half of them for one receiver. 0: nothing is spooled.", nil, nil),
		oldest: prometheus.NewDesc("access_operator_spool_oldest_age_seconds", "How long ago the oldest of them arrived. 0: there is none.", nil, nil),
		aside:  prometheus.NewDesc("access_operator_spool_set_aside_files", "Deliveries on this replica's disk that are not stored any more but left to a person.", nil, nil),
	}
}

// Describe implements Collector.
func (g *spoolGauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.files, g.bytes, g.limit, g.oldest, g.aside} {
		out <- d
	}
}

// Collect implements Collector.
func (g *spoolGauges) Collect(out chan<- prometheus.Metric) {
	var stats spool.Stats
	if g.spool != nil {
		stats = g.spool.Stats()
	}
	age := 0.0
	if !stats.Oldest.IsZero() {
		age = max(0, g.now().Sub(stats.Oldest).Seconds())
	}
	for d, value := range map[*prometheus.Desc]float64{
		g.files: float64(stats.Files), g.bytes: float64(stats.Bytes), g.limit: float64(g.maxBytes), g.oldest: age, g.aside: float64(stats.AsideFiles),
	} {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
}
