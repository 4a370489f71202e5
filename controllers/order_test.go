// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// placed is a task that was received a number of seconds after t0 and waits.
func placed(kind provisioning.Kind, level string, seconds int, change ...func(*standing)) *standing {
	at := t0.Add(time.Duration(seconds) * time.Second)
	s := &standing{order: at, received: at, kind: kind, level: level, waiting: true, stands: true}
	for _, c := range change {
		c(s)
	}
	return s
}

func isDone(s *standing)        { s.waiting, s.ran = false, true }
func hasBegun(s *standing)      { s.ran = true }
func isUnconfirmed(s *standing) { s.stands = false }
func isHeld(s *standing)        { s.held = true }
func isRetrying(s *standing)    { s.retrying = true }
func isUnderWay(s *standing)    { s.underWay, s.ran = true, true }

func TestWhatSupersedesWhat(t *testing.T) {
	const (
		grant, change, remove = provisioning.Grant, provisioning.ChangeLevel, provisioning.Remove
		archive, prepare      = provisioning.Archive, provisioning.Prepare
	)
	tests := map[string]struct {
		older, newer *standing
		yes, look    bool
	}{
		"a grant, by a newer grant that began":              {placed(grant, "a", 1), placed(grant, "b", 2, hasBegun), true, false},
		"a grant, by a newer grant that is done":            {placed(grant, "a", 1), placed(grant, "a", 2, isDone), true, false},
		"no grant by a newer grant that waits":              {placed(grant, "a", 1), placed(grant, "b", 2), false, false},
		"a grant, by a newer change that is done":           {placed(grant, "a", 1), placed(change, "b", 2, isDone), true, false},
		"a grant, by a removal of everything that waits":    {placed(grant, "a", 1), placed(remove, "", 2), true, false},
		"a grant, by a removal of its level that waits":     {placed(grant, "a", 1), placed(remove, "a", 2), true, false},
		"a grant, by one that is held":                      {placed(grant, "a", 1), placed(remove, "", 2, isHeld), true, false},
		"no grant by a removal that is to be confirmed":     {placed(grant, "a", 1), placed(remove, "", 2, isUnconfirmed), false, false},
		"no grant by a removal of another level that waits": {placed(grant, "a", 1), placed(remove, "b", 2), false, false},
		"a grant, by one of another level that is done":     {placed(grant, "a", 1), placed(remove, "b", 2, isDone), true, false},
		"a change, by a removal that waits":                 {placed(change, "a", 1), placed(remove, "", 2), true, false},
		"a grant, by archiving that waits":                  {placed(grant, "a", 1), placed(archive, "", 2), true, false},
		"a grant, by archiving that is done":                {placed(grant, "a", 1), placed(archive, "", 2, isDone), true, false},
		"no grant by preparing":                             {placed(grant, "a", 1), placed(prepare, "", 2, isDone), false, false},
		"a removal, by a change that is done":               {placed(remove, "", 1), placed(change, "b", 2, isDone), true, false},
		"a removal, by a grant of the same level":           {placed(remove, "a", 1), placed(grant, "a", 2, isDone), true, false},
		"a removal, by a grant of another, to be looked at": {placed(remove, "a", 1), placed(grant, "b", 2, isDone), true, true},
		"a removal of all, by a grant, to be looked at":     {placed(remove, "", 1), placed(grant, "b", 2, isDone), true, true},
		"no removal by a grant that waits":                  {placed(remove, "a", 1), placed(grant, "a", 2), false, false},
		"no removal by a removal":                           {placed(remove, "a", 1), placed(remove, "", 2, isDone), false, false},
		"no removal by archiving":                           {placed(remove, "a", 1), placed(archive, "", 2, isDone), false, false},
		"archiving, by a grant, to be looked at":            {placed(archive, "", 1), placed(grant, "a", 2, isDone), true, true},
		"no archiving by a removal":                         {placed(archive, "", 1), placed(remove, "", 2, isDone), false, false},
		"preparing, by archiving":                           {placed(prepare, "", 1), placed(archive, "", 2, isDone), true, false},
		"no preparing by a grant":                           {placed(prepare, "", 1), placed(grant, "a", 2, isDone), false, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if yes, look := supersedes(tc.newer, tc.older); yes != tc.yes || look != tc.look {
				t.Errorf("got %v %v", yes, look)
			}
		})
	}
}

