// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"maps"
	"slices"
	"time"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// modelState is what a person has in an application.
type modelState struct {
	account provisioning.AccountState
	// held are the groups, as bits in the order of modelGroups.
	held uint8
}

// mappedBits are the groups that connectors map.
const mappedBits = uint8(0b0111)

func bitsOf(groups []string) uint8 {
	var all uint8
	for i, g := range modelGroups {
		if slices.Contains(groups, g) {
			all |= 1 << i
		}
	}
	return all
}

func levelBits(level int) uint8 {
	if level == provisioning.NoLevel {
		return mappedBits
	}
	return bitsOf(modelLevels[level].Entitlements)
}

func (w *world) stateOf(app, person string) modelState {
	s := modelState{account: w.targets[app].Account(person)}
	for i, g := range modelGroups {
		if slices.Contains(w.targets[app].Members(g), person) {
			s.held |= 1 << i
		}
	}
	return s
}

// after is a state after a task was carried out.
func (f *facts) after(s modelState, onRemove accessv1alpha1.OnRemove) modelState {
	bits := levelBits(f.level)
	switch f.kind {
	case provisioning.Grant:
		return modelState{provisioning.AccountActive, s.held | bits}
	case provisioning.ChangeLevel:
		if s.account == provisioning.AccountAbsent {
			s.account = provisioning.AccountActive
		}
		return modelState{s.account, s.held&^mappedBits | bits}
	case provisioning.Archive:
		return modelState{s.account, s.held &^ mappedBits}
	default:
		if s.account == provisioning.AccountAbsent {
			return s
		}
		s.held &^= bits
		if s.held&mappedBits == 0 {
			switch onRemove {
			case accessv1alpha1.OnRemoveDeactivate:
				s.account = provisioning.AccountInactive
			case accessv1alpha1.OnRemoveDelete:
				s = modelState{account: provisioning.AccountAbsent}
			default:
			}
		}
		return s
	}
}

// mayDo are the changes that a task may make.
func (f *facts) mayDo(w *world) []provisioning.Change {
	var all []provisioning.Change
	add := func(a provisioning.Action, bits uint8) {
		for i, g := range modelGroups {
			if bits&(1<<i) != 0 {
				all = append(all, provisioning.Change{Action: a, Entitlement: g})
			}
		}
	}
	bits := levelBits(f.level)
	switch f.kind {
	case provisioning.Grant:
		all = append(all, provisioning.Change{Action: provisioning.CreateAccount}, provisioning.Change{Action: provisioning.ActivateAccount})
		add(provisioning.AddEntitlement, bits)
	case provisioning.ChangeLevel:
		all = append(all, provisioning.Change{Action: provisioning.CreateAccount})
		add(provisioning.AddEntitlement, bits)
		add(provisioning.RemoveEntitlement, mappedBits&^bits)
	case provisioning.Archive:
		add(provisioning.RemoveAllMembers, mappedBits)
	default:
		add(provisioning.RemoveEntitlement, bits)
		switch modelOnRemove[w.history.OnRemove] {
		case accessv1alpha1.OnRemoveDeactivate:
			all = append(all, provisioning.Change{Action: provisioning.DeactivateAccount})
		case accessv1alpha1.OnRemoveDelete:
			all = append(all, provisioning.Change{Action: provisioning.DeleteAccount})
		default:
		}
	}
	return all
}

// concerns tells whether a task is about a person in an application.
func (f *facts) concerns(app string, person int) bool {
	return f.app == app && (f.kind == provisioning.Archive || f.person == person)
}

// line are the tasks about a person in an application, in their order.
func (w *world) line(app string, person int) []*facts {
	var line []*facts
	for _, f := range w.facts {
		if f.concerns(app, person) {
			line = append(line, f)
		}
	}
	slices.SortFunc(line, func(a, b *facts) int {
		return cmp.Or(orderTime(w.store.tasks[a.name]).Compare(orderTime(w.store.tasks[b.name])), cmp.Compare(a.name, b.name))
	})
	return line
}

// judgeEnd holds the end of a history against what is right.
func (w *world) judgeEnd() {
	for _, f := range w.facts {
		w.judgeTask(f)
	}
	for _, app := range modelApps {
		if w.disordered[app] {
			continue
		}
		archived := false
		for person := range modelPeople {
			line := w.line(app, person)
			for i, f := range line {
				archived = archived || f.kind == provisioning.Archive && w.ran[f.name]
				w.judgePlace(app, person, f, line[i+1:])
			}
			w.judgeAccess(app, person, line)
		}
		for i, g := range modelGroups {
			if !slices.Contains(w.targets[app].Members(g), bystander) && (!archived || mappedBits&(1<<i) == 0) {
				w.fail("%s lost %q in %s, and nothing is about her", bystander, g, app)
			}
		}
	}
}

