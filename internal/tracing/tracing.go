// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tracing sets up OpenTelemetry, by its standard environment variables. It is off unless an endpoint is named.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// flushTimeout bounds how long the end of the process waits for the last spans to be sent.
const flushTimeout = 5 * time.Second

// enabled tells by the environment whether spans are exported, and how: http/protobuf or grpc.
func enabled(getenv func(string) string) (protocol string, on bool, err error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return "", false, nil
	}
	if getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return "", false, nil
	}
	switch exporter := getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "none":
		return "", false, nil
	case "", "otlp":
	default:
		return "", false, fmt.Errorf("OTEL_TRACES_EXPORTER is %q: only otlp and none are known", exporter)
	}
	protocol = getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	switch protocol {
	case "", "http/protobuf":
		return "http/protobuf", true, nil
	case "grpc":
		return protocol, true, nil
	default:
		return "", false, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q: only http/protobuf and grpc are known", protocol)
	}
}

// Start starts tracing where the environment asks for it, with the operator's version as an attribute. The returned
// function sends what is left, for five seconds at most, and ends it. An error says which variable is wrong; a collector that
// cannot be reached is no error, but a line in the log.
//
//nolint:logcheck // the context ends the start; the log is for what goes wrong long after
func Start(ctx context.Context, getenv func(string) string, version string, log logr.Logger) (stop func(), err error) {
	protocol, on, err := enabled(getenv)
	if err != nil || !on {
		return func() {}, err
	}
	var exporter sdktrace.SpanExporter
	if protocol == "grpc" {
		exporter, err = otlptracegrpc.New(ctx)
	} else {
		exporter, err = otlptracehttp.New(ctx)
	}
	if err != nil {
		return func() {}, fmt.Errorf("starting tracing: %w", err)
	}
	// What the environment says comes last, and wins.
	of, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "access-operator"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return func() {}, errors.Join(fmt.Errorf("starting tracing: %w", err), exporter.Shutdown(ctx))
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(of))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Info("Spans were not sent", "reason", err.Error()) }))
	otel.SetTracerProvider(provider)
	log.Info("Tracing", "protocol", protocol)
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			log.Info("The last spans were not sent", "reason", err.Error())
		}
	}, nil
}
