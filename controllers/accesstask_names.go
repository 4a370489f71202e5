// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

const (
	// namesFor is how long what Cakewalk calls persons, applications and levels is kept.
	namesFor = 10 * time.Minute
	// maxNames is how many persons are kept of one WebhookReceiver.
	maxNames = 10_000
)

// names keeps, for a while, what Cakewalk calls what requests are about. The zero value is ready.
type names struct {
	mu   sync.Mutex
	kept map[types.UID]keptNames
}

type keptNames struct {
	*cakewalkFacts
	until time.Time
}

// of returns what is kept for a receiver, by its UID.
func (n *names) of(receiver types.UID, now time.Time) *cakewalkFacts {
	n.mu.Lock()
	defer n.mu.Unlock()
	if k, ok := n.kept[receiver]; ok && now.Before(k.until) && k.size() < maxNames {
		return k.cakewalkFacts
	}
	if n.kept == nil {
		n.kept = map[types.UID]keptNames{}
	}
	for uid, k := range n.kept {
		if !now.Before(k.until) {
			delete(n.kept, uid)
		}
	}
	n.kept[receiver] = keptNames{cakewalkFacts: newCakewalkFacts(), until: now.Add(namesFor)}
	return n.kept[receiver].cakewalkFacts
}

// forget drops what is kept for a receiver.
func (n *names) forget(receiver types.UID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.kept, receiver)
}

// size is how many persons were read.
func (f *cakewalkFacts) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.users)
}

// checkNames compares the names in a request with those that Cakewalk has for its ids. A task's ids can be right and its
// email another's: whoever knows the secret of the webhooks could announce it so, and the identity in a target system comes
// of the email. It returns the outcome of a task that must not be carried out, nil where the names are right, and an error
// where Cakewalk could not be asked.
func (r *AccessTaskReconciler) checkNames(ctx context.Context, task *accessv1alpha1.AccessTask, receiver *accessv1alpha1.WebhookReceiver, known *cakewalk.Task) (*outcome, error) {
	if task.Spec.Request == nil || known.Request == nil {
		return nil, nil
	}
	api, err := r.Cakewalk.Client(ctx, receiver)
	if err != nil {
		return nil, err
	}
	wrong, err := wrongNames(ctx, api, r.names.of(receiver.UID, r.now()), task, known)
	if err == nil && len(wrong) > 0 {
		// What is kept may be older than a change of the name.
		if wrong, err = wrongNames(ctx, api, newCakewalkFacts(), task, known); err == nil && len(wrong) == 0 {
			r.names.forget(receiver.UID)
		}
	}
	if unreadable, ok := errors.AsType[*unreadableError](err); ok {
		return rejected("Cakewalk does not tell what the task is about: " + unreadable.detail), nil
	}
	if err != nil {
		return nil, err
	}
	if len(wrong) > 0 {
		return rejected("Cakewalk knows the task otherwise than it was announced: " + strings.Join(wrong, "; ")), nil
	}
	return nil, nil
}

// wrongNames tells which names in a request are not those that Cakewalk has for its ids, by what is kept of it or else is
// asked for.
func wrongNames(ctx context.Context, api *cakewalk.Client, kept *cakewalkFacts, task *accessv1alpha1.AccessTask, known *cakewalk.Task) ([]string, error) {
	target, err := kept.target(ctx, api, known.Request)
	if err != nil {
		return nil, err
	}
	return otherNames(task.Spec.Request, target), nil
}

// otherNames tells where a request names something otherwise than Cakewalk does. What it does not name cannot be wrong.
func otherNames(announced *accessv1alpha1.AccessRequest, known *cakewalk.RequestMetadata) []string {
	var all []string
	differ := func(what, a, b string, same bool) {
		if a != "" && !same {
			all = append(all, fmt.Sprintf("its %s was announced as %q and is %q", what, shorten(a, 100), shorten(b, 100)))
		}
	}
	if announced.TargetUser != nil {
		email := ""
		if known.TargetUser != nil {
			email = known.TargetUser.Email
		}
		differ("target user's email", announced.TargetUser.Email, email, strings.EqualFold(announced.TargetUser.Email, email))
	}
	name := func(o *cakewalk.NamedObject) string {
		if o == nil {
			return ""
		}
		return o.Name
	}
	if app := announced.TargetWorkApp; app != nil {
		differ("work app's name", app.Name, name(known.TargetWorkApp), app.Name == name(known.TargetWorkApp))
	}
	if level := announced.PermissionLevel; level != nil {
		differ("permission level's name", level.Name, name(known.PermissionLevel), level.Name == name(known.PermissionLevel))
	}
	return all
}
