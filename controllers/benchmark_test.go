// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// provisionedNow is the outcome of a grant that went well.
var provisionedNow = outcome{finished: metav1.ConditionTrue, reason: accessv1alpha1.ReasonProvisioned, message: "the target was seen to be as wanted"}

// manyConnectors are Connectors of which one serves newTask.
func manyConnectors(n int) []*accessv1alpha1.Connector {
	all := make([]*accessv1alpha1.Connector, n)
	for i := range all {
		all[i] = newConnector(fmt.Sprintf("c%d", i), func(c *accessv1alpha1.Connector) {
			if i > 0 {
				c.Spec.Match.WorkApps = []accessv1alpha1.WorkAppMatch{{Name: fmt.Sprintf("App %d", i)}}
			}
		})
	}
	return all
}

// BenchmarkDecide decides about a task.
func BenchmarkDecide(b *testing.B) {
	for name, task := range map[string]*accessv1alpha1.AccessTask{
		"a new task":                 newTask(),
		"a task that is retried":     newTask(withStatus(retryingAt(t0.Add(time.Minute)))),
		"a finished task":            newTask(withStatus(provisionedNow)),
		"a task that nothing can do": newTask(withType("SomethingNew")),
	} {
		for _, connectors := range []int{1, 50} {
			b.Run(fmt.Sprintf("%s, %d connectors", name, connectors), func(b *testing.B) {
				v := view{
					task: task, connectors: manyConnectors(connectors), lineup: lineupOf(task), now: t0,
					changedAt: func(types.NamespacedName) time.Time { return time.Time{} },
				}
				b.ReportAllocs()
				for b.Loop() {
					_ = decide(v)
				}
			})
		}
	}
}

// BenchmarkStatus builds a status, and says what the API server is told of it.
func BenchmarkStatus(b *testing.B) {
	c := newConnector("a")
	for name, o := range map[string]outcome{"done": provisionedNow, "retried": retryingAt(t0.Add(time.Minute)), "failed": failedPermanently} {
		b.Run(name, func(b *testing.B) {
			task := newTask()
			b.ReportAllocs()
			for b.Loop() {
				_ = settle(task, task.Status, c, "scim", o, t0)
			}
		})
	}
}

// BenchmarkTurn asks whether it is a task's turn, beside others of the same person in the same application.
func BenchmarkTurn(b *testing.B) {
	for _, peers := range []int{0, 10, 100} {
		b.Run(fmt.Sprintf("%d other tasks of the person", peers), func(b *testing.B) {
			task := newTask()
			all := []*accessv1alpha1.AccessTask{task}
			for i := range peers {
				all = append(all, newTask(func(t *accessv1alpha1.AccessTask) {
					t.Name = fmt.Sprintf("peer-%d", i)
					t.Spec.ReceivedTime = new(metav1.NewMicroTime(t0.Add(time.Duration(i) * time.Second)))
				}))
			}
			l := lineupOf(all...)
			held := func(*accessv1alpha1.AccessTask) bool { return false }
			b.ReportAllocs()
			for b.Loop() {
				_ = l.turn(task, t0, held)
			}
		})
	}
}

// BenchmarkCensusAndLineup follows a task from its receipt to its end.
func BenchmarkCensusAndLineup(b *testing.B) {
	census, lineup := NewCensus(), NewLineup()
	open, done := newTask(), newTask(withStatus(provisionedNow))
	b.ReportAllocs()
	for b.Loop() {
		for _, task := range []*accessv1alpha1.AccessTask{open, done} {
			census.see(task)
			lineup.see(task)
		}
		census.unsee(client.ObjectKeyFromObject(done))
		lineup.unsee(client.ObjectKeyFromObject(done))
	}
}
