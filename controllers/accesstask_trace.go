// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	oteltrace "go.opentelemetry.io/otel/trace"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/tracing"
)

// trace begins the span of a visit that does more than wait, in the trace of the delivery that stored the task. The returned
// function ends it with what was decided last.
func trace(ctx context.Context, task *accessv1alpha1.AccessTask, d decision) (context.Context, func(decision)) {
	if d.verb == verbWait {
		return ctx, func(decision) {}
	}
	ctx, span := tracing.Tracer().Start(tracing.From(ctx, annotation(task, tracing.Annotation)), "reconcile AccessTask",
		oteltrace.WithAttributes(tracing.Task(task.Namespace, task.Name)...),
		oteltrace.WithAttributes(attribute.String("access.verb", string(d.verb)), attribute.String("access.request_type", requestType(task))))
	return ctx, func(d decision) {
		if d.connector != nil {
			span.SetAttributes(attribute.String("access.connector", d.connector.Name))
		}
		word := d.outcome.reason
		if word == "" {
			word = string(d.verb)
		}
		tracing.End(span, word, d.outcome.finished == metav1.ConditionFalse)
	}
}
