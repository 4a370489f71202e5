// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// pages lists tasks in pages of two, whatever limit it is asked for.
type pages []accessv1alpha1.AccessTask

func (p pages) ListWithContext(_ context.Context, o metav1.ListOptions) (runtime.Object, error) {
	if o.Limit != listPage || o.ResourceVersion != "" {
		return nil, fmt.Errorf("asked for a limit of %d at %q", o.Limit, o.ResourceVersion)
	}
	from, _ := strconv.Atoi(o.Continue)
	to := min(from+2, len(p))
	page := &accessv1alpha1.AccessTaskList{Items: p[from:to]}
	page.ResourceVersion = "7"
	if to < len(p) {
		page.Continue = strconv.Itoa(to)
	}
	return page, nil
}

func (p pages) List(o metav1.ListOptions) (runtime.Object, error) {
	return p.ListWithContext(context.Background(), o)
}

func (pages) Watch(metav1.ListOptions) (watch.Interface, error) { return watch.NewFake(), nil }

func TestTasksAreListedWithTheOldestFirst(t *testing.T) {
	var tasks pages
	for i := range 7 {
		// By name the other way round.
		task := inLine(fmt.Sprint("task-", 9-i), i, withStatus(done(nil, true)))
		if i%2 == 0 {
			task = inLine(fmt.Sprint("task-", 9-i), i)
		}
		tasks = append(tasks, *task)
	}
	shuffled := pages{tasks[3], tasks[6], tasks[0], tasks[5], tasks[1], tasks[4], tasks[2]}
	informer := newInformer(shuffled, &accessv1alpha1.AccessTask{}, 0, toolscache.Indexers{})
	if err := informer.SetTransform(compact); err != nil {
		t.Fatal(err)
	}
	told := make(chan string, len(tasks))
	registered, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: func(o any) {
		switch task := o.(type) {
		case *accessv1alpha1.AccessTask:
			told <- task.Name
		case *closedTask:
			told <- task.GetName()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("the informer never synced"))
	defer cancel()
	go informer.RunWithContext(ctx)
	if !toolscache.WaitForCacheSync(ctx.Done(), registered.HasSynced) {
		t.Fatal(context.Cause(ctx))
	}
	for i := range tasks {
		if got := <-told; got != tasks[i].Name {
			t.Errorf("told of %s, not of %s", got, tasks[i].Name)
		}
	}
	if got := informer.LastSyncResourceVersion(); got != "7" {
		t.Errorf("watches from %s", got)
	}
}

// untilKnown holds back the answers to lists of tasks.
type untilKnown struct {
	http.RoundTripper
	known chan struct{}
}

func (u untilKnown) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/accesstasks") {
		select {
		case <-u.known:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	return u.RoundTripper.RoundTrip(r)
}

func TestNothingIsDoneBeforeTheTasksAreKnown(t *testing.T) {
	known := make(chan struct{})
	r, fake := newRig(t, func(r *rig) {
		r.config = rest.CopyConfig(r.config)
		r.config.Wrap(func(next http.RoundTripper) http.RoundTripper { return untilKnown{next, known} })
	})
	connector, task := r.connector("a"), r.task()
	select {
	case <-r.elected:
	case <-time.After(time.Minute):
		t.Fatal("the manager waits for the tasks")
	}
	// As long as it may take to do the wrong thing.
	time.Sleep(time.Second)
	if err := r.Get(t.Context(), client.ObjectKeyFromObject(connector), connector); err != nil {
		t.Fatal(err)
	}
	if len(connector.Status.Conditions) > 0 || len(fake.Changes()) > 0 {
		t.Errorf("the connector's status is %+v, the target was changed: %v", connector.Status, fake.Changes())
	}
	close(known)
	r.until(task, accessv1alpha1.ReasonProvisioned)
	r.ready(connector, metav1.ConditionTrue, accessv1alpha1.ReasonProbed)
}
