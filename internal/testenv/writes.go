// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Writes counts what was written to the API server, by what is written: "accesstasks", "accesstasks/status", "events".
type Writes map[string]int

// Since is what was written after an earlier count.
func (w Writes) Since(before Writes) Writes {
	diff := Writes{}
	for what, n := range w {
		if d := n - before[what]; d != 0 {
			diff[what] = d
		}
	}
	return diff
}

// Written returns what was written until now, by whomever, as the API server's metrics tell. What it refused does not count.
func (e *Env) Written(ctx context.Context) (Writes, error) {
	text, err := e.get(ctx, "metrics")
	if err != nil {
		return nil, fmt.Errorf("reading the API server's metrics: %w", err)
	}
	w := Writes{}
	for l := range strings.Lines(text) {
		labels, ok := strings.CutPrefix(l, "apiserver_request_total{")
		if !ok {
			continue
		}
		labels, value, _ := strings.Cut(labels, "} ")
		n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return nil, fmt.Errorf("the API server's metrics have a line %q: %w", l, err)
		}
		switch label(labels, "verb") {
		case http.MethodPost, http.MethodPut, http.MethodPatch, "APPLY", http.MethodDelete:
			if strings.HasPrefix(label(labels, "code"), "2") {
				w[strings.TrimSuffix(label(labels, "resource")+"/"+label(labels, "subresource"), "/")] += int(n)
			}
		}
	}
	return w, nil
}

// label returns a label's value. None of those that are asked for holds a quote.
func label(labels, name string) string {
	_, rest, _ := strings.Cut(","+labels, ","+name+`="`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
