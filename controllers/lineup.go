// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// overtakeAfter is how long after its receipt a removal lets older tasks of the same person and application go first,
// where they can. Then it overtakes them.
const overtakeAfter = 30 * time.Second

// Lineup knows the order of the tasks of each person in each application. It follows the cache's events, so that nobody
// lists the tasks of a person to find out who is first.
type Lineup struct {
	mu    sync.Mutex
	lines map[string]*line
	// wake has a task visited, when it may be its turn.
	wake   func(task types.NamespacedName)
	synced toolscache.InformerSynced
}

// line is the tasks of one person in one application.
type line struct {
	// waiting are those that are not finished.
	waiting map[types.NamespacedName]standing
	// removals are those that take access away and have begun.
	removals map[types.NamespacedName]standing
}

// standing is what counts of a task among its like.
type standing struct {
	name     types.NamespacedName
	received time.Time
	removes  bool
	// held tells that, when it was last visited, a person held it back or had to act.
	held bool
	// retrying tells that it cannot be done at once.
	retrying bool
	// task is the cache's own object, which must not be changed.
	task *accessv1alpha1.AccessTask
}

// before orders tasks by when they were received.
func (s standing) before(other standing) bool {
	return cmp.Or(s.received.Compare(other.received), cmp.Compare(s.name.Name, other.name.Name)) < 0
}

// NewLineup returns a lineup of nobody.
func NewLineup() *Lineup {
	return &Lineup{
		lines:  map[string]*line{},
		wake:   func(types.NamespacedName) {},
		synced: func() bool { return true },
	}
}

// Follow keeps the lineup of a cache's tasks from now on.
func (l *Lineup) Follow(ctx context.Context, from cache.Cache) error {
	synced, err := followTasks(ctx, from, l.see, l.unsee)
	if err == nil {
		l.synced = synced
	}
	return err
}

// setWake says how a task is visited.
func (l *Lineup) setWake(wake func(task types.NamespacedName)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake = wake
}

func (l *Lineup) see(task *accessv1alpha1.AccessTask) { l.update(task, true) }

func (l *Lineup) unsee(task *accessv1alpha1.AccessTask) { l.update(task, false) }

// update takes in a task's state, and wakes whose turn it may be now.
func (l *Lineup) update(task *accessv1alpha1.AccessTask, exists bool) {
	key := subjectKey(task)
	if key == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.lines[key]
	if n == nil {
		n = &line{waiting: map[types.NamespacedName]standing{}, removals: map[types.NamespacedName]standing{}}
		l.lines[key] = n
	}
	s := standingOf(task)
	was, waited := n.waiting[s.name]
	_, had := n.removals[s.name]

	waits := exists && !finished(&task.Status)
	if waits {
		n.waiting[s.name] = s
	} else {
		delete(n.waiting, s.name)
	}
	begun := exists && s.removes && (task.Status.StartTime != nil || succeeded(&task.Status))
	if begun {
		n.removals[s.name] = s
	} else {
		delete(n.removals, s.name)
	}
	if begun && !had {
		n.wakeOlder(s, l.wake)
	}
	if waited && (!waits || was.held != s.held || was.retrying != s.retrying) {
		n.wakeFirst(s.name, l.wake)
	}
	if len(n.waiting) == 0 && len(n.removals) == 0 {
		delete(l.lines, key)
	}
}

// wakeOlder wakes what gives access and is older than a removal that has begun: it is superseded.
func (n *line) wakeOlder(removal standing, wake func(types.NamespacedName)) {
	for _, s := range n.waiting {
		if !s.removes && s.before(removal) {
			wake(s.name)
		}
	}
}

// wakeFirst wakes the oldest task but for the one that moved, and, where that was held when it was last visited, the
// oldest that was not: what held it may be over.
func (n *line) wakeFirst(moved types.NamespacedName, wake func(types.NamespacedName)) {
	var first, free *standing
	for _, s := range n.waiting {
		if s.name == moved {
			continue
		}
		if first == nil || s.before(*first) {
			first = &s
		}
		if !s.held && (free == nil || s.before(*free)) {
			free = &s
		}
	}
	if first != nil {
		wake(first.name)
	}
	if free != nil && free.name != first.name {
		wake(free.name)
	}
}

// overtakenBy returns the name of a removal that is newer than a task which gives access, and has begun: the task must
// never be carried out any more. Empty where there is none.
func (l *Lineup) overtakenBy(task *accessv1alpha1.AccessTask) string {
	s := standingOf(task)
	if s.removes {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.lines[subjectKey(task)]; n != nil {
		for _, r := range n.removals {
			if s.before(r) {
				return r.name.Name
			}
		}
	}
	return ""
}

// goesFirst returns the name of an older task of the same person and application that a task waits for, empty for none. A
// removal waits a short while, for what can be done at once; whatever else waits for all that is older and not held: left
// to a person, or held back by one.
func (l *Lineup) goesFirst(task *accessv1alpha1.AccessTask, now time.Time, held func(*accessv1alpha1.AccessTask) bool) string {
	s := standingOf(task)
	if s.removes && now.Sub(s.received) > overtakeAfter {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.lines[subjectKey(task)]; n != nil {
		for _, other := range n.waiting {
			if other.before(s) && (!s.removes || !other.retrying) && !held(other.task) {
				return other.name.Name
			}
		}
	}
	return ""
}

// standingOf is what counts of a task among its like.
func standingOf(task *accessv1alpha1.AccessTask) standing {
	reason := reasonOf(&task.Status)
	return standing{
		name:     types.NamespacedName{Namespace: task.Namespace, Name: task.Name},
		received: receivedTime(task),
		removes:  kinds[requestType(task)] == provisioning.Remove,
		held:     stalledReason(&task.Status) != "" || reason == accessv1alpha1.ReasonSuspended || reason == accessv1alpha1.ReasonDryRun,
		retrying: reason == accessv1alpha1.ReasonRetrying,
		task:     task,
	}
}

// subjectKey names the person and the application that a task is about, in its namespace; empty for a task that names
// not both.
func subjectKey(task *accessv1alpha1.AccessTask) string {
	r := task.Spec.Request
	if r == nil || r.TargetUser == nil || r.TargetWorkApp == nil {
		return ""
	}
	user, app := cmp.Or(r.TargetUser.ID, r.TargetUser.Email), cmp.Or(r.TargetWorkApp.ID, r.TargetWorkApp.Name)
	if user == "" || app == "" {
		return ""
	}
	return fmt.Sprintf("%s/%q/%q", task.Namespace, user, app)
}
