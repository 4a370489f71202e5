// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioning_test

import (
	"testing"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// BenchmarkPlan plans for three levels.
func BenchmarkPlan(b *testing.B) {
	for name, c := range map[string]struct {
		kind  provisioning.Kind
		level int
		seen  provisioning.Access
	}{
		"a grant":             {provisioning.Grant, editor, seen(provisioning.AccountActive)},
		"a grant, there":      {provisioning.Grant, editor, seen(provisioning.AccountActive, "view", "edit")},
		"a change of levels":  {provisioning.ChangeLevel, owner, seen(provisioning.AccountActive, "view", "edit")},
		"a removal of it all": {provisioning.Remove, provisioning.NoLevel, seen(provisioning.AccountActive, "view", "edit")},
	} {
		b.Run(name, func(b *testing.B) {
			goal := provisioning.Goal{Kind: c.kind, Levels: levels, Level: c.level}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := provisioning.Plan(goal, c.seen); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
