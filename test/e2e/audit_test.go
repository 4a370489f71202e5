// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/audit"
)

var auditSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	return jsonschema.NewCompiler().Compile("../../docs/audit.schema.json")
})

// auditLines reads an audit log of a manager that has ended. Every line must be as docs/audit.schema.json says; only the
// last may be torn, where the manager was killed.
func auditLines(t *testing.T, log *bytes.Buffer) []audit.Line {
	t.Helper()
	schema, err := auditSchema()
	if err != nil {
		t.Fatal(err)
	}
	var all []audit.Line
	for text := range strings.Lines(log.String()) {
		if !strings.HasSuffix(text, "\n") {
			break
		}
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Errorf("no JSON (%v) in the audit log: %s", err, text)
			continue
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%v: %s", err, text)
		}
		var l audit.Line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Error(err)
		}
		all = append(all, l)
	}
	return all
}

// api is a target system that names its requests, and refuses changes until it is told otherwise.
type api struct {
	mu      sync.Mutex
	members map[string]bool
	takes   atomic.Bool
	// traced tells that a request named a trace.
	traced atomic.Bool
	asked  atomic.Int64
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if r.Header.Get("Traceparent") != "" {
		a.traced.Store(true)
	}
	w.Header().Set("X-Request-Id", fmt.Sprintf("req-%s-%d", strings.ToLower(r.Method), a.asked.Add(1)))
	w.Header().Set("Content-Type", "application/json")
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case r.URL.Path == "/check":
	case r.Method == http.MethodPut && a.takes.Load():
		a.members[r.URL.Path] = true
	case r.Method == http.MethodPut:
		w.WriteHeader(http.StatusBadRequest)
	case !a.members[r.URL.Path]:
		w.WriteHeader(http.StatusNotFound)
	}
	_, _ = io.WriteString(w, `{"detail": "no"}`)
}

// billing makes the Connector billing at an API.
func (r *rig) billing() *api {
	r.t.Helper()
	target := &api{members: map[string]bool{}}
	server := httptest.NewServer(target)
	r.t.Cleanup(server.Close)
	spec := map[string]any{}
	if err := yaml.Unmarshal([]byte(`
match: {workApps: [{name: Billing}]}
permissionLevels: [{name: Clerk, entitlements: [clerks]}]
http: {baseURL: "`+server.URL+`", authentication: {bearer: {tokenSecretRef: {name: scim, key: token}}}, `+operations+`}`), &spec); err != nil {
		r.t.Fatal(err)
	}
	c := &unstructured.Unstructured{Object: map[string]any{"apiVersion": accessv1alpha1.GroupVersion.String(), "kind": "Connector", "spec": spec}}
	c.SetName("billing")
	r.create(c)
	return target
}

