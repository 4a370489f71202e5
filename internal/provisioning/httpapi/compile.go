// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"fmt"

	"github.com/google/cel-go/cel"

	"getcakewalk.io/access-operator/internal/expression"
	"getcakewalk.io/access-operator/internal/provisioning"
)

const defaultMaxPages = 100

// request is a Request compiled.
type request struct {
	// name is the operation, for errors.
	name    string
	when    *expression.Program
	method  string
	path    template
	query   []named
	headers []named
	body    *expression.Program
	rules   []rule
	message *expression.Program
	// strict means that a rule says what done is, so that 2xx alone is not.
	strict bool
}

// rule is one of the Answers.
type rule struct {
	verdict verdict
	program *expression.Program
}

// lookup is a Lookup compiled.
type lookup struct {
	request
	items, match, id, active, pending *expression.Program
	pages                             *pages
}

// pages is a Pagination compiled.
type pages struct {
	Pagination
	nextURL, cursor *expression.Program
}

func (c *compiler) request(name string, r *Request, s scope) request {
	after := s.with(answer...)
	kinds := []*cel.Type{cel.BoolType, cel.DynType}
	out := request{
		name: name, method: r.Method,
		when:    c.optional(name+".when", r.When, s, kinds...),
		path:    c.template(name+".path", r.Path, s),
		query:   c.all(name+".query", r.Query, s),
		headers: c.all(name+".headers", r.Headers, s),
		message: c.optional(name+".answers.message", r.Answers.Message, after, cel.StringType, cel.DynType),
		strict:  r.Answers.Done != "",
	}
	if r.Body != "" {
		out.body = c.anything(name+".body", r.Body, s)
	}
	for _, a := range []struct {
		field, text string
		verdict     verdict
	}{
		{"unauthorized", r.Answers.Unauthorized, unauthorized},
		{"rateLimited", r.Answers.RateLimited, rateLimited},
		{"retryable", r.Answers.Retryable, retryable},
		{"pending", r.Answers.Pending, pending},
		{"notFound", r.Answers.NotFound, notFound},
		{"alreadyDone", r.Answers.AlreadyDone, alreadyDone},
		{"done", r.Answers.Done, done},
	} {
		if p := c.optional(name+".answers."+a.field, a.text, after, kinds...); p != nil {
			out.rules = append(out.rules, rule{a.verdict, p})
		}
	}
	return out
}

// anything compiles an expression of any type.
func (c *compiler) anything(field, text string, s scope) *expression.Program {
	return c.compile(field, "dyn("+text+"\n)", s, cel.DynType)
}

func (c *compiler) requests(name string, all []Request, s scope) []request {
	out := make([]request, 0, len(all))
	for i := range all {
		out = append(out, c.request(fmt.Sprintf("%s[%d]", name, i), &all[i], s))
	}
	return out
}

func (c *compiler) lookup(name string, l *Lookup, s scope) *lookup {
	if l == nil {
		return nil
	}
	if l.When != "" {
		c.fail("%s.when: belongs to changes only: a fact is always looked for", name)
	}
	bools := []*cel.Type{cel.BoolType, cel.DynType}
	found, each := s.with(answer...), s.with(varItem)
	id := l.ID
	if id == "" {
		id = "item.id"
	}
	out := &lookup{
		request: c.request(name, &l.Request, s),
		items:   c.optional(name+".items", l.Items, found, cel.ListType(cel.DynType), cel.DynType),
		match:   c.optional(name+".match", l.Match, each, bools...),
		id:      c.anything(name+".id", id, each),
		active:  c.optional(name+".active", l.Active, each, bools...),
		pending: c.optional(name+".pending", l.Pending, each, bools...),
	}
	if p := l.Pagination; p != nil {
		out.pages = &pages{
			Pagination: *p,
			nextURL:    c.optional(name+".pagination.nextURL", p.NextURL, found, cel.StringType, cel.DynType),
			cursor:     c.optional(name+".pagination.cursor.next", p.Cursor, found, cel.StringType, cel.DynType),
		}
		if out.pages.MaxPages <= 0 {
			out.pages.MaxPages = defaultMaxPages
		}
	}
	return out
}

// New compiles the expressions. The error names the operation, the field, the line and the column of a mistake.
func New(o Options) (*Backend, error) {
	c, err := newCompiler()
	if err != nil {
		return nil, err
	}
	ops, see := o.Operations, o.Operations.Observe
	b := &Backend{
		base: o.BaseURL, client: o.Client, turn: make(chan struct{}, 1),
		account:     c.lookup("operations.observe.account", see.Account, accountScope),
		entitlement: c.lookup("operations.observe.entitlement", see.Entitlement, entitlementScope),
		holders:     c.lookup("operations.observe.holders", see.Holders, holdersScope),
		membership:  c.lookup("operations.observe.membership", see.Membership, membershipScope),
		changes: map[provisioning.Action][]request{
			provisioning.CreateAccount:     c.requests("operations.createAccount", ops.CreateAccount, subjectScope),
			provisioning.ActivateAccount:   c.requests("operations.activateAccount", ops.ActivateAccount, changeScope),
			provisioning.DeactivateAccount: c.requests("operations.deactivateAccount", ops.DeactivateAccount, changeScope),
			provisioning.DeleteAccount:     c.requests("operations.deleteAccount", ops.DeleteAccount, changeScope),
			provisioning.AddEntitlement:    c.requests("operations.addEntitlement", ops.AddEntitlement, grantScope),
			provisioning.RemoveEntitlement: c.requests("operations.removeEntitlement", ops.RemoveEntitlement, grantScope),
		},
	}
	if ops.Check != nil && ops.Check.When != "" {
		c.fail("operations.check.when: belongs to changes only: a check is always made")
	}
	if ops.Check != nil {
		check := c.request("operations.check", ops.Check, nil)
		b.check = &check
	}
	if (b.holders == nil) == (b.membership == nil) {
		c.fail("operations.observe: must have exactly one of holders and membership")
	}
	accounts := len(ops.CreateAccount) + len(ops.ActivateAccount) + len(ops.DeactivateAccount) + len(ops.DeleteAccount)
	if see.Account == nil && accounts > 0 {
		c.fail("operations.observe.account: must be given where accounts are changed: else it is not seen what became of them")
	}
	if len(ops.ActivateAccount)+len(ops.DeactivateAccount) > 0 && see.Account != nil && see.Account.Active == "" {
		c.fail("operations.observe.account.active: must be given where accounts are activated or deactivated: else it is not seen")
	}
	for _, r := range append(b.changes[provisioning.AddEntitlement], b.changes[provisioning.RemoveEntitlement]...) {
		if r.uses(varHolders) && see.Holders == nil {
			c.fail("%s: uses `holders`, for which operations.observe.holders must be given", r.name)
		}
	}
	if c.err != nil {
		return nil, c.err
	}
	return b, nil
}
