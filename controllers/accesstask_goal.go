// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"strings"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// kinds maps request types to what is to be brought about. A type that is not here is left to a person.
var kinds = map[string]provisioning.Kind{
	accessv1alpha1.RequestTypeGrantAccess:           provisioning.Grant,
	accessv1alpha1.RequestTypeRemoveAccess:          provisioning.Remove,
	accessv1alpha1.RequestTypeChangePermissionLevel: provisioning.ChangeLevel,
	accessv1alpha1.RequestTypeArchiveWorkApp:        provisioning.Archive,
	accessv1alpha1.RequestTypeAddNewManagedWorkApp:  provisioning.Prepare,
}

// shortTypes are the request types as the column REQUEST shows them.
var shortTypes = map[string]string{
	accessv1alpha1.RequestTypeGrantAccess:           "Grant",
	accessv1alpha1.RequestTypeRemoveAccess:          "Remove",
	accessv1alpha1.RequestTypeChangePermissionLevel: "ChangePermissionLevel",
	accessv1alpha1.RequestTypeArchiveWorkApp:        "ArchiveWorkApp",
	accessv1alpha1.RequestTypeAddNewManagedWorkApp:  "AddNewManagedWorkApp",
}

// shortType is the request type as the column REQUEST shows it; empty for a task without a request.
func shortType(task *accessv1alpha1.AccessTask) string {
	if task.Spec.Request == nil {
		return ""
	}
	if short, ok := shortTypes[task.Spec.Request.Type]; ok {
		return short
	}
	return task.Spec.Request.Type
}

// onlyWhereListed tells the kinds that concern everybody at once and are served only where a Connector lists them.
func onlyWhereListed(k provisioning.Kind) bool {
	return k == provisioning.Archive || k == provisioning.Prepare
}

// takesAway tells the kinds that take access away: they are never given up.
func takesAway(k provisioning.Kind) bool {
	return k == provisioning.Remove || k == provisioning.Archive
}

// goalOf says what a task wants of a Connector's target system. An error is a *provisioning.PermanentError.
func goalOf(task *accessv1alpha1.AccessTask, c *accessv1alpha1.Connector) (provisioning.Goal, error) {
	g := provisioning.Goal{
		Kind:          kinds[task.Spec.Request.Type],
		Level:         provisioning.NoLevel,
		CreateAccount: isTrue(c.Spec.Lifecycle.CreateAccount),
	}
	switch c.Spec.Lifecycle.OnRemove {
	case accessv1alpha1.OnRemoveDeactivate:
		g.OnRemove = provisioning.ThenDeactivate
	case accessv1alpha1.OnRemoveDelete:
		g.OnRemove = provisioning.ThenDelete
	default:
		g.OnRemove = provisioning.LeaveAccount
	}
	for _, l := range c.Spec.PermissionLevels {
		g.Levels = append(g.Levels, l.Entitlements)
	}
	if onlyWhereListed(g.Kind) {
		return g, nil
	}
	if task.Spec.Request.TargetUser == nil {
		return g, permanent("InvalidRequest", "the request names no target user, so that nobody's access can be changed")
	}
	if executesTasks(c) && len(g.Levels) == 0 {
		// What a level means is known where the task is carried out.
		return g, nil
	}
	level, err := levelOf(task, c, g.Kind)
	g.Level = level
	return g, err
}

// levelOf returns the index of the level that a request asks for. A request that names none means the default level, or,
// where it removes, all access.
func levelOf(task *accessv1alpha1.AccessTask, c *accessv1alpha1.Connector, k provisioning.Kind) (int, error) {
	wanted := task.Spec.Request.PermissionLevel
	if wanted == nil {
		if k == provisioning.Remove {
			return provisioning.NoLevel, nil
		}
		for i, l := range c.Spec.PermissionLevels {
			if isTrue(l.Default) {
				return i, nil
			}
		}
		return provisioning.NoLevel, permanent("LevelNotMapped",
			"the request names no permission level, and connector %q maps no level with `default: true`; it maps %s", c.Name, mappedLevels(c))
	}
	for i, l := range c.Spec.PermissionLevels {
		if l.ID != "" && strings.EqualFold(l.ID, wanted.ID) {
			return i, nil
		}
	}
	for i, l := range c.Spec.PermissionLevels {
		if l.Name != "" && l.Name == wanted.Name {
			return i, nil
		}
	}
	return provisioning.NoLevel, permanent("LevelNotMapped",
		"connector %q does not map the permission level %s; it maps %s", c.Name, quote(wanted), mappedLevels(c))
}

// mappedLevels names the levels that a Connector maps.
func mappedLevels(c *accessv1alpha1.Connector) string {
	var all []string
	for _, l := range c.Spec.PermissionLevels {
		switch {
		case l.Name != "":
			all = append(all, fmt.Sprintf("%q", l.Name))
		case l.ID != "":
			all = append(all, l.ID)
		default:
			all = append(all, "the default")
		}
	}
	if len(all) == 0 {
		return "none"
	}
	return list(all)
}

func permanent(reason, format string, args ...any) error {
	return provisioning.Permanent(reason, fmt.Errorf(format, args...))
}
