// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// Lineup knows the order of the tasks of each person in each application. It follows the cache's events, so that nobody
// lists the tasks of a person to find out who is first. Of a task that is finished it holds no more than its place and
// what it did, and nothing where it did nothing.
type Lineup struct {
	mu  sync.Mutex
	all map[types.NamespacedName]*member
	// lines are the tasks of one person in one application, by each name of the person.
	lines map[uint64][]*member
	// apps are the tasks that concern everybody in an application.
	apps map[uint64][]*member
	// wake has a task visited, when it may be its turn.
	wake   func(task types.NamespacedName)
	synced toolscache.InformerSynced
	// follows tells that it is told of tasks in the order in which they came to be, or of those that came together by when
	// they were received. awaited are those that were visited before it was told of them.
	follows bool
	awaited map[types.NamespacedName]bool
}

// member is a task and where it stands.
type member struct {
	standing
	keys
}

// keys are hashes of whom a task is about. Two that are the same by chance, which is not to be expected, would make a task
// wait for one that it has nothing to do with.
type keys struct {
	// app is the application; zero for none.
	app uint64
	// lines are the person in the application, by id and by email; zero for none.
	lines [2]uint64
}

// NewLineup returns a lineup of nobody.
func NewLineup() *Lineup {
	return &Lineup{
		all:    map[types.NamespacedName]*member{},
		lines:  map[uint64][]*member{},
		apps:   map[uint64][]*member{},
		wake:   func(types.NamespacedName) {},
		synced: func() bool { return true },

		awaited: map[types.NamespacedName]bool{},
	}
}

// Follow keeps the lineup of a cache's tasks from now on.
func (l *Lineup) Follow(ctx context.Context, from cache.Cache) error {
	synced, err := followTasks(ctx, from, l)
	if err == nil {
		l.synced, l.follows = synced, true
	}
	return err
}

// setWake says how a task is visited.
func (l *Lineup) setWake(wake func(task types.NamespacedName)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake = wake
}

// turn is whether it is a task's turn.
type turn struct {
	// unknown tells that the lineup was not told of the task yet, and so perhaps of none before it. It wakes it then.
	unknown bool
	// supersededBy is the newer task because of which this one must never run any more; empty for none.
	supersededBy string
	// look tells that a person must look at that.
	look bool
	// first is the task that goes first; empty for none. newer tells that it is newer.
	first string
	newer bool
}

// turn tells whether it is a task's turn. held tells whether a task is left to a person or held back by one.
func (l *Lineup) turn(task *accessv1alpha1.AccessTask, now time.Time, held func(*accessv1alpha1.AccessTask) bool) turn {
	s := standingOf(task)
	k := keysOf(task)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.follows && l.all[s.name] == nil && s.counts(k) {
		l.awaited[s.name] = true
		return turn{unknown: true}
	}
	var t turn
	for _, other := range l.peers(&s, k) {
		if s.older(&other.standing) {
			if yes, look := supersedes(&other.standing, &s); yes && (t.supersededBy == "" || t.look && !look) {
				// Where one of them says all, there is nothing to look at.
				t.supersededBy, t.look = other.name.Name, look
			}
		}
		if t.first == "" && s.letsGo(&other.standing, now, func(o *standing) bool { return held(o.task) }) {
			t.first, t.newer = other.name.Name, s.before(&other.standing)
		}
	}
	return t
}

// peers are the other tasks of the same person and application, and those that concern everybody in it.
func (l *Lineup) peers(s *standing, k keys) []*member {
	var all []*member
	add := func(members []*member) {
		for _, m := range members {
			if m.name != s.name && !slices.Contains(all, m) {
				all = append(all, m)
			}
		}
	}
	if onlyWhereListed(s.kind) && k.app != 0 {
		// Rare enough to look at every task.
		for _, m := range l.all {
			if m.app == k.app && m.name != s.name {
				all = append(all, m)
			}
		}
		return all
	}
	for _, line := range k.lines {
		if line != 0 {
			add(l.lines[line])
		}
	}
	if k.app != 0 {
		add(l.apps[k.app])
	}
	return all
}

// counts tells whether a task counts for others.
func (s *standing) counts(k keys) bool { return (s.waiting || s.ran) && k != (keys{}) }

