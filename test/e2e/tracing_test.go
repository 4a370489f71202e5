// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/tracing"
)

// collector takes spans as an OpenTelemetry collector does, by OTLP over HTTP.
type collector struct {
	mu    sync.Mutex
	spans []*tracev1.Span
	// text is all that was sent, in words.
	text strings.Builder
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	request := &collectorv1.ExportTraceServiceRequest{}
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, request) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range request.ResourceSpans {
		for _, scope := range of.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
	c.text.WriteString(request.String())
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func TestADeliverysTraceIsFoundFromTheTask(t *testing.T) {
	r := newRig(t)
	c := &collector{}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	target := r.billing()
	target.takes.Store(true)
	r.process = r.startManager([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + server.URL, "OTEL_SERVICE_NAME=access"}, "--kubeconfig", r.config,
		"--receiver-bind-address", r.receiver, "--metrics-bind-address", "0", "--health-probe-bind-address", r.health)
	r.ready(&accessv1alpha1.Connector{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: "billing"}}, accessv1alpha1.ReasonProbed)

	const traceID, senders = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	stored := func(flags string) *accessv1alpha1.AccessTask {
		t.Helper()
		e, id := event(grant, "Billing", flags+"ann@example.com")
		data(e)["requestMetadata"].(map[string]any)["permissionLevel"] = map[string]any{"name": "Clerk"}
		if code, answer := r.send(r.namespace+"/cakewalk", map[string]string{"traceparent": "00-" + traceID + "-" + senders + "-" + flags}, e); code != http.StatusOK {
			t.Fatal(code, answer)
		}
		return r.until(id, accessv1alpha1.ReasonProvisioned)
	}
	task := stored("01")
	if unsampled := stored("00"); unsampled.Annotations[tracing.Annotation] != "" {
		t.Errorf("a task names a trace that nobody keeps: %v", unsampled.Annotations)
	}
	parent := strings.Split(task.Annotations[tracing.Annotation], "-")
	if len(parent) != 4 || parent[1] != traceID {
		t.Fatalf("the task names the trace %v", parent)
	}
	// The end of the process sends what is left.
	r.end(t, syscall.SIGTERM)

	byID, names := map[string]*tracev1.Span{}, map[string]int{}
	for _, s := range c.spans {
		byID[hex.EncodeToString(s.SpanId)] = s
	}
	// path names a span and those around it, from the outermost.
	path := func(s *tracev1.Span) string {
		all := s.Name
		for {
			p := hex.EncodeToString(s.ParentSpanId)
			if p == senders {
				return "sender > " + all
			}
			if s = byID[p]; s == nil {
				return all
			}
			all = s.Name + " > " + all
		}
	}
	for _, s := range c.spans {
		if hex.EncodeToString(s.TraceId) == traceID {
			names[path(s)]++
		}
	}
	if byID[parent[2]] == nil || byID[parent[2]].Name != "store task" {
		t.Errorf("the task names the span %v", byID[parent[2]])
	}
	visit := "sender > delivery > store task > reconcile AccessTask"
	for _, want := range []string{
		"sender > delivery", "sender > delivery > store task", visit, visit + " > backend observe", visit + " > backend observe > GET",
		visit + " > backend AddEntitlement", visit + " > backend AddEntitlement > PUT",
	} {
		if names[want] == 0 {
			t.Errorf("there is no span %s among %v", want, names)
		}
	}
	if target.traced.Load() {
		t.Error("the target system was told of the trace")
	}
	for _, personal := range []string{"ann@", "token\"", "Bearer", hookSecret} {
		if strings.Contains(c.text.String(), personal) {
			t.Errorf("%q is on a span: %s", personal, c.text.String())
		}
	}
	for _, want := range []string{task.Name, r.namespace, "billing", "AddEntitlement", "Provisioned", `"access"`, "service.version"} {
		if !strings.Contains(c.text.String(), want) {
			t.Errorf("%s is on no span", want)
		}
	}
	traced := map[string]bool{}
	for _, l := range auditLines(t, r.auditLogs[0]) {
		if l.Task == task.Name && l.TraceID != traceID {
			t.Errorf("a line of another trace: %+v", l)
		}
		if l.TraceID == traceID {
			traced[fmt.Sprint(l.Event)] = true
		}
	}
	if !traced["TaskStored"] || !traced["ChangeMade"] || !traced["DeliveryVerified"] {
		t.Errorf("audit lines in the trace: %v", traced)
	}
}
