// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"

	"getcakewalk.io/access-operator/internal/expression"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// The variables of expressions. Those with a dot are variables of their own, so that a misspelt member is found when the
// expression is compiled, although what an API answers has no type.
const (
	varSubjectID   = "subject.id"
	varAttributes  = "subject.attributes"
	varRequest     = "request"
	varEntitlement = "entitlement"
	varUserID      = "user.id"
	varUserItem    = "user.item"
	varResourceID  = "resource.id"
	varResource    = "resource.item"
	varHolders     = "holders"
	varMember      = "member"
	varCursor      = "cursor"
	varStatus      = "response.status"
	varHeaders     = "response.headers"
	varBody        = "response.body"
	varItem        = "item"
)

// types are the variables' types.
var types = map[string]*cel.Type{
	varSubjectID: cel.StringType, varAttributes: cel.MapType(cel.StringType, cel.StringType),
	varRequest:     cel.ObjectType("provisioning.Request"),
	varEntitlement: cel.StringType,
	varUserID:      cel.StringType, varUserItem: cel.DynType,
	varResourceID: cel.StringType, varResource: cel.DynType,
	varHolders: cel.ListType(cel.StringType), varMember: cel.DynType,
	varCursor: cel.StringType,
	varStatus: cel.IntType, varHeaders: cel.MapType(cel.StringType, cel.StringType), varBody: cel.DynType,
	varItem: cel.DynType,
}

// scope is which variables an expression sees.
type scope []string

var (
	subjectScope     = scope{varSubjectID, varAttributes, varRequest}
	accountScope     = append(slices.Clone(subjectScope), varCursor)
	entitlementScope = append(slices.Clone(accountScope), varEntitlement)
	holdersScope     = append(slices.Clone(entitlementScope), varResourceID, varResource)
	membershipScope  = append(slices.Clone(holdersScope), varUserID, varUserItem)
	changeScope      = append(slices.Clone(subjectScope), varUserID, varUserItem)
	grantScope       = append(slices.Clone(changeScope), varEntitlement, varResourceID, varResource, varHolders, varMember)
	answer           = scope{varStatus, varHeaders, varBody}
)

func (s scope) with(more ...string) scope { return append(slices.Clone(s), more...) }

// compiler compiles the expressions of one Backend.
type compiler struct {
	base *cel.Env
	err  error
}

func newCompiler() (*compiler, error) {
	env, err := cel.NewEnv(expression.Library(), ext.NativeTypes(ext.ParseStructTags(true), reflect.TypeFor[provisioning.Request]()))
	if err != nil {
		return nil, fmt.Errorf("making the environment of expressions: %w", err)
	}
	return &compiler{base: env}, nil
}

// compile compiles one expression, and keeps the first error.
func (c *compiler) compile(field, text string, s scope, kinds ...*cel.Type) *expression.Program {
	if c.err != nil {
		return nil
	}
	variables := make([]cel.EnvOption, len(s))
	for i, name := range s {
		variables[i] = cel.Variable(name, types[name])
	}
	env, err := c.base.Extend(variables...)
	if err != nil {
		c.err = fmt.Errorf("%s: %w", field, err)
		return nil
	}
	p, err := expression.Compile(env, text, kinds...)
	if err != nil {
		known := ""
		if strings.Contains(err.Error(), "undeclared reference") {
			known = "; known here are " + strings.Join(slices.Sorted(slices.Values(s)), ", ")
		}
		c.err = fmt.Errorf("%s: %w%s", field, err, known)
		return nil
	}
	return p
}

// optional compiles an expression that may be missing.
func (c *compiler) optional(field, text string, s scope, kinds ...*cel.Type) *expression.Program {
	if text == "" {
		return nil
	}
	return c.compile(field, text, s, kinds...)
}

// all compiles expressions by name.
func (c *compiler) all(field string, texts map[string]string, s scope) []named {
	programs := make([]named, 0, len(texts))
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		programs = append(programs, named{name, c.compile(field+"["+name+"]", texts[name], s, cel.StringType, cel.DynType)})
	}
	return programs
}

// named is an expression with a name.
type named struct {
	name    string
	program *expression.Program
}

func (c *compiler) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}
