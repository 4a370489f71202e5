// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package openapi makes clients of Cakewalk's Open API for WebhookReceivers: one for each, with the credentials of its
// Secret, shared by all its uses.
package openapi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/references"
)

const (
	// freshFor is how long Secrets are taken as read. It is what the API's documentation promises.
	freshFor = 30 * time.Second
	// readTimeout bounds the reading of what a receiver refers to.
	readTimeout = 10 * time.Second

	apiField    = "spec.cakewalkAPI"
	secretField = apiField + ".credentialsSecretRef"
)

// Clients are the clients of all WebhookReceivers. Its methods may be called from several goroutines.
type Clients struct {
	reader  client.Reader
	metrics *metrics
	now     func() time.Time

	mu      sync.Mutex
	entries map[types.NamespacedName]*entry
}

// entry is what is kept of one receiver.
type entry struct {
	// gate lives as long as the receiver: new credentials must not give a second burst.
	gate  *cakewalk.Gate
	uid   types.UID
	state *state

	// mu is held while the entry is read or made anew, so that a burst of tasks reads the Secret once.
	mu         sync.Mutex
	generation int64
	revision   string
	read       time.Time
	client     *cakewalk.Client
	err        error
}

// NewClients returns Clients that read Secrets and ConfigMaps with reader, by name and live. Their metrics are registered
// with registry. now tells the time; nil: time.Now.
func NewClients(reader client.Reader, registry prometheus.Registerer, now func() time.Time) (*Clients, error) {
	m, err := newMetrics(registry)
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	return &Clients{reader: reader, metrics: m, now: now, entries: map[types.NamespacedName]*entry{}}, nil
}

// Client returns the client of a receiver with spec.cakewalkAPI. The credentials are read again after 30 seconds, when the
// spec changed, and after Cakewalk refused them. The error is a *provisioning.UnavailableError where a Secret, a
// ConfigMap or a key of them is missing or unusable, which it names; credentials that are gone are not used any more. It
// is a *provisioning.RetryableError where they could not be read.
func (c *Clients) Client(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver) (*cakewalk.Client, error) {
	if receiver.Spec.CakewalkAPI == nil {
		return nil, provisioning.Unavailable(accessv1alpha1.ReasonNotConfigured, fmt.Errorf("WebhookReceiver %q has no %s", receiver.Name, apiField))
	}
	e := c.entry(receiver)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.generation != receiver.Generation || c.now().Sub(e.read) >= freshFor || e.state.takeRefused() {
		if err := c.refresh(ctx, e, receiver); err != nil {
			return nil, err
		}
	}
	return e.client, e.err
}

// Condition is what the requests of a receiver found, as status, reason and message of the condition Connected, and when
// the newest of them was. ok is false where none was made yet.
func (c *Clients) Condition(receiver types.NamespacedName) (status, reason, message string, at time.Time, ok bool) {
	c.mu.Lock()
	e := c.entries[receiver]
	c.mu.Unlock()
	if e == nil {
		return "", "", "", time.Time{}, false
	}
	return e.state.condition()
}

// Forget drops what is kept of a receiver that was deleted.
func (c *Clients) Forget(receiver types.NamespacedName) {
	c.mu.Lock()
	e := c.entries[receiver]
	delete(c.entries, receiver)
	c.mu.Unlock()
	e.shut()
}

func (c *Clients) entry(receiver *accessv1alpha1.WebhookReceiver) *entry {
	name := types.NamespacedName{Namespace: receiver.Namespace, Name: receiver.Name}
	c.mu.Lock()
	e := c.entries[name]
	old := e
	if e == nil || e.uid != receiver.UID {
		e = &entry{uid: receiver.UID, gate: cakewalk.NewGate(c.now), state: &state{}}
		c.entries[name] = e
	}
	c.mu.Unlock()
	if old != e {
		old.shut()
	}
	return e
}

// refresh reads what the receiver refers to, and makes the client anew if something changed. An error means that nothing
// could be read, so that nothing is known.
func (c *Clients) refresh(ctx context.Context, e *entry, receiver *accessv1alpha1.WebhookReceiver) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	api := receiver.Spec.CakewalkAPI
	refs, err := references.Read(ctx, c.reader, receiver.Namespace, api)
	if err != nil {
		return provisioning.Retryable(fmt.Errorf("the credentials of Cakewalk's API cannot be read: %w", err))
	}
	e.read = c.now()
	e.generation = receiver.Generation
	revision := revisionOf(api, refs)
	if revision == e.revision {
		return nil
	}
	fresh, err := c.make(api, refs, e)
	if e.client != nil {
		e.client.Close()
	}
	// That something is missing is kept as well: it stays so until something changes.
	e.client, e.err, e.revision = fresh, err, revision
	e.gate.Forgive()
	e.state.changed(err, c.now())
	return nil
}

// revisionOf names the state of what a client is made of. Other members of the spec make no new client.
func revisionOf(api *accessv1alpha1.CakewalkAPI, refs *references.References) string {
	parts := []string{api.URL, api.CredentialsSecretRef.Name}
	if ca := api.CertificateAuthority; ca != nil && ca.SecretRef != nil {
		parts = append(parts, "secret", ca.SecretRef.Name, ca.SecretRef.Key)
	} else if ca != nil && ca.ConfigMapRef != nil {
		parts = append(parts, "configmap", ca.ConfigMapRef.Name, ca.ConfigMapRef.Key)
	}
	return strings.Join(append(parts, refs.Revision()), " ")
}

// make makes a client. An error is a *provisioning.UnavailableError.
func (c *Clients) make(api *accessv1alpha1.CakewalkAPI, refs *references.References, e *entry) (*cakewalk.Client, error) {
	name := api.CredentialsSecretRef.Name
	key, err := refs.Secret(secretField, name, "apiKey")
	if err != nil {
		return nil, err
	}
	secret, err := refs.Secret(secretField, name, "apiSecret")
	if err != nil {
		return nil, err
	}
	roots, err := refs.Roots(apiField+".certificateAuthority", api.CertificateAuthority)
	if err != nil {
		return nil, err
	}
	made, err := cakewalk.NewClient(cakewalk.ClientOptions{
		BaseURL: api.URL, Key: key, Secret: secret, RootCAs: roots, Gate: e.gate,
		Observe: func(o cakewalk.Observation) {
			c.metrics.observe(o)
			e.state.observe(o, c.now())
		},
	})
	if err != nil {
		return nil, provisioning.Unavailable(accessv1alpha1.ReasonInvalidConfiguration, fmt.Errorf("%s: %w", apiField, err))
	}
	return made, nil
}

// shut ends the connections of the client that is kept. Requests that are under way end by themselves.
func (e *entry) shut() {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.client != nil {
		e.client.Close()
	}
}

// unavailableReason is the reason of an error of make.
func unavailableReason(err error) string {
	if unavailable, ok := errors.AsType[*provisioning.UnavailableError](err); ok {
		return unavailable.Reason
	}
	return accessv1alpha1.ReasonInvalidConfiguration
}
