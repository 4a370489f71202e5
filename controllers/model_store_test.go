// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	accessac "getcakewalk.io/access-operator/api/v1alpha1/applyconfiguration/api/v1alpha1"
)

// modelStore is what the API server holds: the newest version of every object, and every version that there was, in order.
// No version is ever changed.
type modelStore struct {
	world      *world
	version    int
	tasks      map[string]*accessv1alpha1.AccessTask
	connectors map[string]*accessv1alpha1.Connector
	taskLog    []*accessv1alpha1.AccessTask
	// connectorLog is apart: an informer of each kind sees its own.
	connectorLog []*accessv1alpha1.Connector
}

func (s *modelStore) nextVersion() string {
	s.version++
	return strconv.Itoa(s.version)
}

// putTask stores a new version of a task, with a change of it.
func (s *modelStore) putTask(task *accessv1alpha1.AccessTask, change func(*accessv1alpha1.AccessTask)) *accessv1alpha1.AccessTask {
	task = task.DeepCopy()
	change(task)
	task.ResourceVersion = s.nextVersion()
	s.tasks[task.Name] = task
	s.taskLog = append(s.taskLog, task)
	return task
}

// putConnector stores a new version of a connector, with a change of it.
func (s *modelStore) putConnector(c *accessv1alpha1.Connector, change func(*accessv1alpha1.Connector)) {
	c = c.DeepCopy()
	change(c)
	c.ResourceVersion = s.nextVersion()
	s.connectors[c.Name] = c
	s.connectorLog = append(s.connectorLog, c)
}

// planned tells whether some version of a task has a change on record as planned; newest: the newest one has.
func (s *modelStore) planned(task string, is func(accessv1alpha1.TaskChange) bool, newest bool) bool {
	for _, version := range slices.Backward(s.taskLog) {
		if version.Name != task {
			continue
		}
		if slices.ContainsFunc(version.Status.Changes, is) {
			return true
		}
		if newest {
			return false
		}
	}
	return false
}

// modelClient is a process's client: it reads from the process's cache and writes to the store.
type modelClient struct {
	client.Client
	process *process
}

var errNotInModel = errors.New("the model's client cannot do this")

func (c *modelClient) Get(_ context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	switch o := o.(type) {
	case *accessv1alpha1.AccessTask:
		if task := c.process.tasks[key.Name]; task != nil {
			task.DeepCopyInto(o)
			return nil
		}
	case *accessv1alpha1.Connector:
		if connector := c.process.connectors[key.Name]; connector != nil {
			connector.DeepCopyInto(o)
			return nil
		}
	case *accessv1alpha1.WebhookReceiver:
		if receiver := c.process.world.receiver; receiver != nil {
			*o = *receiver
			return nil
		}
	default:
		return errNotInModel
	}
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

func (c *modelClient) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	chosen := func(task *accessv1alpha1.AccessTask) bool { return !finished(&task.Status) }
	for _, o := range options {
		if fields, ok := o.(client.MatchingFields); ok && fields[indexWaiting] != "" {
			chosen = waits
		}
	}
	switch list := list.(type) {
	case *accessv1alpha1.ConnectorList:
		for _, name := range slices.Sorted(maps.Keys(c.process.connectors)) {
			list.Items = append(list.Items, *c.process.connectors[name])
		}
	case *accessv1alpha1.AccessTaskList:
		for _, name := range slices.Sorted(maps.Keys(c.process.tasks)) {
			if task := c.process.tasks[name]; chosen(task) {
				list.Items = append(list.Items, *task)
			}
		}
	default:
		return errNotInModel
	}
	return nil
}

func (c *modelClient) Status() client.SubResourceWriter { return &modelStatus{process: c.process} }

// modelStatus writes the status of tasks.
type modelStatus struct {
	client.SubResourceWriter
	process *process
}

func (s *modelStatus) Apply(ctx context.Context, o runtime.ApplyConfiguration, _ ...client.SubResourceApplyOption) error {
	config, ok := o.(*accessac.AccessTaskApplyConfiguration)
	if !ok {
		return errNotInModel
	}
	return s.process.world.call(ctx, "write", func() error { return s.process.world.store.apply(config) })
}

func (s *modelStore) apply(config *accessac.AccessTaskApplyConfiguration) error {
	was := s.tasks[*config.Name]
	if was == nil {
		return apierrors.NewNotFound(schema.GroupResource{}, *config.Name)
	}
	text, err := json.Marshal(config.Status)
	if err != nil {
		return err
	}
	var status accessv1alpha1.AccessTaskStatus
	if err := json.Unmarshal(text, &status); err != nil {
		return err
	}
	if s.world.mutation.forgetsIntent && reasonOf(&status) == accessv1alpha1.ReasonProvisioning {
		return nil
	}
	if *config.ResourceVersion != was.ResourceVersion && !s.world.mutation.locksNothing {
		return apierrors.NewConflict(schema.GroupResource{}, was.Name, errors.New("it was changed meanwhile"))
	}
	if was.Status.StartTime != nil && was.Status.TaskCreationTime == nil && status.TaskCreationTime != nil {
		// It began while Cakewalk could not be asked when it was created, and others gave way to it.
		s.world.disordered[s.world.facts[was.Name].app] = true
	}
	if isTrue(was.Spec.Suspend) && reasonOf(&status) == accessv1alpha1.ReasonProvisioning && reasonOf(&was.Status) != reasonOf(&status) {
		s.world.fail("%s begins, and was suspended before", was.Name)
	}
	if !equality.Semantic.DeepEqual(was.Status, status) {
		was = s.putTask(was, func(task *accessv1alpha1.AccessTask) { task.Status = status })
		s.world.note("%s is %s: %s", was.Name, reasonOf(&status), message(was))
	}
	config.ResourceVersion = new(was.ResourceVersion)
	switch {
	case status.StartTime != nil:
		s.world.ran[was.Name] = true
	case s.world.ran[was.Name]:
		s.world.startedOver[was.Name] = true
	}
	return nil
}

// errStore is what the API server answers where it fails.
func errStore(after string) error { return fmt.Errorf("the API server failed %s", after) }
