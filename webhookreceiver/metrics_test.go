// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// counted returns the values of a counter's or gauge's series, by the values of their labels in the labels' order.
func counted(t *testing.T, registry prometheus.Gatherer, name string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			values[strings.Join(labels, " ")] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

func TestSeriesLiveAsLongAsTheirReceivers(t *testing.T) {
	s := start(t, nil)
	s.receiver(t, "cakewalk", secret, nil)
	own := func(name string) map[string]float64 {
		all := map[string]float64{}
		for labels, value := range counted(t, s.registry, name) {
			// Other tests' receivers are in the cache too.
			if strings.Contains(labels, s.namespace) {
				all[strings.ReplaceAll(labels, s.namespace, "ns")] = value
			}
		}
		return all
	}
	const deliveries, events = "access_operator_webhook_deliveries_total", "access_operator_webhook_events_total"
	// What alerts count begins at 0: the first refusal is an increase.
	want := map[string]float64{}
	for _, code := range []string{"200", "400", "401", "413", "422", "500", "503"} {
		want[code+" ns cakewalk"] = 0
	}
	eventually(t, "the receiver's series begin", func() bool { return cmp.Equal(want, own(deliveries)) })
	s.post(t, "cakewalk", "not the secret of it", "[]")
	s.post(t, "cakewalk", secret, grant(id(60), "{}"))
	want["401 ns cakewalk"], want["200 ns cakewalk"] = 1, 1
	eventually(t, "both are counted", func() bool { return cmp.Equal(want, own(deliveries)) })
	if diff := cmp.Diff(map[string]float64{"ns stored cakewalk action_task.actionable": 1}, own(events)); diff != "" {
		t.Error(diff)
	}
	if err := s.client.Delete(t.Context(), &accessv1alpha1.WebhookReceiver{ObjectMeta: objectMeta(s.namespace, "cakewalk")}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its series end", func() bool { return len(own(deliveries))+len(own(events)) == 0 })
}
