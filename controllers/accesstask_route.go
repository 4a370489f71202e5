// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// defaultRequestTypes are those that a Connector serves that lists none.
var defaultRequestTypes = []accessv1alpha1.RequestType{
	accessv1alpha1.RequestTypeGrantAccess,
	accessv1alpha1.RequestTypeRemoveAccess,
	accessv1alpha1.RequestTypeChangePermissionLevel,
}

// candidate is a Connector that serves a task, and how well it fits.
type candidate struct {
	connector *accessv1alpha1.Connector
	priority  int32
	byID      bool
	types     int
}

// better orders candidates: the highest priority first; then a match by id before one by name; then the one that serves
// fewer request types.
func (a candidate) better(b candidate) int {
	byID := func(c candidate) int {
		if c.byID {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(byID(a), byID(b)), cmp.Compare(a.types, b.types))
}

// route chooses the Connector for a task. Where none is chosen, the outcome says why: NoConnector or AmbiguousConnector.
func route(task *accessv1alpha1.AccessTask, connectors []*accessv1alpha1.Connector) (*accessv1alpha1.Connector, *outcome) {
	var candidates []candidate
	var misses []string
	for _, c := range connectors {
		if !c.DeletionTimestamp.IsZero() {
			continue
		}
		fit, miss := fits(task, c)
		if fit != nil {
			candidates = append(candidates, *fit)
		} else if miss != "" {
			misses = append(misses, fmt.Sprintf("connector %q %s", c.Name, miss))
		}
	}
	if len(candidates) == 0 {
		return nil, noConnector(task, misses)
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(a.better(b), cmp.Compare(a.connector.Name, b.connector.Name))
	})
	var ties []string
	for _, c := range candidates {
		if c.better(candidates[0]) == 0 {
			ties = append(ties, fmt.Sprintf("%q", c.connector.Name))
		}
	}
	if len(ties) > 1 {
		return nil, &outcome{
			reason:  accessv1alpha1.ReasonAmbiguousConnector,
			stalled: accessv1alpha1.ReasonAmbiguousConnector,
			message: fmt.Sprintf("the connectors %s serve this task with equal right; give one of them a higher spec.priority or narrow its spec.match", list(ties)),
		}
	}
	return candidates[0].connector, nil
}

// fits tells how well a Connector fits a task. Where it serves the task's application and yet not the task, miss says why.
func fits(task *accessv1alpha1.AccessTask, c *accessv1alpha1.Connector) (fit *candidate, miss string) {
	app := task.Spec.Request.TargetWorkApp
	if app == nil {
		return nil, ""
	}
	byID, byName := false, false
	for _, w := range c.Spec.Match.WorkApps {
		byID = byID || (w.ID != "" && strings.EqualFold(w.ID, app.ID))
		byName = byName || (w.Name != "" && w.Name == app.Name)
	}
	if !byID && !byName {
		for _, w := range c.Spec.Match.WorkApps {
			if w.Name != "" && strings.EqualFold(w.Name, app.Name) {
				return nil, fmt.Sprintf("matches the name %q: names match exactly", w.Name)
			}
		}
		return nil, ""
	}
	types := c.Spec.Match.RequestTypes
	if len(types) == 0 {
		types = defaultRequestTypes
	}
	if !slices.Contains(types, accessv1alpha1.RequestType(task.Spec.Request.Type)) {
		return nil, fmt.Sprintf("does not list %s in spec.match.requestTypes", task.Spec.Request.Type)
	}
	if task.Spec.ReceiverRef == nil {
		if !isTrue(c.Spec.Match.AcceptHandMadeTasks) {
			return nil, "does not accept tasks that no WebhookReceiver stored (spec.match.acceptHandMadeTasks)"
		}
	} else if receivers := c.Spec.Match.Receivers; len(receivers) > 0 && !slices.Contains(receivers, *task.Spec.ReceiverRef) {
		return nil, fmt.Sprintf("does not list the receiver %q in spec.match.receivers", task.Spec.ReceiverRef.Name)
	}
	return &candidate{connector: c, priority: valueOr(c.Spec.Priority, 0), byID: byID, types: len(types)}, ""
}

func noConnector(task *accessv1alpha1.AccessTask, misses []string) *outcome {
	o := &outcome{reason: accessv1alpha1.ReasonNoConnector, stalled: accessv1alpha1.ReasonNoConnector}
	app := task.Spec.Request.TargetWorkApp
	switch {
	case app == nil:
		o.message = "the request names no application"
	case len(misses) > 0:
		o.message = fmt.Sprintf("no connector serves %s of the application %s: %s", task.Spec.Request.Type, quote(app), list(misses))
	default:
		o.message = fmt.Sprintf("no connector in this namespace serves the application %s: add it to a connector's spec.match.workApps", quote(app))
	}
	return o
}

// servesOnRequest tells whether some Connector of the task's application lists a request type that is served only where
// it is listed.
func servesOnRequest(task *accessv1alpha1.AccessTask, connectors []*accessv1alpha1.Connector) bool {
	return slices.ContainsFunc(connectors, func(c *accessv1alpha1.Connector) bool {
		fit, _ := fits(task, c)
		return fit != nil
	})
}

// quote names an object of Cakewalk for a message.
func quote(o *accessv1alpha1.NamedObject) string {
	name := shorten(o.Name, 100)
	switch {
	case o.ID == "":
		return fmt.Sprintf("%q", name)
	case o.Name == "":
		return o.ID
	default:
		return fmt.Sprintf("%q (id %s)", name, o.ID)
	}
}

// list joins the first of many words for a message.
func list(words []string) string {
	const most = 10
	if len(words) > most {
		return strings.Join(words[:most], ", ") + fmt.Sprintf(" and %d more", len(words)-most)
	}
	return strings.Join(words, ", ")
}

func isTrue(b *bool) bool { return b != nil && *b }

func valueOr[T any](p *T, fallback T) T {
	if p == nil {
		return fallback
	}
	return *p
}
