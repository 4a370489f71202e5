// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// Names of the receivers, each with another kind of signature.
const (
	receiverHMAC = "hmac"
	receiverRSA  = "rsa"
)

// receiving is a manager that receives and does nothing else, in a namespace of its own, and another namespace for the
// bare client, which the manager does not watch.
type receiving struct {
	*plane

	manager       *manager
	watched, bare string
	key           *rsa.PrivateKey
	// sample is a task as the receiver stores it.
	sample *accessv1alpha1.AccessTask
}

func (b *bench) startReceiving(ctx context.Context) (*receiving, error) {
	r := &receiving{plane: b.plane}
	var err error
	for _, n := range []*string{&r.watched, &r.bare} {
		if *n, err = r.namespace(ctx, "receiving"); err != nil {
			return nil, err
		}
	}
	if r.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	if err := r.makeReceivers(ctx); err != nil {
		return nil, err
	}
	if r.manager, err = startManager(ctx, b.plane, b.logs, "--controllers=false", "--watch-namespaces", r.watched); err != nil {
		return nil, err
	}
	if err := r.takeSample(ctx); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *receiving) close() { r.manager.stop() }

// signer signs as a receiver expects it.
func (r *receiving) signer(receiver string) signer {
	if receiver == receiverRSA {
		return signRSA(r.key)
	}
	return signHMAC
}

func (r *receiving) makeReceivers(ctx context.Context) error {
	public, err := x509.MarshalPKIXPublicKey(&r.key.PublicKey)
	if err != nil {
		return err
	}
	keys := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Namespace: r.watched} }
	withHMAC := &accessv1alpha1.WebhookReceiver{ObjectMeta: meta(receiverHMAC)}
	withHMAC.Spec.Verification.HMAC = &accessv1alpha1.HMACVerification{SecretRefs: []accessv1alpha1.SecretKeyReference{{Name: "hook", Key: "secret"}}}
	withRSA := &accessv1alpha1.WebhookReceiver{ObjectMeta: meta(receiverRSA)}
	withRSA.Spec.Verification.RSA = &accessv1alpha1.RSAVerification{Keys: &accessv1alpha1.KeySource{SecretRef: &accessv1alpha1.SecretKeyReference{Name: "hook", Key: "public"}}}
	for _, receiver := range []*accessv1alpha1.WebhookReceiver{withHMAC, withRSA} {
		// Nothing finishes these tasks.
		receiver.Spec.Limits.MaxUnfinishedTasks = maxUnfinished
	}
	for _, o := range []client.Object{
		&corev1.Secret{ObjectMeta: meta("hook"), StringData: map[string]string{"secret": secret, "public": keys}}, withHMAC, withRSA,
	} {
		if err := r.Create(ctx, o); err != nil {
			return fmt.Errorf("creating %T: %w", o, err)
		}
	}
	return nil
}

// maxUnfinished is the greatest limit that a WebhookReceiver takes.
const maxUnfinished = 1_000_000

// takeSample has the receiver store a task, and keeps what it stored.
func (r *receiving) takeSample(ctx context.Context) error {
	deliveries, err := newDeliveries(1, 1, "Slack", signHMAC)
	if err != nil {
		return err
	}
	s := newSender(r.url(receiverHMAC), 1)
	defer s.close()
	if err := s.send(ctx, deliveries[0], http.StatusOK); err != nil {
		return err
	}
	var stored accessv1alpha1.AccessTaskList
	if err := r.List(ctx, &stored, client.InNamespace(r.watched)); err != nil {
		return err
	}
	if len(stored.Items) != 1 {
		return fmt.Errorf("one task was sent and %d are stored", len(stored.Items))
	}
	r.sample = &stored.Items[0]
	return nil
}

func (r *receiving) url(receiver string) string {
	return "http://" + r.manager.receiver + "/webhooks/" + r.watched + "/" + receiver
}

// load is what is sent in one run.
type load struct {
	receiver string
	sign     signer
	// objects is how many are stored at least, and batch how many events a delivery has.
	objects, batch int
	// inFlight is how many deliveries are in flight, and bareInFlight how many creates of the bare client.
	inFlight, bareInFlight int
}

// receive sends a load to the receiver, and measures until all of its tasks are seen.
func (r *receiving) receive(ctx context.Context, l load) (measured, error) {
	deliveries, err := newDeliveries(l.objects, l.batch, "Slack", l.sign)
	if err != nil {
		return measured{}, err
	}
	s := newSender(r.url(l.receiver), l.inFlight)
	defer s.close()
	return r.measure(ctx, r.watched, l.inFlight, len(deliveries), len(deliveries)*l.batch, func(ctx context.Context, i int) error {
		return s.send(ctx, deliveries[i], http.StatusOK)
	})
}

// create creates tasks like the receiver's with a client, and measures until all of them are seen.
func (r *receiving) create(ctx context.Context, n, inFlight int) (measured, error) {
	tasks := make([]*accessv1alpha1.AccessTask, n)
	for i := range tasks {
		tasks[i] = another(r.sample, r.bare)
	}
	return r.measure(ctx, r.bare, inFlight, n, n, func(ctx context.Context, i int) error { return r.Create(ctx, tasks[i]) })
}

// another is a task like a sample, about somebody else, as the receiver would store it in a namespace.
func another(sample *accessv1alpha1.AccessTask, namespace string) *accessv1alpha1.AccessTask {
	task := &accessv1alpha1.AccessTask{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Labels: maps.Clone(sample.Labels), Annotations: maps.Clone(sample.Annotations),
	}}
	sample.Spec.DeepCopyInto(&task.Spec)
	user := uuid.NewString()
	task.Name = uuid.NewString()
	task.Spec.TaskID = task.Name
	task.Spec.ReceivedTime = &metav1.MicroTime{Time: time.Now()}
	task.Spec.Request.TargetUser.ID, task.Spec.Request.TargetUser.Email = user, user+"@example.com"
	task.Labels[accessv1alpha1.LabelTargetUserID] = user
	return task
}

// measure makes n requests that store objects in a namespace.
func (r *receiving) measure(ctx context.Context, namespace string, inFlight, n, objects int, one func(context.Context, int) error) (measured, error) {
	c, err := r.count(ctx, namespace)
	if err != nil {
		return measured{}, err
	}
	defer c.stop()
	before, err := r.manager.processor()
	if err != nil {
		return measured{}, err
	}
	m := measured{objects: objects}
	seen := make(chan error, 1)
	start := time.Now()
	go func() {
		err := c.await(ctx, objects)
		m.took = time.Since(start)
		seen <- err
	}()
	if m.requests, err = drive(ctx, n, inFlight, one); err != nil {
		// Nobody waits for what will not come.
		c.stop()
	}
	if failed := <-seen; err == nil {
		err = failed
	}
	if err != nil {
		return measured{}, err
	}
	after, err := r.manager.processor()
	m.processor = after - before
	return m, err
}
