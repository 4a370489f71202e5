// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package observability

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// alert is a rule of config/prometheus/alerts.yaml.
type alert struct {
	Alert       string
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

func alerts(t *testing.T) []alert {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alert } }
	if err := yaml.Unmarshal([]byte(read(t, "config/prometheus/alerts.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	var all []alert
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) == 0 {
		t.Fatal("there are no alerts")
	}
	return all
}

// Each alert is shown to fire, and to be quiet. promtool tells whether they do.
func TestEveryAlertIsTestedBothWays(t *testing.T) {
	var file struct {
		Tests []struct {
			Name          string
			AlertRuleTest []struct {
				Alertname string
				ExpAlerts []any `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "config/prometheus/tests/alerts.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, a := range test.AlertRuleTest {
			if len(a.ExpAlerts) > 0 {
				fires[a.Alertname] = true
			} else {
				quiet[a.Alertname] = true
			}
		}
	}
	for _, a := range alerts(t) {
		if !fires[a.Alert] || !quiet[a.Alert] {
			t.Errorf("%s: shown to fire: %t, to be quiet: %t", a.Alert, fires[a.Alert], quiet[a.Alert])
		}
	}
}

func TestEveryAlertHasItsSectionOfTheRunbook(t *testing.T) {
	runbook := read(t, "docs/runbook.md")
	var sections, names []string
	for _, m := range regexp.MustCompile(`(?m)^## (AccessOperator\w+)$`).FindAllStringSubmatch(runbook, -1) {
		sections = append(sections, m[1])
	}
	for _, a := range alerts(t) {
		names = append(names, a.Alert)
		if !slices.Contains([]string{"critical", "warning", "info"}, a.Labels["severity"]) {
			t.Errorf("%s has the severity %q", a.Alert, a.Labels["severity"])
		}
		if a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
			t.Errorf("%s has no summary or no description", a.Alert)
		}
		if url := a.Annotations["runbook_url"]; !strings.HasSuffix(url, "/docs/runbook.md#"+strings.ToLower(a.Alert)) {
			t.Errorf("%s leads to %s", a.Alert, url)
		}
	}
	if diff := cmp.Diff(names, sections); diff != "" {
		t.Errorf("alerts (-) and sections of docs/runbook.md (+), in their order:\n%s", diff)
	}
	for _, section := range strings.Split(runbook, "\n## ")[1:] {
		title, _, _ := strings.Cut(section, "\n")
		for _, part := range []string{"**Means.**", "**Look.**", "**Do.**"} {
			if slices.Contains(names, title) && !strings.Contains(section, part) {
				t.Errorf("%s has no part %s", title, part)
			}
		}
	}
}

// Each reason that a task can be stuck with has a row, and so has the good end that nobody here brought about.
func TestTheRunbookKnowsEveryReason(t *testing.T) {
	constant := regexp.MustCompile(`(?m)^\tReason\w+ = "(\w+)"`)
	var reasons []string
	text := read(t, "api/v1alpha1/conditions.go")
	for _, status := range []string{"Unknown", "False"} {
		_, block, _ := strings.Cut(text, "// Reasons of Succeeded="+status)
		block, _, _ = strings.Cut(block, "\n)")
		for _, m := range constant.FindAllStringSubmatch(block, -1) {
			reasons = append(reasons, m[1])
		}
	}
	reasons = append(reasons, accessv1alpha1.ReasonCompletedByPerson)
	_, section, _ := strings.Cut(read(t, "docs/runbook.md"), "\n## A task, by its reason\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var rows []string
	for _, cells := range table(section, "`") {
		for name := range strings.SplitSeq(cells[0], ", ") {
			rows = append(rows, strings.Trim(name, "`"))
		}
	}
	slices.Sort(reasons)
	slices.Sort(rows)
	if diff := cmp.Diff(reasons, rows); diff != "" {
		t.Errorf("reasons of the API (-) and of docs/runbook.md (+):\n%s", diff)
	}
}

// documents returns the paths of the documents that people read.
func documents(t *testing.T) []string {
	t.Helper()
	paths := []string{"README.md"}
	err := fs.WalkDir(os.DirFS(root), "docs", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

var (
	fence   = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	// link is one to a file, a section of one, or a section of the same document.
	link = regexp.MustCompile(`\]\(([^)\s#:]*)(?:#([^)\s]*))?\)`)
)

// anchors returns the names that GitHub gives the sections of a document.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		name := strings.ToLower(regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(m[1], ""))
		all[strings.ReplaceAll(name, " ", "-")] = true
	}
	return all
}

// A link to a file or a section that does not exist leads nowhere.
func TestLinksOfDocumentsLeadSomewhere(t *testing.T) {
	links := 0
	sections := map[string]map[string]bool{}
	for _, from := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(read(t, from), ""), -1) {
			links++
			to := from
			if m[1] != "" {
				to = path.Join(path.Dir(from), m[1])
			}
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				t.Errorf("%s links to %s, which does not exist", from, m[1])
				continue
			}
			if m[2] != "" && sections[to] == nil {
				sections[to] = anchors(read(t, to))
			}
			if m[2] != "" && !sections[to][m[2]] {
				t.Errorf("%s links to the section #%s of %s, which it does not have", from, m[2], to)
			}
		}
	}
	if links < 100 {
		t.Errorf("only %d links were found", links)
	}
}

