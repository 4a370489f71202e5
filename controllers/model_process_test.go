// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/audit"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// process is a process that runs the reconciler, with what it knows in memory: its cache, which may be behind, its lineup,
// which may be further behind, gates, ledgers and a queue.
type process struct {
	world      *world
	reconciler *AccessTaskReconciler
	tasks      map[string]*accessv1alpha1.AccessTask
	connectors map[string]*accessv1alpha1.Connector
	// tasksSeen, linedUp and connectorsSeen are how many events the cache and the lineup have seen.
	tasksSeen, linedUp, connectorsSeen int
	ledgers                            map[string]*provisioning.Ledger
	// queue holds when each task is to be visited.
	queue map[string]time.Time
	// visits are under way, in the order in which they began.
	visits []*visit
	// dead tells that the process ended; old, that another one leads.
	dead, old bool
	// allowed is how many changes an old process is still allowed, and granted how many of them it may make now.
	allowed, granted int
}

// modelAudit and modelMetrics are shared by all processes: nobody looks at them.
var modelAudit = audit.New(io.Discard, nil)

var modelMetrics = func() *Metrics {
	m, err := NewMetrics(prometheus.NewRegistry(), NewCensus(), NewStateCollector(nil))
	if err != nil {
		panic(err)
	}
	return m
}()

// modelRecorder drops events.
type modelRecorder struct{}

func (modelRecorder) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}

// newProcess starts a process that has listed everything.
func newProcess(w *world) *process {
	p := &process{
		world: w, tasks: map[string]*accessv1alpha1.AccessTask{}, connectors: map[string]*accessv1alpha1.Connector{},
		ledgers: map[string]*provisioning.Ledger{}, queue: map[string]time.Time{},
	}
	gates, lineup := NewGates(), NewLineup()
	wake := func(task types.NamespacedName) { p.enqueue(task.Name, w.clock.Now()) }
	gates.now, gates.wake, lineup.wake, lineup.follows = w.clock.Now, wake, wake, true
	p.reconciler = &AccessTaskReconciler{
		Client:   &modelClient{process: p},
		Recorder: modelRecorder{},
		Audit:    modelAudit,
		Targets:  &modelTargets{process: p},
		Cakewalk: newModelCakewalk(w),
		Lookout:  NewLookout(),
		Gates:    gates,
		Lineup:   lineup,
		Metrics:  modelMetrics,
		Clock:    w.clock,
		Leading:  p.leading,
		Probe:    func(types.NamespacedName) {},
	}
	for name := range w.store.connectors {
		p.ledgers[name] = &provisioning.Ledger{}
	}
	p.connectors, p.connectorsSeen = maps.Clone(w.store.connectors), len(w.store.connectorLog)
	p.tasks, p.tasksSeen, p.linedUp = maps.Clone(w.store.tasks), len(w.store.taskLog), len(w.store.taskLog)
	for _, name := range slices.Sorted(maps.Keys(p.tasks)) {
		p.lineUp(p.tasks[name])
		p.enqueue(name, w.clock.Now())
	}
	return p
}

var errModelNotLeading = errors.New("another process leads")

func (p *process) leading() error {
	if !p.old || p.world.mutation.leadsForever {
		return nil
	}
	if p.allowed > 0 {
		p.allowed--
		p.granted++
		return nil
	}
	return errModelNotLeading
}

func (p *process) lineUp(task *accessv1alpha1.AccessTask) {
	m := p.world.mutation
	_, known := p.reconciler.Lineup.all[types.NamespacedName{Namespace: task.Namespace, Name: task.Name}]
	if !m.knowsNoOrder && (!m.linesUpOnce || !known) {
		// As a cache has it.
		held, _ := compact(task.DeepCopy())
		if closed, ok := held.(*closedTask); ok {
			p.reconciler.Lineup.seeClosed(closed)
		} else {
			p.reconciler.Lineup.see(task)
		}
	}
}

// enqueue has a task visited at a time, or before.
func (p *process) enqueue(task string, at time.Time) {
	if was, ok := p.queue[task]; !p.dead && !p.old && (!ok || at.Before(was)) {
		p.queue[task] = at
	}
}

// see lets the cache see some events, and the lineup some, as far as the cache.
func (p *process) see(cached, linedUp int) {
	log := p.world.store.taskLog
	for ; cached > 0 && p.tasksSeen < len(log); cached-- {
		task := log[p.tasksSeen]
		p.tasks[task.Name] = task
		p.tasksSeen++
		p.enqueue(task.Name, p.world.clock.Now())
	}
	for ; linedUp > 0 && p.linedUp < p.tasksSeen; linedUp-- {
		p.lineUp(log[p.linedUp])
		p.linedUp++
	}
}

