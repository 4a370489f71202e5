// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// lookup finds WebhookReceivers, which must not be changed. An error is a *cache.ErrCacheNotStarted while it is not known
// which there are, and says NotFound where there is none.
type lookup interface {
	find(ctx context.Context, key types.NamespacedName) (*accessv1alpha1.WebhookReceiver, error)
}

// known are the WebhookReceivers of an informer. Every delivery, also one that is refused, looks for its receiver: a read
// of the manager's client would copy the object, and where it is narrowed to namespaces also look for its kind.
type known struct {
	synced toolscache.InformerSynced

	mu  sync.RWMutex
	all map[types.NamespacedName]*accessv1alpha1.WebhookReceiver
}

func newKnown() *known {
	return &known{all: map[types.NamespacedName]*accessv1alpha1.WebhookReceiver{}}
}

func (k *known) find(_ context.Context, key types.NamespacedName) (*accessv1alpha1.WebhookReceiver, error) {
	if !k.synced() {
		return nil, &cache.ErrCacheNotStarted{}
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if r := k.all[key]; r != nil {
		return r, nil
	}
	return nil, apierrors.NewNotFound(accessv1alpha1.GroupVersion.WithResource("webhookreceivers").GroupResource(), key.Name)
}

// OnAdd implements ResourceEventHandler.
func (k *known) OnAdd(object any, _ bool) { k.OnUpdate(nil, object) }

// OnUpdate implements ResourceEventHandler.
func (k *known) OnUpdate(_, object any) {
	if r, ok := object.(*accessv1alpha1.WebhookReceiver); ok {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.all[client.ObjectKeyFromObject(r)] = r
	}
}

// OnDelete implements ResourceEventHandler.
func (k *known) OnDelete(object any) {
	if tombstone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	if r, ok := object.(*accessv1alpha1.WebhookReceiver); ok {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.all, client.ObjectKeyFromObject(r))
	}
}
