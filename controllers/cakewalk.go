// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

// Cakewalk gives the clients of Cakewalk's Open API. A receiver has one client, which all uses of the process share, so
// that they stay under its limit of requests together.
type Cakewalk interface {
	// Client returns the client of a receiver with spec.cakewalkAPI. The error says which Secret or key of it is missing.
	Client(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver) (*cakewalk.Client, error)
	// Condition is what the requests of a receiver found, as status, reason and message of the condition Connected, and
	// when the newest of them was. ok is false where none was made yet.
	Condition(receiver types.NamespacedName) (status, reason, message string, at time.Time, ok bool)
	// Forget drops what is kept of a receiver that was deleted.
	Forget(receiver types.NamespacedName)
}
