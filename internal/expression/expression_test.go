// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package expression_test

import (
	"strings"
	"testing"

	"github.com/google/cel-go/cel"

	"getcakewalk.io/access-operator/internal/expression"
)

func environment(t *testing.T) *cel.Env {
	t.Helper()
	env, err := cel.NewEnv(expression.Library(), cel.Variable("name", cel.StringType), cel.Variable("body", cel.DynType), cel.Variable("many", cel.ListType(cel.IntType)))
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func TestCompileTellsLineAndColumn(t *testing.T) {
	tests := map[string]struct {
		text string
		kind *cel.Type
		want string
	}{
		"a misspelt variable":      {"nam", cel.StringType, "line 1, column 1: undeclared reference to 'nam'"},
		"in the second line":       {"name +\n  nam", cel.StringType, "line 2, column 3: undeclared reference"},
		"a syntax error":           {"name +", cel.StringType, "line 1, column"},
		"another type":             {"1 + 1", cel.StringType, "must yield a string, not int"},
		"what has no type":         {"body", cel.BoolType, "must yield a bool, not dyn"},
		"no list":                  {"name", cel.ListType(cel.DynType), "must yield a list(dyn), not string"},
		"a function that is none":  {"name.lower()", cel.StringType, "line 1, column 11: undeclared reference to 'lower'"},
		"two mistakes in one line": {"nam + nom", cel.StringType, "; line 1, column 7"},
	}
	for name, tc := range tests {
		if _, err := expression.Compile(environment(t), tc.text, tc.kind); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
}

func TestEval(t *testing.T) {
	variables := map[string]any{"name": "ann", "body": map[string]any{"ok": true}, "many": make([]int, 2000)}
	tests := map[string]struct {
		text      string
		want      bool
		wantWrong string
	}{
		"a member":                 {text: "body.ok", want: true},
		"a member that is missing": {text: "body.no", wantWrong: "no such key: no"},
		"an optional member":       {text: "body.?no.orValue(false)"},
		"no bool":                  {text: "dyn(name)", wantWrong: "yields no bool but string"},
		// Cancelled for its cost, or on a slow machine interrupted for its time.
		"what costs too much": {text: "many.all(a, many.all(b, a + b < 99))", wantWrong: "operation"},
	}
	for name, tc := range tests {
		p, err := expression.Compile(environment(t), tc.text, cel.BoolType, cel.DynType)
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := p.Bool(t.Context(), variables)
		if got != tc.want || (err == nil) != (tc.wantWrong == "") || err != nil && !strings.Contains(err.Error(), tc.wantWrong) {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	if p, err := expression.Compile(environment(t), "name + 'many'", cel.StringType); err != nil || !p.Uses("name") || p.Uses("many") {
		t.Error("which variables it uses: ", err)
	}
}
