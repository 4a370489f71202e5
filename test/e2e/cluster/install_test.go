// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build cluster

package cluster

import (
	"testing"
)

// TestChart goes first: Helm makes the custom resource definitions itself, and takes over none that others made.
func TestChart(t *testing.T) {
	if out, err := removeCRDs(t.Context()); err != nil {
		t.Fatal(err, out)
	}
	s := newSite(t, chart)
	t.Run("two replicas run restricted", s.twoReplicas)
	t.Run("a delivery becomes access", s.provisions)
	t.Run("metrics are guarded", s.guardsMetrics)
	t.Run("whoever is on call helps", s.helpsOnCall)
	t.Run("it is upgraded", s.upgrades)
	t.Run("no secret shows", s.showsNoSecret)
	t.Run("what it uses", s.usage)
	t.Run("uninstalling leaves the record", s.leavesTheRecord)
	t.Run("it is installed again", s.comesBack)
}

func TestDefaultOverlay(t *testing.T) {
	s := newSite(t, defaultOverlay)
	t.Run("two replicas run restricted", s.twoReplicas)
	t.Run("a delivery becomes access", s.provisions)
	t.Run("metrics are guarded", s.guardsMetrics)
	t.Run("whoever is on call helps", s.helpsOnCall)
	t.Run("Jobs carry out tasks", s.runsJobs)
	t.Run("the webhook's secret is rotated", s.rotatesTheWebhookSecret)
	t.Run("the target's token is rotated", s.rotatesTheTargetsToken)
	t.Run("the leader fails", s.failsOver)
	t.Run("every pod is replaced", s.restarts)
	t.Run("no secret shows", s.showsNoSecret)
	t.Run("what it uses", s.usage)
	t.Run("uninstalling leaves the record", s.leavesTheRecord)
}

func TestHardenedOverlay(t *testing.T) {
	s := newSite(t, hardenedOverlay)
	t.Run("two replicas run restricted", s.twoReplicas)
	t.Run("a delivery becomes access", s.provisions)
	t.Run("tasks made by hand are refused", s.refusesHandMadeTasks)
	t.Run("metrics are guarded", s.guardsMetrics)
	t.Run("whoever is on call helps", s.helpsOnCall)
	t.Run("every pod is replaced", s.restarts)
	t.Run("no secret shows", s.showsNoSecret)
	t.Run("what it uses", s.usage)
	t.Run("uninstalling leaves the record", s.leavesTheRecord)
}

func TestNamespacedOverlay(t *testing.T) {
	s := newSite(t, namespacedOverlay)
	t.Run("two replicas run restricted", s.twoReplicas)
	t.Run("a delivery becomes access", s.provisions)
	t.Run("other namespaces are not served", s.servesItsNamespaceAlone)
	t.Run("no secret shows", s.showsNoSecret)
	t.Run("what it uses", s.usage)
	t.Run("uninstalling leaves the record", s.leavesTheRecord)
}
