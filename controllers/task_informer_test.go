// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"

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
