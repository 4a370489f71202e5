// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// operating is a manager with both halves, in a namespace of its own.
type operating struct {
	*plane

	bench     *bench
	namespace string
	// manager is the one that runs; nil while none does.
	manager *manager
	targets []*target
	// tenant is asked and told about the tasks; nil for none.
	tenant *tenant
}

// newOperating makes a namespace with a WebhookReceiver, and no manager yet.
func (b *bench) newOperating(ctx context.Context) (*operating, error) {
	o := &operating{plane: b.plane, bench: b}
	var err error
	if o.namespace, err = o.plane.namespace(ctx, "operating"); err != nil {
		return nil, err
	}
	at := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Namespace: o.namespace} }
	receiver := &accessv1alpha1.WebhookReceiver{ObjectMeta: at(receiverHMAC)}
	receiver.Spec.Verification.HMAC = &accessv1alpha1.HMACVerification{SecretRefs: []accessv1alpha1.SecretKeyReference{{Name: "hook", Key: "secret"}}}
	receiver.Spec.Limits.MaxUnfinishedTasks = maxUnfinished
	for _, object := range []client.Object{&corev1.Secret{ObjectMeta: at("hook"), StringData: map[string]string{"secret": secret}}, receiver} {
		if err := o.Create(ctx, object); err != nil {
			return nil, fmt.Errorf("creating %T: %w", object, err)
		}
	}
	return o, nil
}

// application adds a target system with a Connector.
func (o *operating) application(ctx context.Context, name string, delay time.Duration) (*target, error) {
	t := startTarget(delay)
	o.targets = append(o.targets, t)
	return t, o.connect(ctx, o.namespace, name, t)
}

// start starts a manager.
func (o *operating) start(ctx context.Context, args ...string) error {
	var err error
	o.manager, err = startManager(ctx, o.plane, o.bench.logs, append([]string{"--watch-namespaces", o.namespace}, args...)...)
	return err
}

func (o *operating) stop() {
	if o.manager != nil {
		o.manager.stop()
		o.manager = nil
	}
}

// close stops what runs. The namespace stays: nothing watches it any more.
func (o *operating) close() {
	o.stop()
	for _, t := range o.targets {
		t.close()
	}
	if o.tenant != nil {
		o.tenant.close()
	}
}

// awaitConnectors waits until every Connector is Ready.
func (o *operating) awaitConnectors(ctx context.Context) error {
	return await(ctx, readyWithin, "the connectors are ready", func() (bool, error) {
		var all accessv1alpha1.ConnectorList
		if err := o.List(ctx, &all, client.InNamespace(o.namespace)); err != nil {
			return false, err
		}
		for i := range all.Items {
			if !meta.IsStatusConditionTrue(all.Items[i].Status.Conditions, accessv1alpha1.ConditionReady) {
				return false, nil
			}
		}
		return len(all.Items) == len(o.targets), nil
	})
}

// endings follows tasks to their end by watching them.
type endings struct {
	watch watch.Interface
	ended map[string]bool
	// times are when tasks were seen to have ended.
	times []time.Time
}

// follow begins to follow what becomes of the tasks of the namespace from now on.
func (o *operating) follow(ctx context.Context) (*endings, error) {
	var now accessv1alpha1.AccessTaskList
	if err := o.List(ctx, &now, client.InNamespace(o.namespace), client.Limit(1)); err != nil {
		return nil, fmt.Errorf("listing tasks: %w", err)
	}
	w, err := since(ctx, now.ResourceVersion, func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
		return o.Watch(ctx, &accessv1alpha1.AccessTaskList{}, client.InNamespace(o.namespace), &client.ListOptions{Raw: &options})
	})
	if err != nil {
		return nil, err
	}
	return &endings{watch: w, ended: map[string]bool{}}, nil
}

func (e *endings) stop() { e.watch.Stop() }

// await returns when n tasks that count have succeeded. A task that failed is an error.
func (e *endings) await(ctx context.Context, n int, counts func(*accessv1alpha1.AccessTask) bool) error {
	ctx, cancel := context.WithTimeout(ctx, storeWithin)
	defer cancel()
	for len(e.times) < n {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d tasks have succeeded: %w", len(e.times), n, context.Cause(ctx))
		case event, ok := <-e.watch.ResultChan():
			if !ok || event.Type == watch.Error {
				return fmt.Errorf("the watch over tasks ended: %v", event.Object)
			}
			task, isTask := event.Object.(*accessv1alpha1.AccessTask)
			if !isTask || e.ended[task.Name] || !counts(task) {
				continue
			}
			switch c := meta.FindStatusCondition(task.Status.Conditions, accessv1alpha1.ConditionSucceeded); {
			case c == nil:
			case c.Status == metav1.ConditionTrue:
				e.ended[task.Name] = true
				e.times = append(e.times, time.Now())
			case c.Status == metav1.ConditionFalse:
				return fmt.Errorf("task %s failed: %s: %s", task.Name, c.Reason, c.Message)
			}
		}
	}
	return nil
}

// awaitNobody waits until no task of the namespace is unfinished.
func (o *operating) awaitNobody(ctx context.Context) error {
	return await(ctx, storeWithin, "every task is finished", func() (bool, error) {
		var all accessv1alpha1.AccessTaskList
		if err := o.List(ctx, &all, client.InNamespace(o.namespace)); err != nil {
			return false, err
		}
		for i := range all.Items {
			if c := meta.FindStatusCondition(all.Items[i].Status.Conditions, accessv1alpha1.ConditionSucceeded); c == nil || c.Status == metav1.ConditionUnknown {
				return false, pause(ctx, time.Second)
			}
		}
		return true, nil
	})
}

// url is where the namespace's receiver takes deliveries.
func (o *operating) url() string {
	return "http://" + o.manager.receiver + "/webhooks/" + o.namespace + "/" + receiverHMAC
}

// deliver sends deliveries side by side.
func (o *operating) deliver(ctx context.Context, deliveries []delivery, inFlight int) error {
	s := newSender(o.url(), inFlight)
	defer s.close()
	_, err := drive(ctx, len(deliveries), inFlight, func(ctx context.Context, i int) error { return s.send(ctx, deliveries[i], http.StatusOK) })
	return err
}
