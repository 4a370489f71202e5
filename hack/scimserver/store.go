// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/elimity-com/scim"
	scimerrors "github.com/elimity-com/scim/errors"
	filter "github.com/scim2/filter-parser/v2"
)

// kind is a kind of resource.
type kind int

const (
	users kind = iota
	groups
)

// store holds the resources. Those of one kind are kept in the order of their creation.
type store struct {
	mu        sync.Mutex
	resources [2]map[string]scim.ResourceAttributes
	order     [2][]string
	last      int
}

func newStore() *store {
	return &store{resources: [2]map[string]scim.ResourceAttributes{{}, {}}}
}

// fill makes users and groups; a group is "name" or "name=user,user".
func (s *store) fill(userNames, groupNames []string) error {
	ids := map[string]string{}
	for _, name := range userNames {
		ids[name] = s.add(users, scim.ResourceAttributes{"userName": name, "active": true})
	}
	for _, text := range groupNames {
		name, list, _ := strings.Cut(text, "=")
		members := []any{}
		for member := range strings.SplitSeq(list, ",") {
			if member == "" {
				continue
			}
			id, ok := ids[member]
			if !ok {
				return fmt.Errorf("group %s: no user %q", name, member)
			}
			members = append(members, map[string]any{"value": id})
		}
		s.add(groups, scim.ResourceAttributes{"displayName": name, "members": members})
	}
	return nil
}

func (s *store) add(k kind, attributes scim.ResourceAttributes) string {
	s.last++
	id := fmt.Sprintf("%d", 1000+s.last)
	s.resources[k][id] = attributes
	s.order[k] = append(s.order[k], id)
	return id
}

// handler serves one kind of resource. Two resources of a kind cannot have the same key.
type handler struct {
	store *store
	kind  kind
	key   string
}

func (h *handler) resource(id string) scim.Resource {
	// A copy: the library writes into it.
	return scim.Resource{ID: id, Attributes: maps.Clone(h.store.resources[h.kind][id])}
}

// Create implements scim.ResourceHandler.
func (h *handler) Create(_ *http.Request, attributes scim.ResourceAttributes) (scim.Resource, error) {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	for _, other := range h.store.resources[h.kind] {
		if strings.EqualFold(fmt.Sprint(other[h.key]), fmt.Sprint(attributes[h.key])) {
			return scim.Resource{}, scimerrors.ScimErrorUniqueness
		}
	}
	if h.kind == groups && attributes["members"] == nil {
		attributes["members"] = []any{}
	}
	return h.resource(h.store.add(h.kind, attributes)), nil
}

// Get implements scim.ResourceHandler.
func (h *handler) Get(_ *http.Request, id string) (scim.Resource, error) {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	if h.store.resources[h.kind][id] == nil {
		return scim.Resource{}, scimerrors.ScimErrorResourceNotFound(id)
	}
	return h.resource(id), nil
}

// GetAll implements scim.ResourceHandler.
func (h *handler) GetAll(_ *http.Request, params scim.ListRequestParams) (scim.Page, error) {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	found := []scim.Resource{}
	for _, id := range h.store.order[h.kind] {
		r := h.resource(id)
		if params.FilterValidator == nil || params.FilterValidator.PassesFilter(r.Attributes) == nil {
			found = append(found, r)
		}
	}
	page := scim.Page{TotalResults: len(found)}
	from := min(params.StartIndex-1, len(found))
	page.Resources = found[from:min(from+params.Count, len(found))]
	return page, nil
}

// Replace implements scim.ResourceHandler.
func (h *handler) Replace(_ *http.Request, id string, attributes scim.ResourceAttributes) (scim.Resource, error) {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	if h.store.resources[h.kind][id] == nil {
		return scim.Resource{}, scimerrors.ScimErrorResourceNotFound(id)
	}
	h.store.resources[h.kind][id] = attributes
	return h.resource(id), nil
}

// Delete implements scim.ResourceHandler. A user that is deleted leaves its groups.
func (h *handler) Delete(_ *http.Request, id string) error {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	if h.store.resources[h.kind][id] == nil {
		return scimerrors.ScimErrorResourceNotFound(id)
	}
	delete(h.store.resources[h.kind], id)
	h.store.order[h.kind] = slices.DeleteFunc(h.store.order[h.kind], func(other string) bool { return other == id })
	for _, g := range h.store.resources[groups] {
		g["members"] = without(membersOf(g), id)
	}
	return nil
}

// Patch implements scim.ResourceHandler.
func (h *handler) Patch(_ *http.Request, id string, operations []scim.PatchOperation) (scim.Resource, error) {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	attributes := h.store.resources[h.kind][id]
	if attributes == nil {
		return scim.Resource{}, scimerrors.ScimErrorResourceNotFound(id)
	}
	for _, o := range operations {
		if o.Path == nil {
			return scim.Resource{}, scimerrors.ScimErrorInvalidPath
		}
		name := o.Path.AttributePath.AttributeName
		switch {
		case name == "members":
			if err := h.patchMembers(attributes, o); err != nil {
				return scim.Resource{}, err
			}
		case o.Op == scim.PatchOperationRemove:
			delete(attributes, name)
		default:
			attributes[name] = o.Value
		}
	}
	return h.resource(id), nil
}

func (h *handler) patchMembers(g scim.ResourceAttributes, o scim.PatchOperation) error {
	switch o.Op {
	case scim.PatchOperationAdd:
		list, ok := o.Value.([]any)
		if !ok {
			return scimerrors.ScimErrorInvalidValue
		}
		for _, v := range list {
			m, ok := v.(map[string]any)
			if !ok {
				return scimerrors.ScimErrorInvalidValue
			}
			id := fmt.Sprint(m["value"])
			if h.store.resources[users][id] == nil {
				return scimerrors.ScimErrorInvalidValue
			}
			g["members"] = append(without(membersOf(g), id), map[string]any{"value": id})
		}
		return nil
	case scim.PatchOperationRemove:
		e, ok := o.Path.ValueExpression.(*filter.AttributeExpression)
		if !ok || e.AttributePath.AttributeName != "value" || e.Operator != filter.EQ {
			return scimerrors.ScimErrorInvalidPath
		}
		g["members"] = without(membersOf(g), fmt.Sprint(e.CompareValue))
		return nil
	default:
		return scimerrors.ScimErrorInvalidPath
	}
}

func membersOf(g scim.ResourceAttributes) []any {
	list, _ := g["members"].([]any)
	return list
}

// without returns the members but for one, in a new list: the old one may be on its way to a client.
func without(members []any, id string) []any {
	return slices.DeleteFunc(slices.Clone(members), func(m any) bool {
		attributes, ok := m.(map[string]any)
		return ok && attributes["value"] == id
	})
}
