// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/apimachinery/pkg/types"

	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/tracing"
)

// spans returns an engine's Calling for one Connector: a span for each call to the backend.
func spans(name types.NamespacedName, kind string) func(context.Context, string) (context.Context, func(error)) {
	return func(ctx context.Context, operation string) (context.Context, func(error)) {
		ctx, span := tracing.Tracer().Start(ctx, "backend "+operation, trace.WithAttributes(
			attribute.String("k8s.namespace.name", name.Namespace),
			attribute.String("access.connector", name.Name),
			attribute.String("access.backend", kind),
			attribute.String("access.operation", operation),
		))
		return ctx, func(err error) { tracing.End(span, provisioning.Word(err), err != nil) }
	}
}
