// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/tracing"
)

// What a trace adds to a task takes nothing from it: that Cakewalk has to confirm it is an annotation, too.
func TestATraceTakesNoAnnotationAway(t *testing.T) {
	ctx := trace.ContextWithRemoteSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled, Remote: true,
	}))
	task := &accessv1alpha1.AccessTask{}
	task.Annotations = map[string]string{accessv1alpha1.AnnotationPreflight: "Required"}
	_, span := startStoring(ctx, task)
	span.End()
	want := map[string]string{
		accessv1alpha1.AnnotationPreflight: "Required",
		tracing.Annotation:                 "00-01000000000000000000000000000000-0200000000000000-01",
	}
	if diff := cmp.Diff(want, task.Annotations); diff != "" {
		t.Error(diff)
	}
}
