// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/provisioning/httpapi"
)

// recording is what a vendor's API answers, after its published description, and what a connector does with it.
type recording struct {
	// Source is where the vendor publishes the answers.
	Source []string `json:"source"`
	// Subject and Levels are those of every step.
	Subject string     `json:"subject"`
	Levels  [][]string `json:"levels"`
	// Start is the state of the API at the beginning.
	Start     string     `json:"start"`
	Exchanges []exchange `json:"exchanges"`
	Steps     []struct {
		Name  string            `json:"name"`
		Do    provisioning.Kind `json:"do"`
		Level int               `json:"level"`
		// In puts the API into a state first, as when something happens there.
		In     string                `json:"in"`
		Remove provisioning.OnRemove `json:"onRemove"`

		Changes []string `json:"changes"`
		// Word is the word for the error, and Says what it says.
		Word  string `json:"word"`
		Says  string `json:"says"`
		State string `json:"state"`
	} `json:"steps"`
}

// exchange is a request and its answer.
type exchange struct {
	// In are the states in which it is answered so; empty for all.
	In      []string `json:"in"`
	Request string   `json:"request"`
	Body    any      `json:"body"`

	Status int               `json:"status"`
	Header map[string]string `json:"header"`
	Answer any               `json:"answer"`
	To     string            `json:"to"`
}

// vendor plays a recording.
type vendor struct {
	*testing.T
	recording
	server *httptest.Server
	base   string
	state  string
	used   []bool
}

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		v.Error(err)
	}
	var body any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &body); err != nil {
			v.Error(err)
		}
	}
	query, err := url.QueryUnescape(r.URL.RawQuery)
	if err != nil {
		v.Error(err)
	}
	asked := r.Method + " " + strings.TrimPrefix(r.URL.EscapedPath(), v.base)
	if query != "" {
		asked += "?" + query
	}
	for i, e := range v.Exchanges {
		if e.Request != asked || len(e.In) > 0 && !slices.Contains(e.In, v.state) || !cmp.Equal(e.Body, body) {
			continue
		}
		v.used[i] = true
		here := v.server.URL + v.base
		for name, value := range e.Header {
			w.Header().Add(name, strings.ReplaceAll(value, "{base}", here))
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(e.Status)
		if e.Answer != nil {
			answer, err := json.Marshal(e.Answer)
			if err != nil {
				v.Error(err)
			}
			if _, err := io.WriteString(w, strings.ReplaceAll(string(answer), "{base}", here)); err != nil {
				v.Error(err)
			}
		}
		if e.To != "" {
			v.state = e.To
		}
		return
	}
	v.Errorf("in state %s nothing is recorded for %s %s", v.state, asked, text)
	w.WriteHeader(http.StatusTeapot)
}

// TestRecordedConnectors plays the vendors' answers to the connectors that are shipped.
func TestRecordedConnectors(t *testing.T) {
	files, err := filepath.Glob("testdata/http/*.yaml")
	if err != nil || len(files) < 8 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			v := &vendor{T: t}
			read(t, file, &v.recording)
			v.used = make([]bool, len(v.Exchanges))
			v.state = v.Start
			v.server = httptest.NewServer(v)
			t.Cleanup(v.server.Close)
			v.play(shippedConnector(t, filepath.Base(file)))
			for i, used := range v.used {
				if !used {
					t.Errorf("exchange %d is never asked for: %s", i, v.Exchanges[i].Request)
				}
			}
		})
	}
}

func (v *vendor) play(c *accessv1alpha1.Connector) {
	v.Helper()
	address, err := url.Parse(c.Spec.HTTP.BaseURL)
	if err != nil {
		v.Fatal(err)
	}
	v.base = address.Path
	client := httpclient.New(httpclient.Options{Authentication: httpclient.Bearer("not-in-any-answer")})
	v.Cleanup(client.Close)
	b, err := httpapi.New(httpapi.Options{BaseURL: v.server.URL + v.base, Client: client, Operations: HTTPOperations(&c.Spec.HTTP.Operations)})
	if err != nil {
		v.Fatal(err)
	}
	e := &provisioning.Engine{Backend: b, Ledger: &provisioning.Ledger{}}
	if err := e.Check(v.Context()); err != nil {
		v.Error("check: ", err)
	}
	for _, step := range v.Steps {
		if step.In != "" {
			v.state = step.In
		}
		out, err := e.Provision(v.Context(), provisioning.Subject{ID: v.Subject},
			provisioning.Goal{Kind: step.Do, Levels: v.Levels, Level: step.Level, OnRemove: step.Remove},
			func(context.Context, provisioning.Intent) error { return nil })
		var changes []string
		for _, r := range out.Results {
			changes = append(changes, strings.ReplaceAll(strings.Join([]string{string(r.Change.Action), r.Change.Entitlement, string(r.State)}, " "), "  ", " "))
		}
		want := step.Word
		if want == "" {
			want = "ok"
		}
		if provisioning.Word(err) != want || err != nil && !strings.Contains(err.Error(), step.Says) {
			v.Errorf("%s: %v, want %s %s", step.Name, err, want, step.Says)
		}
		if diff := cmp.Diff(step.Changes, changes); diff != "" {
			v.Errorf("%s: changes -want +got\n%s", step.Name, diff)
		}
		if v.state != step.State {
			v.Errorf("%s: state %s, want %s", step.Name, v.state, step.State)
		}
	}
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		t.Fatal(err)
	}
}

// shippedConnector reads a sample.
func shippedConnector(t *testing.T, file string) *accessv1alpha1.Connector {
	t.Helper()
	var c accessv1alpha1.Connector
	read(t, filepath.Join("..", "..", "config", "samples", "http", file), &c)
	return &c
}
