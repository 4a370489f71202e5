// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/google/cel-go/cel"

	"getcakewalk.io/access-operator/internal/expression"
)

// template is a path with expressions in braces. Values are escaped, so that none can leave its segment.
type template struct {
	parts []part
}

// part is literal text, or an expression.
type part struct {
	text    string
	program *expression.Program
}

// template compiles a path.
func (c *compiler) template(field, text string, s scope) template {
	var t template
	rest := text
	for rest != "" {
		open := strings.IndexAny(rest, "{}")
		if open < 0 {
			open = len(rest)
		}
		if literal := rest[:open]; literal != "" {
			if u, err := url.Parse(literal); err != nil || u.Path == "" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(literal, "?# ") {
				c.fail("%s: %q cannot stand in a path: parameters belong in `query`, and other characters must be percent-encoded", field, literal)
				return t
			}
			t.parts = append(t.parts, part{text: literal})
		}
		if open == len(rest) {
			break
		}
		size := closing(rest[open:])
		if size == 0 {
			c.fail("%s: column %d: a brace without its other: an expression stands in braces, as in /users/{subject.id}", field, len(text)-len(rest)+open+1)
			return t
		}
		t.parts = append(t.parts, part{program: c.compile(field, rest[open+1:open+size], s, cel.StringType, cel.DynType)})
		rest = rest[open+size+1:]
	}
	if !t.sound() {
		c.fail("%s: must not have an empty segment, `.` or `..`", field)
	}
	return t
}

// closing returns where the expression that begins with a brace ends, 0 where it does not. It knows strings and nested braces.
func closing(text string) int {
	depth, quote := 0, byte(0)
	for i := range len(text) {
		switch c := text[i]; {
		case quote != 0:
			if c == quote && (text[i-1] != '\\' || text[i-2] == '\\') {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth <= 0 {
				return i
			}
		}
	}
	return 0
}

// sound tells whether the literal text has no segment that means another.
func (t template) sound() bool {
	var all strings.Builder
	for _, p := range t.parts {
		if p.program != nil {
			all.WriteString("x")
		}
		all.WriteString(p.text)
	}
	path, ok := strings.CutPrefix(all.String(), "/")
	return ok && unsafeSegment(strings.TrimSuffix(path, "/")) == nil
}

// expand yields the path, escaped. The error says what is wrong with a value.
func (t template) expand(ctx context.Context, variables map[string]any) (string, error) {
	var all strings.Builder
	for _, p := range t.parts {
		if p.program == nil {
			all.WriteString(p.text)
			continue
		}
		value, err := p.program.Text(ctx, variables)
		if err != nil {
			return "", err
		}
		if value == "" {
			return "", errors.New("an expression yields an empty string, which would name another resource")
		}
		all.WriteString(url.PathEscape(value))
	}
	path := all.String()
	return path, unsafeSegment(strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/"))
}

// unsafeSegment returns an error where a path without its outer slashes has a segment that means another one.
func unsafeSegment(path string) error {
	if path == "" {
		return nil
	}
	for segment := range strings.SplitSeq(path, "/") {
		if plain, err := url.PathUnescape(segment); err != nil || plain == "" || plain == "." || plain == ".." {
			return fmt.Errorf("a segment of the path would be %q, which would name another resource", segment)
		}
	}
	return nil
}
