// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// due is how long what was stored may take to be done, once nothing is in the way any more.
const due = 4 * time.Minute

// judge waits until every task has its end, and holds what is stored and what the target has against what was approved.
func (c *crowd) judge() {
	c.rig.t.Helper()
	tasks := c.ends()
	a := c.access()
	sent, ended := 0, map[string]int{}
	for _, p := range c.people {
		sent += len(p.requests)
		for _, r := range p.requests {
			if task := tasks[r.id]; task != nil {
				ended[summary(task).Reason]++
			}
		}
		p.judge(c, tasks, &a)
	}
	c.rig.t.Logf("%d requests ended as %v, with %d changes at the target", sent, ended, len(c.changes))
	if len(tasks) != sent {
		c.rig.t.Errorf("%d tasks of %d requests", len(tasks), sent)
	}
	if got := a.groups[bystander]; got != 0b111 {
		c.rig.t.Errorf("the bystander is left with %v", names(got))
	}
	if len(a.changes[bystander]) > 0 {
		c.rig.t.Errorf("the bystander's access was changed: %v", a.changes[bystander])
	}
	staff := map[string]bool{bystander: true}
	for i, p := range c.people {
		if i%2 == 0 {
			staff[p.email] = true
		}
	}
	if !maps.Equal(staff, a.staff) {
		c.rig.t.Errorf("the unmapped group has the members %v", a.staff)
	}
	if len(a.groups) > 1+len(c.people) {
		c.rig.t.Errorf("there are %d accounts", len(a.groups))
	}
}

// ends waits until every task that was sent is there and has its end, and returns all tasks.
func (c *crowd) ends() map[string]*accessv1alpha1.AccessTask {
	c.rig.t.Helper()
	tasks := map[string]*accessv1alpha1.AccessTask{}
	for deadline := time.Now().Add(due); ; time.Sleep(500 * time.Millisecond) {
		clear(tasks)
		var list accessv1alpha1.AccessTaskList
		err := c.List(c.rig.t.Context(), &list, client.InNamespace(c.namespace))
		if err != nil {
			c.rig.t.Fatal(err)
		}
		for i := range list.Items {
			tasks[list.Items[i].Name] = &list.Items[i]
		}
		var waits []string
		for _, p := range c.people {
			for _, r := range p.requests {
				if task := tasks[r.id]; task == nil {
					waits = append(waits, fmt.Sprintf("%s of %s is not there", r.id, p.email))
				} else if s := summary(task); s.Status == "Unknown" || s.Reason == "" || p.tells(c, task) {
					waits = append(waits, fmt.Sprintf("%s of %s waits: %s: %s", r.id, p.email, s.Reason, s.Message))
				}
			}
		}
		if len(waits) == 0 {
			return tasks
		}
		if time.Now().After(deadline) {
			for _, w := range waits[:min(10, len(waits))] {
				c.rig.t.Error(w)
			}
			c.rig.t.Errorf("%d tasks have no end", len(waits))
			return tasks
		}
	}
}

func summary(task *accessv1alpha1.AccessTask) (none struct{ Status, Reason, Message string }) {
	if s := meta.FindStatusCondition(task.Status.Conditions, accessv1alpha1.ConditionSucceeded); s != nil {
		none.Status, none.Reason, none.Message = string(s.Status), s.Reason, s.Message
	}
	return none
}

// done tells whether a task was carried out to its end.
func done(task *accessv1alpha1.AccessTask) bool {
	return meta.IsStatusConditionTrue(task.Status.Conditions, accessv1alpha1.ConditionSucceeded)
}

// tells says whether Cakewalk is still to be told that a task is done.
func (p *person) tells(c *crowd, task *accessv1alpha1.AccessTask) bool {
	if p.receiver != askedReceiver || !done(task) {
		return false
	}
	known, _ := c.asked.Task(task.Name)
	return !known.ClosedByAPI || !meta.IsStatusConditionTrue(task.Status.Conditions, accessv1alpha1.ConditionReported)
}

