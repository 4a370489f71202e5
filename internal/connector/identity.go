// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/expression"
	"getcakewalk.io/access-operator/internal/provisioning"
)

const (
	// maxSubject is the longest identity, in characters. It is the bound of AccessTask.status.subject.
	maxSubject = 1024
	// maxAttribute is the longest attribute of an account, in characters.
	maxAttribute = 16384
)

// identity is a Connector's identity with its expressions compiled.
type identity struct {
	id         *expression.Program
	attributes map[string]*expression.Program
}

// compileIdentity compiles the expressions. An error is an *provisioning.UnavailableError that names the field.
func compileIdentity(spec accessv1alpha1.ConnectorIdentity) (*identity, error) {
	env, err := cel.NewEnv(
		expression.Library(),
		ext.NativeTypes(ext.ParseStructTags(true), reflect.TypeFor[provisioning.Request]()),
		cel.Variable("user", cel.ObjectType("provisioning.Person")),
		cel.Variable("request", cel.ObjectType("provisioning.Request")),
	)
	if err != nil {
		return nil, fmt.Errorf("making the environment of expressions: %w", err)
	}
	i := &identity{attributes: map[string]*expression.Program{}}
	if i.id, err = compile(env, "identity.subject", cmp.Or(spec.Subject, "user.email")); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Attributes)) {
		if i.attributes[name], err = compile(env, "identity.attributes["+name+"]", string(spec.Attributes[name])); err != nil {
			return nil, err
		}
	}
	return i, nil
}

func compile(env *cel.Env, field, text string) (*expression.Program, error) {
	program, err := expression.Compile(env, text, cel.StringType)
	if err != nil {
		return nil, invalid("%s: %w", field, err)
	}
	return program, nil
}

// subject evaluates the expressions for one request.
func (i *identity) subject(ctx context.Context, request *accessv1alpha1.AccessRequest) (provisioning.Subject, error) {
	asked := requestOf(request)
	variables := map[string]any{"user": asked.TargetUser, "request": asked}
	id, err := evaluate(ctx, i.id, variables)
	if err == nil {
		err = usableID(id)
	}
	if err != nil {
		return provisioning.Subject{}, provisioning.Permanent(accessv1alpha1.ReasonInvalidConfiguration, fmt.Errorf("identity.subject: %w", err))
	}
	s := provisioning.Subject{ID: id, Attributes: map[string]string{}, Request: asked}
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

func evaluate(ctx context.Context, program *expression.Program, variables map[string]any) (string, error) {
	text, err := program.Text(ctx, variables)
	if err != nil {
		return "", fmt.Errorf("the expression fails for this request: %w", err)
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

// requestOf is a request without what is missing: every member is a string, empty where Cakewalk names none, so that no
// expression meets a null.
func requestOf(r *accessv1alpha1.AccessRequest) provisioning.Request {
	return provisioning.Request{
		Type:                  r.Type,
		RequestedBy:           userOf(r.RequestedBy),
		TargetUser:            userOf(r.TargetUser),
		TargetWorkApp:         objectOf(r.TargetWorkApp),
		PermissionLevel:       objectOf(r.PermissionLevel),
		TriggeredByUsersGroup: objectOf(r.TriggeredByUsersGroup),
	}
}

func userOf(u *accessv1alpha1.User) provisioning.Person {
	if u == nil {
		return provisioning.Person{}
	}
	return provisioning.Person{ID: u.ID, Email: u.Email, FullName: u.FullName}
}

func objectOf(o *accessv1alpha1.NamedObject) provisioning.Named {
	if o == nil {
		return provisioning.Named{}
	}
	return provisioning.Named{ID: o.ID, Name: o.Name}
}

func invalid(format string, args ...any) error {
	return provisioning.Unavailable(accessv1alpha1.ReasonInvalidConfiguration, fmt.Errorf(format, args...))
}
