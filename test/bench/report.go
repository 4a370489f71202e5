// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
)

// bound says on which side of its budget a measure is good.
type bound string

const (
	atLeast bound = "at least"
	atMost  bound = "at most"
)

// line is one line of the report.
type line struct {
	Case string `json:"case"`
	What string `json:"what"`
	// Unit is empty for a ratio or a number of things.
	Unit string `json:"unit,omitempty"`
	spread
	// Budget is what the measure is held to; nil: it is told, and held to nothing.
	Budget *float64 `json:"budget,omitempty"`
	Bound  bound    `json:"bound,omitempty"`
	// Ratio is the median by the budget; absent where either is zero.
	Ratio float64 `json:"ratio,omitempty"`
	// Verdict is met or missed; empty without a budget.
	Verdict string `json:"verdict,omitempty"`
	// relative tells that other machines share the measure: it is a ratio of two of the same run, or a number of things.
	relative bool
}

// report is everything that was measured.
type report struct {
	Machine machine `json:"machine"`
	Short   bool    `json:"short"`
	Lines   []line  `json:"lines"`

	out io.Writer
}

// tell adds a measure without a budget.
func (r *report) tell(name, what, unit string, s spread) {
	r.add(line{Case: name, What: what, Unit: unit, spread: s})
}

// hold adds a measure that is at most its budget where it is good.
func (r *report) hold(name, what, unit string, s spread, budget float64) {
	r.add(judged(line{Case: name, What: what, Unit: unit, spread: s, Bound: atMost, Budget: &budget}))
}

// holdRatio adds a ratio of two measures of the same run, or a number of things, with a budget.
func (r *report) holdRatio(name, what string, s spread, b bound, budget float64) {
	r.add(judged(line{Case: name, What: what, spread: s, Bound: b, Budget: &budget, relative: true}))
}

func judged(l line) line {
	l.Verdict = "missed"
	if *l.Budget != 0 {
		l.Ratio = l.Median / *l.Budget
	}
	if l.Bound == atLeast && l.Median >= *l.Budget || l.Bound == atMost && l.Median <= *l.Budget {
		l.Verdict = "met"
	}
	return l
}

func (r *report) add(l line) {
	r.Lines = append(r.Lines, l)
	_, _ = fmt.Fprintf(r.out, "   %s\n", strings.Join(l.cells(), " | "))
}

// far tells that the measure is less than half as good as its budget. Nothing is twice zero: whatever misses that is far
// from it.
func (l line) far() bool {
	switch l.Bound {
	case atLeast:
		return l.Median < *l.Budget/2
	case atMost:
		return l.Median > *l.Budget*2
	default:
		return false
	}
}

// farOff are those of the measures that other machines share which are far from their budget: noise does not explain it.
func (r *report) farOff() []string {
	var all []string
	for _, l := range r.Lines {
		if l.relative && l.far() {
			all = append(all, fmt.Sprintf("%s: %s is %s, %s %s is wanted", l.Case, l.What, number(l.Median), l.Bound, number(*l.Budget)))
		}
	}
	return all
}

func (l line) cells() []string {
	unit := ""
	if l.Unit != "" {
		unit = " " + l.Unit
	}
	measured := number(l.Median) + unit
	if l.Runs > 1 {
		measured += fmt.Sprintf(" (%s to %s)", number(l.Lowest), number(l.Highest))
	}
	budget, ratio := "", ""
	if l.Budget != nil {
		budget, ratio = fmt.Sprintf("%s %s%s", l.Bound, number(*l.Budget), unit), number(l.Ratio)
		if *l.Budget == 0 {
			// Nothing can be said by it.
			ratio = ""
		}
	}
	return []string{l.Case, l.What, measured, budget, ratio, l.Verdict}
}

// number shows three digits that count, and no fewer before the point than there are.
func number(v float64) string {
	if v == 0 {
		return "0"
	}
	digits := max(2-int(math.Floor(math.Log10(math.Abs(v)))), 0)
	text := fmt.Sprintf("%.*f", digits, v)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// table writes the report in Markdown.
func (r *report) table(w io.Writer) {
	for _, fact := range r.Machine.facts() {
		_, _ = fmt.Fprintf(w, "- %s\n", fact)
	}
	_, _ = fmt.Fprint(w, "\n| case | what | measured | budget | ratio | verdict |\n|---|---|---|---|---|---|\n")
	for _, l := range r.Lines {
		_, _ = fmt.Fprintf(w, "| %s |\n", strings.Join(l.cells(), " | "))
	}
}

// write writes the report as JSON.
func (r *report) write(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o600)
}
