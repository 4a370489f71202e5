// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Annotation is the annotation of an AccessTask that holds the W3C traceparent of the delivery that stored it.
const Annotation = "access.getcakewalk.io/traceparent"

const traceparent = "traceparent"

// Tracer returns the operator's tracer. It does nothing where tracing is off.
func Tracer() trace.Tracer { return otel.Tracer("getcakewalk.io/access-operator") }

// From returns ctx in the trace that a W3C traceparent names; ctx itself where it names none. Baggage and tracestate of
// strangers are not taken over.
func From(ctx context.Context, parent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{traceparent: parent})
}

// Parent returns the W3C traceparent of ctx's span, empty where it has none or it is not sampled.
func Parent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[traceparent]
}

// TraceID returns the id of ctx's trace, empty where it has none or it is not sampled.
func TraceID(ctx context.Context) string {
	if s := trace.SpanContextFromContext(ctx); s.IsSampled() {
		return s.TraceID().String()
	}
	return ""
}

// Task returns the attributes that name an AccessTask, and nothing of a person.
func Task(namespace, name string) []attribute.KeyValue {
	return []attribute.KeyValue{attribute.String("k8s.namespace.name", namespace), attribute.String("access.task", name)}
}

// End ends a span with an outcome in one word, which says too whether it failed. Error texts may hold names of persons
// and stay out.
func End(span trace.Span, outcome string, failed bool) {
	span.SetAttributes(attribute.String("access.outcome", outcome))
	if failed {
		span.SetStatus(codes.Error, outcome)
	}
	span.End()
}
