// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

const (
	lossInFlight = 512
	// lossBudget is how many tasks may be missing.
	lossBudget = 0
	// lossParts are the parts of the load, each with a disruption.
	lossParts  = 4
	lossWithin = 10 * time.Minute
)

// losing is a load that goes on while what holds it is taken away.
type losing struct {
	*operating
	*stubborn

	deliveries []delivery
	// spool is the manager's folder.
	spool string
	// open says of each part that it may be sent: the disruptions before it are over. So each meets a load in full.
	open [lossParts]chan struct{}
}

// loss counts the tasks that are missing though their deliveries were answered 2xx, after the API server was killed, and
// the manager told to end, and killed.
func loss(ctx context.Context, b *bench, name string) error {
	o, err := b.newOperating(ctx)
	if err != nil {
		return err
	}
	defer o.close()
	spool, err := os.MkdirTemp(b.dir, "spool-")
	if err != nil {
		return err
	}
	if err := o.start(ctx, "--controllers=false", "--receiver-spool-dir", spool); err != nil {
		return err
	}
	l := &losing{operating: o, spool: spool, stubborn: &stubborn{sender: newSender(o.url(), lossInFlight), codes: map[int]int{}}}
	defer l.sender.close()
	if l.deliveries, err = newDeliveries(b.size(5000, 1000), 1, "Slack", signHMAC); err != nil {
		return err
	}
	if err := l.send(ctx); err != nil {
		return err
	}
	if err := l.emptied(ctx); err != nil {
		return err
	}
	missing, err := l.missing(ctx)
	if err != nil {
		return err
	}
	b.tell(name, fmt.Sprintf("deliveries, up to %d in flight", lossInFlight), "", one(float64(len(l.deliveries))))
	b.tell(name, "deliveries that were spooled", "", one(float64(l.codes[http.StatusAccepted])))
	for _, code := range slices.Sorted(maps.Keys(l.codes)) {
		what := fmt.Sprintf("answers %d", code)
		if code == 0 {
			what = "requests that ended without an answer"
		}
		b.tell(name, what, "", one(float64(l.codes[code])))
	}
	b.holdRatio(name, "tasks answered 2xx that are missing", one(float64(missing)), atMost, lossBudget)
	return nil
}

// send has everything sent and disrupted, until all is answered 2xx.
func (l *losing) send(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, lossWithin, errors.New("not every delivery was answered 2xx in time"))
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	for i := range l.open {
		l.open[i] = make(chan struct{})
	}
	close(l.open[0])
	disrupted := make(chan error, 1)
	go func() {
		err := l.disrupt(ctx)
		if err != nil {
			fail(err)
		}
		disrupted <- err
	}()
	_, err := drive(ctx, len(l.deliveries), lossInFlight, func(ctx context.Context, i int) error {
		select {
		case <-l.open[i*lossParts/len(l.deliveries)]:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		return l.insist(ctx, l.deliveries[i])
	})
	if err != nil {
		fail(err)
	}
	return errors.Join(err, <-disrupted)
}

// disrupt takes away one after the other what holds the load, each when a tenth of its part is answered.
func (l *losing) disrupt(ctx context.Context) error {
	part := len(l.deliveries) / lossParts
	nothing := func() {}
	for i, d := range [lossParts]struct {
		what string
		do   func(spooled int) error
	}{
		{"the API server is killed", func(spooled int) error { return l.outage(ctx, spooled, nothing) }},
		{"the API server is killed, and the manager with what it spooled", func(spooled int) error {
			if err := l.outage(ctx, spooled, l.manager.kill); err != nil {
				return err
			}
			if err := l.manager.launch(ctx); err != nil {
				return err
			}
			// What comes from now on is not spooled behind it.
			return l.emptied(ctx)
		}},
		{"the manager is told to end", func(int) error {
			l.manager.stop()
			return l.manager.launch(ctx)
		}},
		{"the manager is killed", func(int) error {
			l.manager.kill()
			return l.manager.launch(ctx)
		}},
	} {
		if err := l.awaitTaken(ctx, i*part+part/10); err != nil {
			return err
		}
		l.bench.progress("   %s, %d deliveries are taken", d.what, l.taken.Load())
		if err := d.do(i*part + part*2/3); err != nil {
			return fmt.Errorf("%s: %w", d.what, err)
		}
		l.bench.progress("   it is back, %d are", l.taken.Load())
		if i+1 < lossParts {
			close(l.open[i+1])
		}
	}
	return nil
}

// outage has the API server away until as many deliveries are taken, which only the spool does then, and does something
// before it is back.
func (l *losing) outage(ctx context.Context, spooled int, before func()) error {
	restart, err := l.env.CrashAPIServer(ctx)
	if err != nil {
		return err
	}
	if err := l.awaitTaken(ctx, spooled); err != nil {
		return err
	}
	before()
	return restart(ctx)
}

// emptied returns when nothing is left in the spool.
func (l *losing) emptied(ctx context.Context) error {
	return await(ctx, storeWithin, "the spool is empty", func() (bool, error) {
		left, err := filepath.Glob(filepath.Join(l.spool, "*.delivery"))
		return len(left) == 0, err
	})
}

// missing counts the announced tasks that are not stored.
func (l *losing) missing(ctx context.Context) (int, error) {
	stored, err := l.watcher.Resource(accessv1alpha1.GroupVersion.WithResource("accesstasks")).Namespace(l.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("listing tasks: %w", err)
	}
	there := make(map[string]bool, len(stored.Items))
	for i := range stored.Items {
		there[stored.Items[i].Name] = true
	}
	n := 0
	for _, d := range l.deliveries {
		for _, task := range d.tasks {
			if !there[task] {
				n++
			}
		}
	}
	return n, nil
}