// seeConnectors lets the cache see all events of connectors, and does what the connectors' controller does then.
func (p *process) seeConnectors() {
	for _, c := range p.world.store.connectorLog[p.connectorsSeen:] {
		was := p.connectors[c.Name]
		p.connectors[c.Name] = c
		name := types.NamespacedName{Namespace: c.Namespace, Name: c.Name}
		switch {
		case was.Generation != c.Generation:
			p.reconciler.Gates.reopen(name)
		case notReady(was) != "" && notReady(c) == "":
			p.reconciler.Gates.healed(name)
		}
		for _, r := range p.reconciler.tasksOf(context.Background(), c) {
			p.enqueue(r.Name, p.world.clock.Now())
		}
	}
	p.connectorsSeen = len(p.world.store.connectorLog)
}

func (p *process) seeAll() {
	p.seeConnectors()
	all := len(p.world.store.taskLog)
	p.see(all, all)
}

// due are the tasks to be visited now, the longest due first.
func (p *process) due() []string {
	var names []string
	for name, at := range p.queue {
		if !at.After(p.world.clock.Now()) && !slices.ContainsFunc(p.visits, func(v *visit) bool { return v.task == name }) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(p.queue[a].Compare(p.queue[b]), cmp.Compare(a, b)) })
	return names
}

// visit is one visit of a task. It goes on only where it is told to: every call of backend and store hands control back
// before its effect and after it.
type visit struct {
	process *process
	task    string
	ctx     context.Context
	cancel  context.CancelFunc
	// yield hands control back; false tells that the process ended.
	yield func(struct{}) bool
	next  func() (struct{}, bool)
	stop  func()
	// changing tells that the visit is about to change a target system, and is not asked any more whether it may.
	changing bool
	// seen is what was observed last, held what the person held then for the first time, and doubt the changes that were
	// sent since.
	seen    *provisioning.Access
	counted map[string]int
	held    *modelState
	claimed []provisioning.Change

	result reconcile.Result
	err    error
	ended  bool
}

type visitKey struct{}

func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

// errCrash ends a visit whose process ends.
var errCrash = errors.New("the process ended")

// begin begins a visit of a task.
func (p *process) begin(task string) *visit {
	delete(p.queue, task)
	v := &visit{process: p, task: task, counted: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	v.ctx, v.cancel = context.WithValue(ctx, visitKey{}, v), cancel
	v.next, v.stop = iter.Pull(func(yield func(struct{}) bool) {
		v.yield = yield
		defer func() {
			if r := recover(); r != nil && r != any(errCrash) {
				panic(r)
			}
		}()
		v.result, v.err = p.reconciler.Reconcile(v.ctx, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "ns", Name: task}})
		v.ended = true
	})
	p.visits = append(p.visits, v)
	return v
}

// pause hands control back. It does not return where the process ends meanwhile.
func (v *visit) pause() {
	if !v.yield(struct{}{}) {
		panic(errCrash)
	}
}

// resume lets a visit go on for some calls, or to its end where calls is 0.
func (v *visit) resume(calls int) {
	for i := 0; calls == 0 || i < calls; i++ {
		_, goesOn := v.next()
		if v.process.dead {
			return
		}
		if !goesOn {
			v.process.ended(v)
			return
		}
	}
}

// ended takes in the result of a visit, as the queue does.
func (p *process) ended(v *visit) {
	v.cancel()
	p.visits = slices.DeleteFunc(p.visits, func(o *visit) bool { return o == v })
	switch {
	case v.err != nil:
		p.enqueue(v.task, p.world.clock.Now().Add(time.Second))
	case v.result.RequeueAfter > 0:
		p.enqueue(v.task, p.world.clock.Now().Add(v.result.RequeueAfter))
	}
}

// end ends a process where it is: no visit of it does anything more.
func (p *process) end() {
	p.dead = true
	for _, v := range p.visits {
		v.stop()
		v.cancel()
	}
	p.visits = nil
}

// run visits all that is due, one after the other, until nothing is.
func (p *process) run() {
	for range 1000 {
		p.seeAll()
		for len(p.visits) > 0 && !p.dead {
			p.visits[0].resume(0)
		}
		p.seeAll()
		due := p.due()
		if len(due) == 0 || p.dead {
			return
		}
		p.begin(due[0]).resume(0)
	}
	p.world.fail("a thousand visits without an end")
}