// judgeTask holds the end of one task against what is right: it ended, or waits for what is so.
func (w *world) judgeTask(f *facts) {
	task := w.store.tasks[f.name]
	reason := reasonOf(&task.Status)
	right := false
	switch reason {
	case accessv1alpha1.ReasonProvisioned, accessv1alpha1.ReasonAlreadyProvisioned, accessv1alpha1.ReasonSuperseded:
		right = finished(&task.Status)
	case accessv1alpha1.ReasonCompletedByPerson:
		right = task.Annotations[accessv1alpha1.AnnotationComplete] != "" || f.status == "Approved"
	case accessv1alpha1.ReasonCancelled:
		right = f.status == "Cancelled"
	case accessv1alpha1.ReasonRetriesExhausted, accessv1alpha1.ReasonDeadlineExceeded:
		right = gives(f.kind) && w.faults > 0
	case accessv1alpha1.ReasonSuspended:
		right = isTrue(task.Spec.Suspend)
	case accessv1alpha1.ReasonWaitingForEarlierTask:
		// A newer removal that nobody has confirmed, and that somebody suspended, keeps what it would undo waiting.
		right = gives(f.kind) && slices.ContainsFunc(w.line(f.app, f.person), func(n *facts) bool {
			newer := w.store.tasks[n.name]
			return takesAway(n.kind) && isTrue(newer.Spec.Suspend) && !finished(&newer.Status)
		})
	case accessv1alpha1.ReasonPermanentError:
		right = w.disordered[f.app]
	}
	if !right {
		w.fail("%s ends as %q: %s", f.name, reason, message(task))
	}
}

// beganAfter tells whether a task began, some time, at a place that is newer. It may lose it: where Cakewalk could not be
// asked, its place is that of its arrival, until a person starts it over and Cakewalk can be.
func (w *world) beganAfter(name string, place time.Time) bool {
	return slices.ContainsFunc(w.store.taskLog, func(version *accessv1alpha1.AccessTask) bool {
		return version.Name == name && version.Status.StartTime != nil && orderTime(version).After(place)
	})
}

// judgePlace holds how a task ended against the newer ones.
func (w *world) judgePlace(app string, person int, f *facts, newer []*facts) {
	task := w.store.tasks[f.name]
	bits := levelBits(f.level)
	switch {
	case reasonOf(&task.Status) == accessv1alpha1.ReasonSuperseded && f.kind != provisioning.Archive:
		ok := false
		for _, n := range newer {
			ran := w.ran[n.name] || succeeded(&w.store.tasks[n.name].Status)
			undoes := takesAway(n.kind) && (n.level == provisioning.NoLevel || n.level == f.level)
			ok = ok || gives(f.kind) && (ran || undoes) || takesAway(f.kind) && gives(n.kind) && ran
		}
		for _, n := range w.line(app, person) {
			ok = ok || gives(f.kind) && n != f && w.beganAfter(n.name, orderTime(task))
		}
		if !ok {
			w.fail("%s is superseded, and nothing newer was carried out or takes it away", f.name)
		}
	case takesAway(f.kind) && w.carriedOut(f):
		for _, n := range newer {
			if gives(n.kind) && w.ran[n.name] {
				bits &^= levelBits(n.level)
			}
		}
		if left := w.stateOf(app, modelPeople[person]).held & bits; left != 0 {
			w.fail("%s is done, and %s still holds %04b in %s", f.name, modelPeople[person], left, app)
		}
	}
}

// carriedOut tells whether a task was carried out to its end by the operator.
func (w *world) carriedOut(f *facts) bool {
	s := &w.store.tasks[f.name].Status
	return succeeded(s) && reasonOf(s) != accessv1alpha1.ReasonCompletedByPerson
}

// judgeAccess holds what a person has in the end against the tasks, one after the other. Of a task that began and was not
// carried out to its end, any part may be in effect; of one that was started over, also before what is older, which may
// have arrived in between.
func (w *world) judgeAccess(app string, person int, line []*facts) {
	onRemove := modelOnRemove[w.history.OnRemove]
	possible := map[modelState]bool{w.initial[app][modelPeople[person]]: true}
	archived := false
	for i, f := range line {
		for _, newer := range line[i+1:] {
			if w.startedOver[newer.name] {
				for s := range maps.Clone(possible) {
					mixtures(s, newer.after(s, onRemove), possible)
				}
			}
		}
		next := map[modelState]bool{}
		archived = archived || f.kind == provisioning.Archive
		for s := range possible {
			after := f.after(s, onRemove)
			switch {
			case w.carriedOut(f):
				next[after] = true
			case w.ran[f.name]:
				mixtures(s, after, next)
			default:
				next[s] = true
			}
		}
		possible = next
	}
	is := w.stateOf(app, modelPeople[person])
	for s := range possible {
		// An account goes by what was left when a removal ran, which two that archive and remove can do in any order.
		if s == is || archived && s.held&mappedBits == is.held&mappedBits {
			return
		}
	}
	w.fail("%s has %v in %s, want one of %v", modelPeople[person], is, app, possible)
}

// mixtures adds every state between two.
func mixtures(a, b modelState, all map[modelState]bool) {
	differ := a.held ^ b.held
	for part := differ; ; part = (part - 1) & differ {
		all[modelState{a.account, a.held ^ part}] = true
		all[modelState{b.account, a.held ^ part}] = true
		if part == 0 {
			return
		}
	}
}
