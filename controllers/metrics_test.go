// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// series are the values of all series of a registry, but those of histograms.
func series(t *testing.T, registry prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			parts := make([]string, 0, len(labels))
			for _, name := range slices.Sorted(maps.Keys(labels)) {
				parts = append(parts, labels[name])
			}
			if g := m.GetGauge(); g != nil {
				all[strings.TrimPrefix(f.GetName(), "access_operator_")+" "+strings.Join(parts, " ")] = g.GetValue()
			}
		}
	}
	return all
}

func numbered(n int, received time.Time, status metav1.ConditionStatus, reason, stalled, connector string) func(*accessv1alpha1.AccessTask) {
	return func(t *accessv1alpha1.AccessTask) {
		t.Name = fmt.Sprintf("task-%d", n)
		at := metav1.NewMicroTime(received)
		t.Spec.ReceivedTime = &at
		t.Status.Conditions = []metav1.Condition{{Type: accessv1alpha1.ConditionSucceeded, Status: status, Reason: reason}}
		if stalled != "" {
			t.Status.Conditions = append(t.Status.Conditions, metav1.Condition{Type: accessv1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: stalled})
		}
		if connector != "" {
			t.Status.ConnectorRef = &accessv1alpha1.ConnectorReference{Name: connector}
		}
	}
}

func TestMetricsSayWhatIsStuckAndWhy(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := accessv1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	a := newConnector("a")
	a.Status.Conditions[0].Status = metav1.ConditionFalse
	last := metav1.NewTime(time.Unix(1700000000, 0))
	objects := fake.NewClientBuilder().WithScheme(scheme).WithObjects(a, &accessv1alpha1.WebhookReceiver{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "cakewalk"},
		Status: accessv1alpha1.WebhookReceiverStatus{LastDeliveryTime: &last, Conditions: []metav1.Condition{
			{Type: accessv1alpha1.ConditionReady, Status: metav1.ConditionTrue},
		}},
	}, &accessv1alpha1.WebhookReceiver{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "new"}}).Build()
	census, registry := NewCensus(), prometheus.NewRegistry()
	if _, err := NewMetrics(registry, census, NewStateCollector(objects)); err != nil {
		t.Fatal(err)
	}
	const unknown, failed = metav1.ConditionUnknown, metav1.ConditionFalse
	removal := withType(accessv1alpha1.RequestTypeRemoveAccess)
	now := time.Now()
	// The deadline of connector a is ten minutes.
	tasks := []*accessv1alpha1.AccessTask{
		newTask(numbered(0, now, unknown, "Pending", "", "")),
		newTask(numbered(1, now.Add(-time.Hour), unknown, "ConnectorNotReady", "", "a")),
		newTask(numbered(2, now.Add(-time.Hour), unknown, "ConnectorNotReady", "", "a"), removal),
		newTask(numbered(3, now, unknown, "Retrying", "RetriesExhausted", "a"), removal),
		newTask(numbered(4, now, unknown, "Retrying", "", "a"), removal),
		newTask(numbered(5, now.Add(-time.Hour), failed, "PermanentError", "PermanentError", "a"), removal),
		newTask(numbered(6, now, failed, "Superseded", "", "a")),
		newTask(numbered(7, now, metav1.ConditionTrue, "Provisioned", "", "a")),
		newTask(numbered(8, now.Add(-2*time.Hour), unknown, "NoConnector", "NoConnector", ""), removal),
		newTask(numbered(9, now.Add(-25*time.Hour), unknown, "NoConnector", "NoConnector", ""), removal),
		newTask(numbered(10, now, failed, "Unsupported", "Unsupported", ""), withType("InventedRequest")),
		newTask(numbered(11, now, unknown, "InventedReason", "", "b")),
	}
	for _, task := range tasks {
		census.see(task)
		census.see(task)
	}
	want := map[string]float64{
		"connector_ready a ns":                                         0,
		"webhookreceiver_ready ns cakewalk":                            1,
		"webhook_last_verified_delivery_timestamp_seconds ns cakewalk": 1700000000,
		"tasks  ns waiting":                                            3,
		"tasks  ns failed":                                             1,
		"tasks  ns succeeded":                                          0,
		"tasks a ns waiting":                                           4,
		"tasks a ns failed":                                            2,
		"tasks a ns succeeded":                                         1,
		"tasks b ns waiting":                                           1,
		"tasks b ns failed":                                            0,
		"tasks b ns succeeded":                                         0,
		"tasks_waiting  ns Pending":                                    1,
		"tasks_waiting a ns ConnectorNotReady":                         2,
		"tasks_waiting a ns Retrying":                                  1,
		"tasks_waiting b ns other":                                     1,
		"tasks_stalled a ns RetriesExhausted RemoveAccessRequest":      1,
		"tasks_stalled a ns PermanentError RemoveAccessRequest":        1,
		"tasks_stalled  ns NoConnector RemoveAccessRequest":            2,
		"tasks_stalled  ns Unsupported other":                          1,
		"removals_overdue a ns":                                        2,
		"removals_overdue b ns":                                        0,
		"removals_overdue  ns":                                         1,
	}
	got := series(t, registry)
	for name, value := range got {
		if after, ok := strings.CutPrefix(name, "oldest_unfinished_task_age_seconds "); ok {
			delete(got, name)
			ages := map[string]time.Duration{" ns": 25 * time.Hour, "a ns": time.Hour, "b ns": 0}
			if age := ages[after].Seconds(); value < age || value > age+60 {
				t.Errorf("%s is %v", name, value)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	// A task that moves on is counted once, and what is gone has no series.
	census.see(newTask(numbered(3, now, metav1.ConditionTrue, "Provisioned", "", "a"), removal))
	for _, task := range tasks[4:] {
		census.unsee(client.ObjectKeyFromObject(task))
	}
	for _, task := range tasks[:2] {
		census.unsee(client.ObjectKeyFromObject(task))
	}
	if err := objects.Delete(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	got = series(t, registry)
	for name := range got {
		if strings.HasPrefix(name, "oldest_unfinished") {
			delete(got, name)
		}
	}
	// Without its connector, a removal's deadline is a day.
	want = map[string]float64{
		"webhookreceiver_ready ns cakewalk":                            1,
		"webhook_last_verified_delivery_timestamp_seconds ns cakewalk": 1700000000,
		"tasks a ns waiting":                                           1,
		"tasks a ns failed":                                            0,
		"tasks a ns succeeded":                                         1,
		"tasks_waiting a ns ConnectorNotReady":                         1,
		"removals_overdue a ns":                                        0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