// A promise names the tests that show it, and they exist.
func TestThePromisesNameTestsThatExist(t *testing.T) {
	sources := &strings.Builder{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == "bin" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if err != nil || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := os.ReadFile(file)
		sources.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(read(t, "docs/guarantees.md"), -1)
	if len(named) < 20 {
		t.Fatalf("only %d tests are named", len(named))
	}
	for _, m := range named {
		if !strings.Contains(sources.String(), "func "+m[1]+"(") {
			t.Errorf("there is no %s", m[1])
		}
	}
}

// What alerts and dashboard ask for is served.
func TestAlertsAndDashboardAskForMetricsThatExist(t *testing.T) {
	known := documented(t)
	texts := map[string]string{"the dashboard": read(t, "config/grafana/dashboard.json")}
	for _, a := range alerts(t) {
		texts[a.Alert] = a.Expr
	}
	metric := regexp.MustCompile(prefix + `\w+`)
	suffix := regexp.MustCompile(`_(bucket|count|sum)$`)
	for where, text := range texts {
		for _, name := range metric.FindAllString(text, -1) {
			if _, ok := known[suffix.ReplaceAllString(name, "")]; !ok {
				t.Errorf("%s asks for %s, which nobody serves", where, name)
			}
		}
	}
}

func TestTheDashboardFitsTogether(t *testing.T) {
	var dashboard struct {
		UID           string
		SchemaVersion int
		Panels        []struct {
			ID         int
			Title      string
			Type       string
			Datasource map[string]string
			GridPos    struct{ X, Y, W, H int }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "config/grafana/dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	var rows []string
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			rows = append(rows, p.Title)
		} else if p.Datasource["uid"] != "${datasource}" {
			t.Errorf("the panel %q is bound to %v", p.Title, p.Datasource)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok || x >= 24 {
					t.Fatalf("the panels %q and %q overlap, or leave the grid", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
	want := []string{"Is work coming in?", "Is it getting done?", "Does Cakewalk know?", "How long does it take?", "What is stuck, and why?", "The operator"}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Error(diff)
	}
}

// Every right that is asked for has its reason, and no reason is given for a right that is not.
func TestEveryRightHasItsReason(t *testing.T) {
	generated, explained := map[string]bool{}, map[string]bool{}
	for document := range strings.SplitSeq(read(t, "config/rbac/role.yaml"), "\n---\n") {
		role := &rbacv1.ClusterRole{}
		if err := yaml.Unmarshal([]byte(document), role); err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						generated[strings.Join([]string{role.Name, strings.TrimSuffix(resource+"."+group, "."), verb}, " ")] = true
					}
				}
			}
		}
	}
	_, rights, _ := strings.Cut(read(t, "docs/security.md"), "\n## Rights\n")
	for _, cells := range table(rights, "`") {
		for verb := range strings.SplitSeq(cells[2], ", ") {
			if cells[3] == "" {
				t.Errorf("no reason: %v", cells)
			}
			explained[strings.Join([]string{strings.Trim(cells[0], "`"), strings.Trim(cells[1], "`"), verb}, " ")] = true
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(generated)), slices.Sorted(maps.Keys(explained))); diff != "" {
		t.Errorf("config/rbac/role.yaml (-) and docs/security.md (+):\n%s", diff)
	}
}
