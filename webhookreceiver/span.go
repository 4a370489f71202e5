// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/tracing"
)

// endSpan ends a delivery's span.
func (d *delivery) endSpan(span trace.Span, a answer) {
	span.SetAttributes(attribute.Int("http.response.status_code", a.code))
	if d.key.Name != "" {
		span.SetAttributes(attribute.String("k8s.namespace.name", d.key.Namespace), attribute.String("access.receiver", d.key.Name))
	}
	outcome := "refused"
	if d.verified {
		outcome = "verified"
	}
	tracing.End(span, outcome, a.code >= http.StatusInternalServerError)
}

// startStoring begins the span of storing a task, and has the task name the trace, so that whatever becomes of it is found
// with its delivery.
func startStoring(ctx context.Context, task *accessv1alpha1.AccessTask) (context.Context, trace.Span) {
	ctx, span := tracing.Tracer().Start(ctx, "store task", trace.WithAttributes(tracing.Task(task.Namespace, task.Name)...))
	if parent := tracing.Parent(ctx); parent != "" {
		if task.Annotations == nil {
			task.Annotations = map[string]string{}
		}
		task.Annotations[tracing.Annotation] = parent
	}
	return ctx, span
}
