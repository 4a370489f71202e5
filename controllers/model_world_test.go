// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/provisioningtest"
)

var (
	modelPeople   = []string{"ann@example.com", "bob@example.com", "eve@example.com"}
	modelApps     = []string{"mail", "wiki"}
	modelOnRemove = []accessv1alpha1.OnRemove{accessv1alpha1.OnRemoveEntitlements, accessv1alpha1.OnRemoveDeactivate, accessv1alpha1.OnRemoveDelete}
	modelWaits    = []time.Duration{time.Second, 3 * time.Second, 10 * time.Second, 35 * time.Second, 70 * time.Second, 11 * time.Minute}
	// modelPlaces are persons and applications, by their indexes, as often as they are to be: most is told by tasks that meet.
	modelPlaces = [][2]int{{0, 0}, {0, 0}, {0, 0}, {1, 0}, {2, 0}, {0, 1}}
	modelAges   = []time.Duration{0, time.Millisecond, 5 * time.Second, time.Minute, 0, 0, 0, 0}
	// modelGroups are the target systems' groups, of which the last one is not mapped.
	modelGroups = []string{"a", "b", "c", "x"}
	modelLevels = []accessv1alpha1.PermissionLevelMapping{
		{Name: "Reader", Default: new(true), Entitlements: []string{"a"}},
		{Name: "Writer", Entitlements: []string{"a", "b"}},
		{Name: "Owner", Entitlements: []string{"b", "c"}},
	}
	modelTypes = []string{
		accessv1alpha1.RequestTypeGrantAccess, accessv1alpha1.RequestTypeGrantAccess, accessv1alpha1.RequestTypeChangePermissionLevel,
		accessv1alpha1.RequestTypeRemoveAccess, accessv1alpha1.RequestTypeRemoveAccess, accessv1alpha1.RequestTypeArchiveWorkApp,
	}
)

// bystander is somebody whom no task is about, and who holds every group.
const bystander = "zoe@example.com"

// mutation is what is broken on purpose, to see that the model notices.
type mutation struct {
	// knowsNoOrder lets no lineup know a task, so that none supersedes another and none waits for another.
	knowsNoOrder bool
	// seesItsWishes has every observation after a change show the change.
	seesItsWishes bool
	// forgetsIntent loses the record of what is about to be changed.
	forgetsIntent bool
	// leadsForever lets a process that led before make changes.
	leadsForever bool
	// locksNothing lets a write succeed whatever was written since its task was read.
	locksNothing bool
	// linesUpOnce lets a lineup see a task when it arrives, and never again.
	linesUpOnce bool
	// gatesForget lets the gates forget what began as soon as another task begins.
	gatesForget bool
}

// world is all there is while a history runs.
type world struct {
	history  history
	mutation mutation
	clock    *clocktesting.FakeClock
	store    *modelStore
	targets  map[string]*provisioningtest.Fake
	// receiver is nil where Cakewalk is not asked.
	receiver *accessv1alpha1.WebhookReceiver
	// leader is the process that leads; former led before, and still runs visits.
	leader *process
	former []*process
	// calls counts the calls that faults are counted by; no fault befalls any once calm is set.
	calls  int
	calm   bool
	faults int

	// facts are what the tasks are about, and ran those that ever began.
	facts map[string]*facts
	ran   map[string]bool
	// startedOver are those that began, and were then started over by a person.
	startedOver map[string]bool
	// initial is what people had at first, by application and person.
	initial map[string]map[string]modelState
	// disordered are the applications in which two leaders made changes at the same time, or in which the order became
	// known when it was too late. How their tasks ended is not judged.
	disordered map[string]bool

	// settled is how long it took in the end until nothing changed any more.
	settled time.Duration

	wrong error
	// telling keeps what happens in told.
	telling bool
	told    []string
}

// facts are what a task is about. The level of a task without one is NoLevel.
type facts struct {
	name   string
	person int
	app    string
	kind   provisioning.Kind
	level  int
	// named tells that the request names the level.
	named               bool
	taskID, requestType string
	// status and created are what Cakewalk says of the task.
	status  string
	created time.Time
}

