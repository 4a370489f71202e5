// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package expression compiles and evaluates the CEL expressions that people write into Connectors: type-checked when they
// are compiled, with their mistakes told by line and column, and bounded in cost and time when they are evaluated.
package expression

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/ext"
)

const (
	// costLimit bounds what one evaluation may compute, in cel-go's units; the longest sensible ones take a few hundred,
	// or ten for every item of a list that they filter.
	costLimit = 1_000_000
	// timeout bounds one evaluation's time.
	timeout = time.Second
)

// Library are the functions that every expression has beside the standard ones: those of strings, and optional values.
func Library() cel.EnvOption {
	return cel.Lib(library{})
}

type library struct{}

// CompileOptions implements cel.Library.
func (library) CompileOptions() []cel.EnvOption {
	return []cel.EnvOption{cel.OptionalTypes(), ext.Strings()}
}

// ProgramOptions implements cel.Library.
func (library) ProgramOptions() []cel.ProgramOption { return nil }

// Program is an expression that was compiled. It may be used by several goroutines.
type Program struct {
	program cel.Program
	names   map[string]bool
}

// Compile compiles an expression, whose type must be one of kinds. The error is one line; it tells line and column.
func Compile(env *cel.Env, text string, kinds ...*cel.Type) (*Program, error) {
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		all := make([]string, 0, len(issues.Errors()))
		for _, e := range issues.Errors() {
			// The parser's messages can have several lines.
			all = append(all, fmt.Sprintf("line %d, column %d: %s", e.Location.Line(), e.Location.Column()+1, strings.Join(strings.Fields(e.Message), " ")))
		}
		return nil, errors.New(strings.Join(all, "; "))
	}
	if !slices.ContainsFunc(kinds, func(k *cel.Type) bool { return yields(k, checked.OutputType()) }) {
		return nil, fmt.Errorf("line 1, column 1: must yield a %s, not %s", kinds[0], checked.OutputType())
	}
	program, err := env.Program(checked, cel.CostLimit(costLimit), cel.InterruptCheckFrequency(100))
	if err != nil {
		return nil, err
	}
	p := &Program{program: program, names: map[string]bool{}}
	ast.PreOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() == ast.IdentKind {
			p.names[e.AsIdent()] = true
		}
	}))
	return p, nil
}

// yields tells whether a type is one that is wanted; of a list the elements may have any type that fits.
func yields(wanted, got *cel.Type) bool {
	return wanted.IsExactType(got) || wanted.Kind() == cel.ListKind && wanted.IsAssignableType(got)
}

// Uses tells whether the expression reads a variable.
func (p *Program) Uses(variable string) bool { return p.names[variable] }

// Eval evaluates the expression. The error is one line.
func (p *Program) Eval(ctx context.Context, variables map[string]any) (ref.Val, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	value, _, err := p.program.ContextEval(ctx, variables)
	if err != nil {
		return nil, errors.New(strings.Join(strings.Fields(err.Error()), " "))
	}
	return value, nil
}

// Text evaluates an expression that yields a string.
func (p *Program) Text(ctx context.Context, variables map[string]any) (string, error) {
	value, err := p.Eval(ctx, variables)
	if err != nil {
		return "", err
	}
	text, ok := value.Value().(string)
	if !ok {
		return "", fmt.Errorf("yields no string but %s", value.Type().TypeName())
	}
	return text, nil
}

// Bool evaluates an expression that yields a bool.
func (p *Program) Bool(ctx context.Context, variables map[string]any) (bool, error) {
	value, err := p.Eval(ctx, variables)
	if err != nil {
		return false, err
	}
	b, ok := value.Value().(bool)
	if !ok {
		return false, fmt.Errorf("yields no bool but %s", value.Type().TypeName())
	}
	return b, nil
}