func memberOf(task *accessv1alpha1.AccessTask) *member {
	return &member{standing: standingOf(task), keys: keysOf(task)}
}

func (l *Lineup) see(task *accessv1alpha1.AccessTask) { l.update(memberOf(task)) }

func (l *Lineup) seeClosed(task *closedTask) { l.update(&task.member) }

func (l *Lineup) unsee(task types.NamespacedName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.awaited, task)
	if was := l.all[task]; was != nil {
		l.drop(was, *was)
	}
}

// update takes in a task's state, and wakes whose turn it may be now. m is kept, and never changed.
func (l *Lineup) update(m *member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.all[m.name]
	keep := m.counts(m.keys)
	if l.awaited[m.name] {
		delete(l.awaited, m.name)
		l.wake(m.name)
	}
	switch {
	case was == nil && !keep:
	case was == nil:
		l.add(m)
		l.wakeOlder(m)
	case keep:
		l.remove(was)
		l.add(m)
		l.wakePeers(was, m)
	default:
		l.drop(was, *m)
	}
}

// drop forgets a task, of which is is known last.
func (l *Lineup) drop(was *member, is member) {
	l.remove(was)
	is.waiting = false
	l.wakePeers(was, &is)
}

func (l *Lineup) add(m *member) {
	l.all[m.name] = m
	if onlyWhereListed(m.kind) {
		l.apps[m.app] = append(l.apps[m.app], m)
		return
	}
	for _, line := range m.lines {
		if line != 0 {
			l.lines[line] = append(l.lines[line], m)
		}
	}
}

func (l *Lineup) remove(m *member) {
	delete(l.all, m.name)
	take := func(from map[uint64][]*member, key uint64) {
		if from[key] = slices.DeleteFunc(from[key], func(o *member) bool { return o == m }); len(from[key]) == 0 {
			delete(from, key)
		}
	}
	if onlyWhereListed(m.kind) {
		take(l.apps, m.app)
		return
	}
	for _, line := range m.lines {
		if line != 0 {
			take(l.lines, line)
		}
	}
}

// wakeOlder wakes what a new or changed task may have superseded or held back.
func (l *Lineup) wakeOlder(m *member) {
	if gives(m.kind) && !m.ran {
		return
	}
	for _, other := range l.peers(&m.standing, m.keys) {
		if other.waiting && other.before(&m.standing) {
			l.wake(other.name)
		}
	}
}

// wakePeers wakes those whose turn it may be after a task changed: what it supersedes; the oldest; where that was held
// when it was last visited, the oldest that was not; and the removals, which wait for less.
func (l *Lineup) wakePeers(was, is *member) {
	if was.ran != is.ran || was.stands != is.stands || was.waiting != is.waiting || !was.order.Equal(is.order) {
		l.wakeOlder(is)
	}
	if !was.waiting || is.waiting && was.held == is.held && was.retrying == is.retrying && was.underWay == is.underWay {
		return
	}
	everybody := onlyWhereListed(is.kind)
	var first, free *member
	for _, other := range l.peers(&is.standing, is.keys) {
		if !other.waiting {
			continue
		}
		if first == nil || other.before(&first.standing) {
			first = other
		}
		if !other.held && (free == nil || other.before(&free.standing)) {
			free = other
		}
		if everybody || takesAway(other.kind) {
			l.wake(other.name)
		}
	}
	if first != nil {
		l.wake(first.name)
	}
	if free != nil && free != first {
		l.wake(free.name)
	}
}

// keysOf says whom a task is about.
func keysOf(task *accessv1alpha1.AccessTask) keys {
	r := task.Spec.Request
	if r == nil || r.TargetWorkApp == nil {
		return keys{}
	}
	app := strings.ToLower(cmp.Or(r.TargetWorkApp.ID, r.TargetWorkApp.Name))
	if app == "" {
		return keys{}
	}
	k := keys{app: hash(task.Namespace, app)}
	if u := r.TargetUser; u != nil {
		for i, name := range []string{u.ID, u.Email} {
			if name != "" {
				k.lines[i] = hash(task.Namespace, app, strings.ToLower(name))
			}
		}
	}
	return k
}

var seed = maphash.MakeSeed()

// hash is never zero.
func hash(parts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, p := range parts {
		_, _ = h.WriteString(p)
		_ = h.WriteByte(0)
	}
	return max(h.Sum64(), 1)
}
