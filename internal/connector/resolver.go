// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
	resources "getcakewalk.io/access-operator/internal/references"
)

// freshFor is how long Secrets are taken as read: a burst of tasks reads them once.
const freshFor = 2 * time.Second

// Resolver makes engines and keeps them while neither the Connector nor what it refers to changes. All tasks of a
// Connector share one engine, and with it the connection pool, the token, the rate limit and the ledger.
type Resolver struct {
	reader  client.Reader
	cluster *rest.Config
	metrics *metrics
	now     func() time.Time

	mu      sync.Mutex
	entries map[types.NamespacedName]*entry
}

// entry is what is kept of one Connector.
type entry struct {
	// mu is held while the entry is read or made anew, so that a burst of tasks makes one engine.
	mu         sync.Mutex
	uid        types.UID
	generation int64
	revision   string
	read       time.Time
	engine     *provisioning.Engine
	identity   *identity
	err        error
	close      func()

	// limiter and ledger live as long as the Connector: a change of the spec must not give a second burst.
	limiter *rate.Limiter
	ledger  *provisioning.Ledger
}

// NewResolver returns a Resolver that reads Secrets and ConfigMaps with reader, by name and live. cluster reaches the
// operator's own API server, for the backends that work there. Its metrics are registered with registry.
func NewResolver(reader client.Reader, cluster *rest.Config, registry prometheus.Registerer) (*Resolver, error) {
	m, err := newMetrics(registry)
	if err != nil {
		return nil, err
	}
	return &Resolver{reader: reader, cluster: cluster, metrics: m, now: time.Now, entries: map[types.NamespacedName]*entry{}}, nil
}

// Engine returns the engine of a Connector, nil for a backend that leaves everything to a person. An error is an
// *provisioning.UnavailableError where the Connector or what it refers to is wrong, and a *provisioning.RetryableError
// where it could not be read.
func (r *Resolver) Engine(ctx context.Context, c *accessv1alpha1.Connector) (*provisioning.Engine, error) {
	e, err := r.resolve(ctx, c)
	if err != nil {
		return nil, err
	}
	return e.engine, nil
}

// Subject returns whom a request is about in the Connector's target system. An error is a *provisioning.PermanentError
// where the expressions yield no usable identity for this request, else one of Engine's.
func (r *Resolver) Subject(ctx context.Context, c *accessv1alpha1.Connector, request *accessv1alpha1.AccessRequest) (provisioning.Subject, error) {
	e, err := r.resolve(ctx, c)
	if err != nil {
		return provisioning.Subject{}, err
	}
	return e.identity.subject(ctx, request)
}

// Kind names a Connector's kind of backend, for example scim: the name of its member in the spec.
func (r *Resolver) Kind(c *accessv1alpha1.Connector) string { return kind(c) }

// Revision names the state of the Connector's spec and of everything it refers to. It changes when one of them does.
func (r *Resolver) Revision(ctx context.Context, c *accessv1alpha1.Connector) (string, error) {
	got, err := r.read(ctx, c)
	if err != nil {
		return "", err
	}
	return got.revision(c), nil
}

// Forget drops what is kept of a Connector that was deleted.
func (r *Resolver) Forget(name types.NamespacedName) {
	r.mu.Lock()
	e := r.entries[name]
	delete(r.entries, name)
	r.mu.Unlock()
	if e != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.shut()
	}
	r.metrics.forget(name)
}

// references are what a Connector refers to.
type references struct {
	*resources.References
	// namespace is the Connector's.
	namespace string
	// cluster reaches the operator's own API server, as the operator.
	cluster *rest.Config
}

// read reads what a Connector refers to. An error means trouble with the API server.
func (r *Resolver) read(ctx context.Context, c *accessv1alpha1.Connector) (*references, error) {
	refs, err := resources.Read(ctx, r.reader, c.Namespace, &c.Spec)
	if err != nil {
		return nil, err
	}
	return &references{References: refs, namespace: c.Namespace, cluster: r.cluster}, nil
}

// revision names the state of the Connector's spec and of what it refers to.
func (r *references) revision(c *accessv1alpha1.Connector) string {
	return fmt.Sprintf("%s/%d %s", c.UID, c.Generation, r.Revision())
}

// resolved is a snapshot of an entry.
type resolved struct {
	engine   *provisioning.Engine
	identity *identity
}

func (r *Resolver) resolve(ctx context.Context, c *accessv1alpha1.Connector) (resolved, error) {
	e := r.entry(c)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.generation != c.Generation || e.uid != c.UID || r.now().Sub(e.read) >= freshFor {
		if err := r.refresh(ctx, e, c); err != nil {
			return resolved{}, err
		}
	}
	return resolved{engine: e.engine, identity: e.identity}, e.err
}

func (r *Resolver) entry(c *accessv1alpha1.Connector) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := types.NamespacedName{Namespace: c.Namespace, Name: c.Name}
	e := r.entries[name]
	if e == nil {
		e = &entry{limiter: rate.NewLimiter(0, 0), ledger: &provisioning.Ledger{}}
		r.entries[name] = e
	}
	return e
}

// refresh reads what the Connector refers to, and makes the engine anew if something changed. An error means that
// nothing could be read, so that nothing is known.
func (r *Resolver) refresh(ctx context.Context, e *entry, c *accessv1alpha1.Connector) error {
	got, err := r.read(ctx, c)
	if err != nil {
		return provisioning.Retryable(err)
	}
	e.read = r.now()
	revision := got.revision(c)
	if revision == e.revision {
		return nil
	}
	e.shut()
	e.uid, e.generation, e.revision = c.UID, c.Generation, revision
	e.limiter.SetLimit(rate.Limit(c.Spec.Limits.RequestsPerSecond))
	e.limiter.SetBurst(int(c.Spec.Limits.Burst))
	// That the Connector is wrong is kept as well: it stays so until something changes.
	e.err = r.make(e, c, got)
	return nil
}

// make compiles the identity and makes the engine.
func (r *Resolver) make(e *entry, c *accessv1alpha1.Connector, refs *references) error {
	e.engine, e.identity = nil, nil
	i, err := compileIdentity(c.Spec.Identity)
	if err != nil {
		return err
	}
	b, err := newBackend(c, refs, e.limiter)
	if err != nil {
		return err
	}
	e.identity = i
	if b == nil {
		return nil
	}
	e.close = b.close
	name := types.NamespacedName{Namespace: c.Namespace, Name: c.Name}
	e.engine = &provisioning.Engine{
		Backend:  b.Backend,
		Executor: b.executor,
		Ledger:   e.ledger,
		Called:   r.metrics.of(name, kind(c)),
		Calling:  spans(name, kind(c)),
	}
	return nil
}

// shut ends the connections of the engine that is kept. Requests that are under way end by themselves.
func (e *entry) shut() {
	if e.close != nil {
		e.close()
		e.close = nil
	}
}