// The audit log of a run in which everything happens that it can tell of.
func TestTheAuditLogTellsEverything(t *testing.T) {
	r := newRig(t)
	connectors := []*accessv1alpha1.Connector{r.connector("Slack", r.scim, "scim"), {ObjectMeta: metav1.ObjectMeta{Name: "billing", Namespace: r.namespace}}}
	target := r.billing()
	r.start()
	for _, c := range connectors {
		r.ready(c, accessv1alpha1.ReasonProbed)
	}

	person := func(id, email string) map[string]any {
		return map[string]any{"id": id, "email": email, "fullName": "Somebody"}
	}
	asked := func(e map[string]any, level string) map[string]any {
		request, ok := data(e)["requestMetadata"].(map[string]any)
		if !ok {
			t.Fatal(e)
		}
		request["requestedBy"] = person("11111111-0000-4000-8000-000000000001", "bea@example.com")
		request["reviewedBy"] = []any{person("11111111-0000-4000-8000-000000000002", "rob@example.com")}
		if level != "" {
			request["permissionLevel"] = map[string]any{"id": "11111111-0000-4000-8000-000000000003", "name": level}
		}
		return e
	}
	first, slack := event(grant, "Slack", "ann@example.com")
	r.deliver(asked(first, ""))
	r.until(slack, accessv1alpha1.ReasonProvisioned)
	r.deliver(first)
	other, _ := event(grant, "Slack", "eve@example.com")
	data(other)["taskId"] = slack
	r.deliver(other)
	if code, answer := r.send(r.namespace+"/cakewalk", map[string]string{"X-SIGNATURE": strings.Repeat("00", 32)}, first); code != http.StatusUnauthorized {
		t.Fatal(code, answer)
	}
	r.patchTask(slack, `{"spec":{"ttlSecondsAfterFinished":0}}`)

	second, billing := event(grant, "Billing", "ann@example.com")
	r.deliver(asked(second, "Clerk"))
	r.until(billing, accessv1alpha1.ReasonPermanentError)
	target.takes.Store(true)
	r.patchTask(billing, `{"metadata":{"annotations":{"access.getcakewalk.io/retry":"rob: the API takes it now"}}}`)
	r.until(billing, accessv1alpha1.ReasonProvisioned)

	third, nowhere := event(grant, "Nothing", "ann@example.com")
	r.deliver(asked(third, ""))
	r.until(nowhere, accessv1alpha1.ReasonNoConnector)
	r.patchTask(nowhere, `{"metadata":{"annotations":{"access.getcakewalk.io/complete":"rob: done in the console"}}}`)
	r.until(nowhere, accessv1alpha1.ReasonCompletedByPerson)
	r.eventually("the finished task is deleted", func() error {
		err := r.Get(t.Context(), client.ObjectKey{Namespace: r.namespace, Name: slack}, &accessv1alpha1.AccessTask{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there (%w)", err)
		}
		return nil
	})
	r.end(t, syscall.SIGTERM)
	t.Log(r.auditLogs[0].String())

	lines := auditLines(t, r.auditLogs[0])
	told := map[string][]string{}
	ids := map[string]bool{}
	for _, l := range lines {
		if ids[l.ID] {
			t.Errorf("told twice: %+v", l)
		}
		ids[l.ID] = true
		words := []string{string(l.Event), string(l.Outcome), l.Reason, l.Connector, l.Action, l.Entitlement, l.Before, l.After, l.By}
		if l.Event != audit.DeliveryVerified {
			about := l.Task
			if l.DeliveryID != "" {
				// The controllers may be faster than the receiver.
				about = "received " + l.Task
			}
			told[about] = append(told[about], strings.Join(strings.Fields(strings.Join(words, " ")), " "))
		}
		if l.Task != "" && l.Event != audit.TaskConflict {
			if l.RequestedBy == nil || l.RequestedBy.Email != "bea@example.com" || len(l.ReviewedBy) != 1 || l.ReviewedBy[0].ID == "" || l.TargetUser == nil {
				t.Errorf("it does not say who asked and who approved: %+v", l)
			}
		}
		if (l.Event == audit.ChangeMade || l.Event == audit.ChangeNotMade) && l.Connector == "billing" &&
			!strings.Contains(strings.Join(l.RequestIDs, " "), "req-put-") {
			t.Errorf("the target's names of the change's requests are %v", l.RequestIDs)
		}
	}
	want := map[string][]string{
		"":                    {"DeliveryRefused refused"},
		"received " + slack:   {"TaskStored stored", "TaskKnown duplicate", "TaskConflict conflict"},
		"received " + billing: {"TaskStored stored"},
		"received " + nowhere: {"TaskStored stored"},
		slack: {
			"TaskRouted waiting slack",
			"ChangePlanned planned slack CreateAccount Absent",
			"ChangePlanned planned slack AddEntitlement one Absent", "ChangePlanned planned slack AddEntitlement two Absent", "ChangePlanned planned slack AddEntitlement three Absent",
			"TaskDecided waiting Provisioning slack",
			"ChangeMade applied slack CreateAccount Absent Active",
			"ChangeMade applied slack AddEntitlement one Absent Present", "ChangeMade applied slack AddEntitlement two Absent Present", "ChangeMade applied slack AddEntitlement three Absent Present",
			"TaskDecided succeeded Provisioned slack", "TaskDeleted deleted Provisioned slack",
		},
		billing: {
			"TaskRouted waiting billing", "ChangePlanned planned billing AddEntitlement clerks Absent", "TaskDecided waiting Provisioning billing",
			"ChangeNotMade notSeen PermanentError billing AddEntitlement clerks Absent Absent", "TaskDecided failed PermanentError billing",
			"TaskRetried waiting billing rob: the API takes it now",
			"ChangePlanned planned billing AddEntitlement clerks Absent", "TaskDecided waiting Provisioning billing",
			"ChangeMade applied billing AddEntitlement clerks Absent Present", "TaskDecided succeeded Provisioned billing",
		},
		nowhere: {
			"TaskDecided waiting NoConnector", "TaskCompletedByPerson succeeded CompletedByPerson rob: done in the console",
		},
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
}