func TestWhoLetsWhomGoFirst(t *testing.T) {
	const grant, change, remove = provisioning.Grant, provisioning.ChangeLevel, provisioning.Remove
	tests := map[string]struct {
		task, other *standing
		after       time.Duration
		want        bool
	}{
		"a grant lets an older grant":                          {task: placed(grant, "a", 2), other: placed(grant, "b", 1), want: true},
		"a grant lets an older one that is retried":            {task: placed(grant, "a", 2), other: placed(grant, "b", 1, isRetrying), after: time.Hour, want: true},
		"a grant lets an older removal":                        {task: placed(grant, "a", 2), other: placed(remove, "", 1, isRetrying), want: true},
		"a change lets an older grant":                         {task: placed(change, "a", 2), other: placed(grant, "b", 1), want: true},
		"a grant lets nothing that is held":                    {task: placed(grant, "a", 2), other: placed(grant, "b", 1, isHeld)},
		"a grant lets nothing that is done":                    {task: placed(grant, "a", 2), other: placed(grant, "b", 1, isDone)},
		"a grant lets no newer grant":                          {task: placed(grant, "a", 1), other: placed(grant, "b", 2)},
		"a grant lets a newer removal of the same":             {task: placed(grant, "a", 1), other: placed(remove, "a", 2, isUnconfirmed), want: true},
		"a grant lets a newer removal that is held":            {task: placed(grant, "a", 1), other: placed(remove, "", 2, isUnconfirmed, isHeld), want: true},
		"a grant lets no newer removal of another":             {task: placed(grant, "a", 1), other: placed(remove, "b", 2)},
		"a grant lets newer archiving":                         {task: placed(grant, "a", 1), other: placed(provisioning.Archive, "", 2, isUnconfirmed), want: true},
		"a grant lets older preparing":                         {task: placed(grant, "a", 2), other: placed(provisioning.Prepare, "", 1), want: true},
		"a removal lets no older grant of the same":            {task: placed(remove, "a", 2), other: placed(grant, "a", 1)},
		"a removal of all lets no older grant":                 {task: placed(remove, "", 2), other: placed(grant, "a", 1)},
		"a removal lets an older grant of another":             {task: placed(remove, "a", 2), other: placed(grant, "b", 1), want: true},
		"a removal lets it for a while":                        {task: placed(remove, "a", 2), other: placed(grant, "b", 1), after: overtakeAfter + 3*time.Second},
		"a removal lets nothing that is retried":               {task: placed(remove, "a", 2), other: placed(grant, "b", 1, isRetrying)},
		"a removal lets nothing that is held":                  {task: placed(remove, "a", 2), other: placed(grant, "b", 1, isHeld)},
		"a removal lets what was handed over, however long":    {task: placed(remove, "", 2), other: placed(grant, "a", 1, isUnderWay), after: time.Hour, want: true},
		"a removal lets no older removal":                      {task: placed(remove, "", 2), other: placed(remove, "a", 1)},
		"archiving lets nothing":                               {task: placed(provisioning.Archive, "", 2), other: placed(grant, "a", 1)},
		"a removal lets no older archiving":                    {task: placed(remove, "", 2), other: placed(provisioning.Archive, "", 1)},
		"a removal lets no newer removal":                      {task: placed(remove, "", 1), other: placed(remove, "", 2)},
		"what goes before by the name where the time is equal": {task: placed(grant, "a", 1, func(s *standing) { s.name.Name = "b" }), other: placed(grant, "a", 1), want: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tc.task.letsGo(tc.other, t0.Add(tc.after), func(s *standing) bool { return s.held }); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
