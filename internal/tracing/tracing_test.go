// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"testing"

	"github.com/go-logr/logr"
)

func TestTheEnvironmentSwitchesTracing(t *testing.T) {
	const endpoint, traces = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	tests := map[string]struct {
		env      map[string]string
		protocol string
		wrong    bool
	}{
		"off by default":                         {},
		"an endpoint":                            {env: map[string]string{endpoint: "http://x"}, protocol: "http/protobuf"},
		"an endpoint for traces":                 {env: map[string]string{traces: "http://x"}, protocol: "http/protobuf"},
		"a disabled SDK":                         {env: map[string]string{endpoint: "http://x", "OTEL_SDK_DISABLED": "TRUE"}},
		"no exporter":                            {env: map[string]string{endpoint: "http://x", "OTEL_TRACES_EXPORTER": "none"}},
		"an exporter without an endpoint":        {env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}},
		"another exporter":                       {env: map[string]string{endpoint: "http://x", "OTEL_TRACES_EXPORTER": "zipkin"}, wrong: true},
		"gRPC":                                   {env: map[string]string{endpoint: "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, protocol: "grpc"},
		"a protocol for traces before the other": {env: map[string]string{endpoint: "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"}, protocol: "http/protobuf"},
		"another protocol":                       {env: map[string]string{endpoint: "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, wrong: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			protocol, on, err := enabled(func(name string) string { return test.env[name] })
			if protocol != test.protocol || on != (test.protocol != "") || (err != nil) != test.wrong {
				t.Errorf("%q %t %v", protocol, on, err)
			}
		})
	}
}

func TestWithoutTracingThereIsNoTrace(t *testing.T) {
	stop, err := Start(t.Context(), func(string) string { return "" }, "v", logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	ctx, span := Tracer().Start(t.Context(), "x")
	defer span.End()
	if Parent(ctx) != "" || TraceID(ctx) != "" {
		t.Error("there is one:", Parent(ctx))
	}
}

func TestOnlyAWellFormedParentCounts(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if got := Parent(From(t.Context(), parent)); got != parent {
		t.Error(got)
	}
	for _, parent := range []string{"", "x", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", parent + "-x", "00-00000000000000000000000000000000-b7ad6b7169203331-01"} {
		if got := Parent(From(t.Context(), parent)); got != "" {
			t.Errorf("%q gives %q", parent, got)
		}
	}
}
