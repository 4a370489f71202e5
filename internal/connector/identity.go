// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

const (
	// costLimit bounds what one expression may compute, in cel-go's units; the longest sensible ones take a few hundred.
	costLimit = 1_000_000
	// evaluationTimeout bounds one expression's time.
	evaluationTimeout = time.Second
	// maxSubject is the longest identity, in characters. It is the bound of AccessTask.status.subject.
	maxSubject = 1024
	// maxAttribute is the longest attribute of an account, in characters.
	maxAttribute = 16384
)

// The types of the variables of identity expressions. Every member is a string, empty where Cakewalk names none, so that
// no expression meets a null.
type (
	celUser struct {
		ID       string `cel:"id"`
		Email    string `cel:"email"`
		FullName string `cel:"fullName"`
	}
	celObject struct {
		ID   string `cel:"id"`
		Name string `cel:"name"`
	}
	celRequest struct {
		Type                  string    `cel:"type"`
		RequestedBy           celUser   `cel:"requestedBy"`
		TargetWorkApp         celObject `cel:"targetWorkApp"`
		PermissionLevel       celObject `cel:"permissionLevel"`
		TriggeredByUsersGroup celObject `cel:"triggeredByUsersGroup"`
	}
)

// identity is a Connector's identity with its expressions compiled.
type identity struct {
	id         cel.Program
	attributes map[string]cel.Program
}

// compileIdentity compiles the expressions. An error is an *provisioning.UnavailableError that names the field.
func compileIdentity(spec accessv1alpha1.ConnectorIdentity) (*identity, error) {
	env, err := cel.NewEnv(
		ext.NativeTypes(ext.ParseStructTags(true), reflect.TypeFor[celUser](), reflect.TypeFor[celRequest]()),
		ext.Strings(),
		cel.Variable("user", cel.ObjectType("connector.celUser")),
		cel.Variable("request", cel.ObjectType("connector.celRequest")),
	)
	if err != nil {
		return nil, fmt.Errorf("making the environment of expressions: %w", err)
	}
	i := &identity{attributes: map[string]cel.Program{}}
	expression := spec.Subject
	if expression == "" {
		expression = "user.email"
	}
	if i.id, err = compile(env, "identity.subject", expression); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Attributes)) {
		if i.attributes[name], err = compile(env, "identity.attributes["+name+"]", string(spec.Attributes[name])); err != nil {
			return nil, err
		}
	}
	return i, nil
}

func compile(env *cel.Env, field, expression string) (cel.Program, error) {
	ast, issues := env.Compile(expression)
	if err := issues.Err(); err != nil {
		all := make([]string, 0, len(issues.Errors()))
		for _, e := range issues.Errors() {
			all = append(all, fmt.Sprintf("column %d: %s", e.Location.Column()+1, e.Message))
		}
		return nil, invalid("%s: %s", field, strings.Join(all, "; "))
	}
	if !ast.OutputType().IsExactType(cel.StringType) {
		return nil, invalid("%s: must yield a string, not %s", field, ast.OutputType())
	}
	program, err := env.Program(ast, cel.CostLimit(costLimit), cel.InterruptCheckFrequency(100))
	if err != nil {
		return nil, invalid("%s: %w", field, err)
	}
	return program, nil
}

// subject evaluates the expressions for one request.
func (i *identity) subject(ctx context.Context, request *accessv1alpha1.AccessRequest) (provisioning.Subject, error) {
	variables := map[string]any{
		"user": userOf(request.TargetUser),
		"request": celRequest{
			Type:                  request.Type,
			RequestedBy:           userOf(request.RequestedBy),
			TargetWorkApp:         objectOf(request.TargetWorkApp),
			PermissionLevel:       objectOf(request.PermissionLevel),
			TriggeredByUsersGroup: objectOf(request.TriggeredByUsersGroup),
		},
	}
	id, err := evaluate(ctx, i.id, variables)
	if err == nil {
		err = usableID(id)
	}
	if err != nil {
		return provisioning.Subject{}, provisioning.Permanent(accessv1alpha1.ReasonInvalidConfiguration, fmt.Errorf("identity.subject: %w", err))
	}
	s := provisioning.Subject{ID: id, Attributes: map[string]string{}}
	for name, program := range i.attributes {
		value, err := evaluate(ctx, program, variables)
		if err == nil && utf8.RuneCountInString(value) > maxAttribute {
			err = fmt.Errorf("yields more than %d characters", maxAttribute)
		}
		if err != nil {
			return provisioning.Subject{}, provisioning.Permanent(accessv1alpha1.ReasonInvalidConfiguration, fmt.Errorf("identity.attributes[%s]: %w", name, err))
		}
		if value != "" {
			s.Attributes[name] = value
		}
	}
	return s, nil
}

func evaluate(ctx context.Context, program cel.Program, variables map[string]any) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, evaluationTimeout)
	defer cancel()
	value, _, err := program.ContextEval(ctx, variables)
	if err != nil {
		return "", fmt.Errorf("the expression fails for this request: %w", err)
	}
	text, ok := value.Value().(string)
	if !ok {
		return "", fmt.Errorf("the expression yields no string for this request")
	}
	return text, nil
}

// usableID refuses what cannot be the identity of one person.
func usableID(id string) error {
	switch {
	case id == "":
		return errors.New("yields an empty string for this request: the task may name no target user, or one without what the expression needs")
	case utf8.RuneCountInString(id) > maxSubject:
		return fmt.Errorf("yields more than %d characters for this request", maxSubject)
	case strings.TrimSpace(id) != id:
		return errors.New("yields a string with white space around it for this request")
	case strings.ContainsFunc(id, func(c rune) bool { return unicode.IsControl(c) || c == utf8.RuneError }):
		return errors.New("yields a string with control characters for this request")
	}
	return nil
}

func userOf(u *accessv1alpha1.User) celUser {
	if u == nil {
		return celUser{}
	}
	return celUser{ID: u.ID, Email: u.Email, FullName: u.FullName}
}

func objectOf(o *accessv1alpha1.NamedObject) celObject {
	if o == nil {
		return celObject{}
	}
	return celObject{ID: o.ID, Name: o.Name}
}

func invalid(format string, args ...any) error {
	return provisioning.Unavailable(accessv1alpha1.ReasonInvalidConfiguration, fmt.Errorf(format, args...))
}