// judge holds a person's tasks and access against the person's requests, one after the other. Of a task that began and was
// superseded, any part may be in effect.
func (p *person) judge(c *crowd, tasks map[string]*accessv1alpha1.AccessTask, a *access) {
	c.rig.t.Helper()
	possible := []uint8{0}
	for i, r := range p.requests {
		task := tasks[r.id]
		if task == nil {
			c.rig.t.Errorf("%s of %s was answered 2xx and is not there", r.id, p.email)
			continue
		}
		switch s := summary(task); s.Reason {
		case accessv1alpha1.ReasonProvisioned, accessv1alpha1.ReasonAlreadyProvisioned:
			for i := range possible {
				possible[i] = r.after(possible[i])
			}
		case accessv1alpha1.ReasonSuperseded:
			if !p.rightlySuperseded(i, tasks) {
				c.rig.t.Errorf("the %s %s of %s is superseded: %s; %s", r, r.id, p.email, s.Message, p.story(tasks))
			}
			if task.Status.StartTime != nil {
				possible = mixtures(possible, r.after)
			}
		default:
			c.rig.t.Errorf("the %s %s of %s ends as %q: %s", r, r.id, p.email, s.Reason, s.Message)
		}
	}
	if got := a.groups[p.email]; !slices.Contains(possible, got) {
		c.rig.t.Errorf("%s is left with %v, and not with one of %v: %s; the target was told %v", p.email, names(got), possible, p.story(tasks), a.changes[p.email])
	}
	if at := p.stale(a.changes[p.email]); at >= 0 {
		c.rig.t.Errorf("change %d of %v of %s is of no request that is as new as the ones before: %s", at, a.changes[p.email], p.email, p.story(tasks))
	}
}

// rightlySuperseded says whether a request gives access, and a newer one takes it away or was done since.
func (p *person) rightlySuperseded(i int, tasks map[string]*accessv1alpha1.AccessTask) bool {
	r := p.requests[i]
	return r.kind != accessv1alpha1.RequestTypeRemoveAccess && slices.ContainsFunc(p.requests[i+1:], func(newer *request) bool {
		if newer.kind != accessv1alpha1.RequestTypeRemoveAccess {
			return false
		}
		task := tasks[newer.id]
		return newer.level == anyLevel || newer.level == r.level || task != nil && (done(task) || task.Status.StartTime != nil)
	})
}

// stale returns the first change that is of none of a person's requests, when each change is of the same request as the
// one before it or of a newer one; -1 for none. What is given after everything was removed is one, unless it was
// asked for again.
func (p *person) stale(changes []step) int {
	next := 0
	for at, s := range changes {
		for next < len(p.requests) && !p.requests[next].makes(s) {
			next++
		}
		if next == len(p.requests) {
			return at
		}
	}
	return -1
}

// makes says whether a request may make a change.
func (r *request) makes(s step) bool {
	return r.after(0)&s.came == s.came && r.after(0b111)&s.went == 0 && (s.went == 0 || r.kind != accessv1alpha1.RequestTypeGrantAccess)
}

// after is what somebody has after a request was carried out.
func (r *request) after(groups uint8) uint8 {
	wanted := uint8(0b111)
	if r.level != anyLevel {
		wanted = levels[r.level].groups
	}
	switch r.kind {
	case accessv1alpha1.RequestTypeGrantAccess:
		return groups | wanted
	case accessv1alpha1.RequestTypeChangePermissionLevel:
		return wanted
	default:
		return groups &^ wanted
	}
}

// String says what is asked for.
func (r *request) String() string {
	if r.level == anyLevel {
		return r.kind
	}
	return r.kind + " " + levels[r.level].name
}

// story tells a person's requests and how they ended.
func (p *person) story(tasks map[string]*accessv1alpha1.AccessTask) (text string) {
	for _, r := range p.requests[max(0, len(p.requests)-8):] {
		end, received := "missing", ""
		if task := tasks[r.id]; task != nil {
			end, received = summary(task).Reason, task.Spec.ReceivedTime.UTC().Format("15:04:05.000000")
		}
		text += fmt.Sprintf("[%s %s %s %s] ", r.id[:8], r, end, received)
	}
	return text
}

// mixtures are all states between what somebody had and what they would have.
func mixtures(possible []uint8, after func(uint8) uint8) (all []uint8) {
	for _, before := range possible {
		differ := before ^ after(before)
		for part := range differ + 1 {
			if part&^differ == 0 && !slices.Contains(all, before^part) {
				all = append(all, before^part)
			}
		}
	}
	return all
}
