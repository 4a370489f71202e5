// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"getcakewalk.io/access-operator/internal/testenv"
)

// prometheus is a running server that scrapes the manager each second and evaluates the alerts.
type prometheus struct {
	t   *testing.T
	url string
}

func startPrometheus(t *testing.T, target, token string) *prometheus {
	t.Helper()
	dir, address := t.TempDir(), testenv.FreeAddress(t)
	rules, err := filepath.Abs("../../config/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// The label namespace is the pod's, as the Prometheus Operator sets it: the metrics' own must win.
	config := fmt.Sprintf(`global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
- job_name: access-operator-metrics
  honor_labels: true
  scheme: https
  tls_config: {insecure_skip_verify: true}
  authorization: {credentials_file: token}
  static_configs: [{targets: [%q], labels: {namespace: access-operator-system, pod: manager-0}}]
`, rules, target)
	for name, text := range map[string]string{"prometheus.yml": config, "token": token} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	cmd := exec.Command("prometheus", "--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal("Debian's package prometheus is needed: ", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the log of Prometheus: %s", tail(log.String(), 4000))
		}
	})
	p := &prometheus{t: t, url: "http://" + address}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		res, err := http.Get(p.url + "/-/ready")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return p
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("Prometheus is not ready: ", err)
		}
	}
}

// get reads the data of an answer. A query that is no PromQL fails the test.
func (p *prometheus) get(path string, into any) {
	p.t.Helper()
	res, err := http.Get(p.url + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		p.t.Fatalf("%s: %s %s %v", path, res.Status, text, err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		p.t.Fatal(err)
	}
}

// query returns the values that a query yields now.
func (p *prometheus) query(query string) []string {
	p.t.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	p.get("/api/v1/query?query="+url.QueryEscape(query), &answer)
	values := make([]string, 0, len(answer.Data.Result))
	for _, r := range answer.Data.Result {
		values = append(values, fmt.Sprint(r.Value[1]))
	}
	return values
}

// alerts returns the states of all alerts that are not quiet, and the namespace of what they are about.
func (p *prometheus) alerts() map[string]string {
	p.t.Helper()
	var answer struct {
		Data struct {
			Alerts []struct {
				Labels map[string]string
				State  string
			}
		}
	}
	p.get("/api/v1/alerts", &answer)
	states := map[string]string{}
	for _, a := range answer.Data.Alerts {
		states[a.Labels["alertname"]] = a.State + " in " + a.Labels["namespace"]
	}
	return states
}
