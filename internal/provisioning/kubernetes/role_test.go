// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"strings"
	"testing"

	"getcakewalk.io/access-operator/internal/provisioning"
)

func TestEntitlements(t *testing.T) {
	for text, want := range map[string]role{
		"ClusterRole/view":          {kind: "ClusterRole", name: "view"},
		"ClusterRole/team-a/edit":   {kind: "ClusterRole", namespace: "team-a", name: "edit"},
		"Role/team-a/dev":           {kind: "Role", namespace: "team-a", name: "dev"},
		"ClusterRole/system:node":   {kind: "ClusterRole", name: "system:node"},
		"ClusterRole/team-a/a b&c?": {kind: "ClusterRole", namespace: "team-a", name: "a b&c?"},
	} {
		got, err := parseRole(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"view", "Role/dev", "Role//dev", "ClusterRole/", "/view", "clusterrole/view", "ClusterRole/a/b/c", "Role/../dev", "ClusterRole/.", "", "User/team-a/dev"} {
		if _, err := parseRole(text); provisioning.Word(err) != "permanent" || !strings.Contains(err.Error(), "it must be ClusterRole/<name>") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestNamesOfBindingsDiffer(t *testing.T) {
	seen := map[string]string{}
	for _, of := range [][3]string{
		{"User", "ann", "ClusterRole/view"},
		{"Group", "ann", "ClusterRole/view"},
		{"User", "bob", "ClusterRole/view"},
		{"User", "ann", "ClusterRole/team-a/view"},
		{"User", "Ann", "ClusterRole/view"},
		{"User", "ann\x00ClusterRole", "view"},
	} {
		name := BindingName(of[0], of[1], of[2])
		if other := seen[name]; other != "" || len(name) > 63 {
			t.Errorf("%v has the name %s of %s", of, name, other)
		}
		seen[name] = of[1]
	}
}
