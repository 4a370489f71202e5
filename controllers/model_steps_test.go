// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// do does one step.
func (w *world) do(s step) {
	p := w.leader
	switch s.What {
	case actRun:
		p.run()
	case actArrive:
		w.arrive(s)
	case actSee:
		p.seeConnectors()
		p.see(s.A, s.B)
	case actVisit:
		if s.C > 0 {
			p.seeAll()
		}
		if due := p.due(); len(due) > 0 {
			w.note("a visit of %s begins", due[s.A%len(due)])
			p.begin(due[s.A%len(due)]).resume(callsOf(s))
		}
	case actResume:
		w.resume(s)
	case actWait:
		w.wait(modelWaits[s.A])
	case actSuspend:
		if name, ok := w.taskAt(s.A); ok {
			w.change(name, func(task *accessv1alpha1.AccessTask) {
				task.Spec.Suspend = new(!isTrue(task.Spec.Suspend))
				task.Generation++
				w.note("%s is suspended: %v", name, *task.Spec.Suspend)
			})
		}
	case actAnnotate:
		w.annotate(s)
	case actConnector:
		w.connector(s)
	case actClose:
		if name, ok := w.taskAt(s.A); ok && w.facts[name].status == "Open" {
			w.facts[name].status = []string{"Cancelled", "Approved"}[s.B%2]
			w.note("%s is %s in Cakewalk", name, w.facts[name].status)
		}
	case actLookout:
		if w.receiver != nil {
			if err := (&lookout{Lookout: p.reconciler.Lookout, tasks: p.reconciler}).round(context.Background()); err != nil {
				w.fail("the lookout: %v", err)
			}
		}
	case actCrash:
		p.dead = true
	case actLead:
		w.lead(s)
	}
	w.buryDead()
}

// callsOf is how often a step lets a visit go on, which is twice for each call; 0 is to its end.
func callsOf(s step) int { return []int{0, 0, 1, 2, 4, 7}[s.B] }

// buryDead ends what is left of a process that ended, and starts another.
func (w *world) buryDead() {
	if !w.leader.dead {
		return
	}
	w.note("the leader ends, and another one starts")
	w.leader.end()
	w.leader = newProcess(w)
}

func (w *world) change(task string, f func(*accessv1alpha1.AccessTask)) {
	w.store.putTask(w.store.tasks[task], f)
}

// arrive stores a task, as the receiver does.
func (w *world) arrive(s step) {
	// Nothing is received at the same moment as anything else.
	w.clock.Step(time.Microsecond)
	where := modelPlaces[s.A]
	f := &facts{name: fmt.Sprintf("t%02d", len(w.facts)), person: where[0], app: modelApps[where[1]]}
	requestType := modelTypes[s.B]
	f.kind, f.level, f.requestType, f.status = kinds[requestType], s.C, requestType, "Open"
	f.taskID, f.created = modelID("task", len(w.facts)), w.clock.Now().Add(-modelAges[s.D])
	f.named = f.kind != provisioning.Archive && s.C < len(modelLevels)
	task := newTask(withType(requestType), forUser(modelPeople[f.person]), func(task *accessv1alpha1.AccessTask) {
		task.Name, task.Spec.TaskID, task.UID = f.name, f.taskID, types.UID(f.taskID)
		task.Spec.Request.TargetUser.ID = modelID("person", f.person)
		task.Spec.ReceivedTime = new(metav1.NewMicroTime(w.clock.Now()))
		task.Spec.Request.TargetWorkApp = &accessv1alpha1.NamedObject{ID: modelID("app", where[1]), Name: f.app}
		task.Spec.Request.PermissionLevel = nil
		if s.C < len(modelLevels) {
			task.Spec.Request.PermissionLevel = &accessv1alpha1.NamedObject{ID: modelID("level", s.C), Name: modelLevels[s.C].Name}
		} else {
			f.level = 0
			if !gives(f.kind) {
				f.level = provisioning.NoLevel
			}
		}
		if f.kind == provisioning.Archive {
			f.level = provisioning.NoLevel
			task.Spec.Request.TargetUser, task.Spec.Request.PermissionLevel = nil, nil
		}
		switch {
		case s.D == 7:
			task.Spec.ReceiverRef = nil
		case w.receiver != nil:
			task.Annotations = map[string]string{accessv1alpha1.AnnotationPreflight: string(modelPreflights[w.history.Asks])}
		}
	})
	w.facts[f.name] = f
	w.store.putTask(task, func(*accessv1alpha1.AccessTask) {})
	w.note("%s arrives: %s of level %d for %s in %s, created %s ago, by hand: %v", f.name, f.kind, f.level, modelPeople[f.person], f.app, modelAges[s.D], s.D == 7)
}

// resume lets a visit under way go on.
func (w *world) resume(s step) {
	var visits []*visit
	for _, p := range append(w.former, w.leader) {
		visits = append(visits, p.visits...)
	}
	if len(visits) == 0 {
		return
	}
	v := visits[s.A%len(visits)]
	w.note("the visit of %s goes on", v.task)
	v.resume(callsOf(s))
	if v.process.dead && v.process != w.leader {
		v.process.end()
	}
}

// wait lets time pass. No visit takes longer than a few seconds.
func (w *world) wait(d time.Duration) {
	if d > 5*time.Second {
		w.finishVisits()
	}
	w.clock.Step(d)
	w.note("%s pass", d)
}

func (w *world) annotate(s step) {
	name, ok := w.taskAt(s.A)
	if !ok {
		return
	}
	w.change(name, func(task *accessv1alpha1.AccessTask) {
		key := accessv1alpha1.AnnotationRetry
		if s.B%2 == 1 {
			key = accessv1alpha1.AnnotationComplete
		}
		annotations := map[string]string{key: fmt.Sprintf("eve: %d", w.store.version)}
		for k, v := range task.Annotations {
			if k != key {
				annotations[k] = v
			}
		}
		task.Annotations = annotations
		w.note("%s is annotated: %s", name, key)
	})
}

func (w *world) connector(s step) {
	c := w.store.connectors[modelApps[s.A%len(modelApps)]]
	w.store.putConnector(c, func(c *accessv1alpha1.Connector) {
		if s.B%2 == 0 {
			setReady(c, notReady(c) != "")
			w.note("connector %s is ready: %v", c.Name, notReady(c) == "")
			return
		}
		c.Spec.Suspend = new(!isTrue(c.Spec.Suspend))
		c.Generation++
		c.Status.Conditions[0].ObservedGeneration = c.Generation
		w.note("connector %s is suspended: %v", c.Name, *c.Spec.Suspend)
	})
}

// lead has another process lead. What the one before has begun to change is changed by then, or never will be.
func (w *world) lead(s step) {
	old := w.leader
	for i := 0; i < len(old.visits) && !old.dead; i++ {
		if old.visits[i].changing {
			old.visits[i].resume(1)
		}
	}
	if old.dead {
		return
	}
	w.note("another process leads")
	old.old, old.allowed = true, 0
	if s.A == 3 {
		old.allowed = 1
	}
	w.former = append(w.former, old)
	w.leader = newProcess(w)
}