func newWorld(h history, m mutation) *world {
	w := &world{
		history: h, mutation: m, clock: clocktesting.NewFakeClock(t0), targets: map[string]*provisioningtest.Fake{},
		facts: map[string]*facts{}, ran: map[string]bool{}, startedOver: map[string]bool{}, initial: map[string]map[string]modelState{}, disordered: map[string]bool{},
	}
	w.store = &modelStore{world: w, tasks: map[string]*accessv1alpha1.AccessTask{}, connectors: map[string]*accessv1alpha1.Connector{}}
	held := h.Held
	for _, app := range modelApps {
		target := provisioningtest.New(append(slices.Clone(modelPeople), bystander), modelGroups)
		for _, group := range modelGroups {
			target.Join(group, bystander)
			for _, person := range modelPeople {
				if held&1 == 1 {
					target.Join(group, person)
				}
				held >>= 1
			}
		}
		w.targets[app], w.initial[app] = target, map[string]modelState{}
		for _, person := range modelPeople {
			w.initial[app][person] = w.stateOf(app, person)
		}
		w.store.putConnector(newConnector(app, func(c *accessv1alpha1.Connector) {
			c.Spec.Match.WorkApps = []accessv1alpha1.WorkAppMatch{{Name: app}}
			c.Spec.Match.RequestTypes = append(slices.Clone(defaultRequestTypes), accessv1alpha1.RequestTypeArchiveWorkApp)
			c.Spec.Match.AcceptHandMadeTasks = new(true)
			c.Spec.PermissionLevels = modelLevels
			c.Spec.Lifecycle.CreateAccount = new(true)
			c.Spec.Lifecycle.OnRemove = modelOnRemove[h.OnRemove]
			// Without a range, so that delays are not random.
			c.Spec.Retry = accessv1alpha1.ConnectorRetry{MaxAttempts: 2, MinDelaySeconds: 2, MaxDelaySeconds: 2, DeadlineSeconds: 600}
			c.Spec.Limits.MaxConcurrent = int32(h.Slots)
		}), func(*accessv1alpha1.Connector) {})
	}
	if preflight := modelPreflights[h.Asks]; preflight != accessv1alpha1.PreflightDisabled {
		w.receiver = modelReceiver(preflight)
	}
	w.leader = newProcess(w)
	return w
}

// runHistory runs a history to its end, and lets time pass until nothing is due. The world then says what was wrong.
func runHistory(h history, m mutation) *world { return newWorld(h, m).play() }

// story tells what happens in a history.
func story(h history) string {
	w := newWorld(h, mutation{})
	w.telling = true
	return strings.Join(w.play().told, "\n")
}

func (w *world) play() *world {
	for _, s := range w.history.Steps {
		w.do(s)
		if w.wrong != nil {
			w.endAll()
			return w
		}
	}
	w.rest()
	w.endAll()
	if w.wrong == nil {
		w.judgeEnd()
	}
	return w
}

// restsAfter is after how long without a change nothing is expected to change any more. It is longer than any wait.
const restsAfter = 15 * time.Minute

// rest makes everything good again, and lets time pass until nothing is due.
func (w *world) rest() {
	w.note("from here on nothing fails")
	w.calm = true
	w.finishVisits()
	w.buryDead()
	for _, app := range modelApps {
		w.store.putConnector(w.store.connectors[app], func(c *accessv1alpha1.Connector) { c.Spec.Suspend = nil; setReady(c, true) })
	}
	began := w.clock.Now()
	changed, version := began, w.store.version
	for range 10_000 {
		w.leader.run()
		if w.store.version != version {
			changed, version = w.clock.Now(), w.store.version
			w.settled = changed.Sub(began)
		}
		next, ok := w.leader.next()
		if !ok || next.Sub(changed) > restsAfter || w.wrong != nil {
			return
		}
		w.clock.SetTime(next)
	}
	w.fail("it never comes to rest")
}

// finishVisits lets all visits under way go on to their end.
func (w *world) finishVisits() {
	for _, p := range append(w.former, w.leader) {
		for len(p.visits) > 0 && !p.dead {
			p.visits[0].resume(0)
		}
		if p.dead {
			p.end()
		}
	}
}

// next is when the next visit is due.
func (p *process) next() (time.Time, bool) {
	var first time.Time
	for _, at := range p.queue {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first, !first.IsZero()
}

// endAll ends every process, so that no visit is left hanging.
func (w *world) endAll() {
	for _, p := range append(w.former, w.leader) {
		p.end()
	}
}

// nextFault is what befalls the next call, if anything does.
func (w *world) nextFault() (faultKind, bool) {
	if w.calm {
		return 0, false
	}
	w.calls++
	for _, f := range w.history.Faults {
		if f.At == w.calls {
			w.faults++
			return f.Kind, true
		}
	}
	return 0, false
}

func (w *world) fail(format string, args ...any) {
	if w.wrong == nil {
		w.wrong = fmt.Errorf(format, args...)
		w.note("WRONG: %v", w.wrong)
	}
}

func (w *world) note(format string, args ...any) {
	if w.telling {
		w.told = append(w.told, fmt.Sprintf("%8s  ", w.clock.Now().Sub(t0))+fmt.Sprintf(format, args...))
	}
}

// taskAt is the name of the i-th task, counted on from the start; false where there is none.
func (w *world) taskAt(i int) (string, bool) {
	names := slices.Sorted(maps.Keys(w.store.tasks))
	if len(names) == 0 {
		return "", false
	}
	return names[i%len(names)], true
}

// setReady makes a connector ready, or unready.
func setReady(c *accessv1alpha1.Connector, ready bool) {
	condition := metav1.Condition{Type: accessv1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: accessv1alpha1.ReasonUnreachable, ObservedGeneration: c.Generation}
	if ready {
		condition.Status, condition.Reason = metav1.ConditionTrue, accessv1alpha1.ReasonProbed
	}
	c.Status.Conditions = []metav1.Condition{condition}
}
