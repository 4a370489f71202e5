// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

var t0 = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const (
	appID   = "b95160f2-1eec-4cf0-8f49-bb4f29936f5d"
	levelID = "5f7f2f0e-6a5f-4d7e-8f65-6b0a1f0f9d10"
)

// newTask is a Grant of the level Editor in "Google Workspace" that the receiver "cakewalk" stored.
func newTask(change ...func(*accessv1alpha1.AccessTask)) *accessv1alpha1.AccessTask {
	received := metav1.NewMicroTime(t0)
	task := &accessv1alpha1.AccessTask{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "7ac60a4b-4b4d-4fc1-988c-f95254591f06", Generation: 1},
		Spec: accessv1alpha1.AccessTaskSpec{
			TaskID:       "7ac60a4b-4b4d-4fc1-988c-f95254591f06",
			ReceivedTime: &received,
			ReceiverRef:  &accessv1alpha1.WebhookReceiverReference{Name: "cakewalk"},
			Request: &accessv1alpha1.AccessRequest{
				Type:            accessv1alpha1.RequestTypeGrantAccess,
				TargetWorkApp:   &accessv1alpha1.NamedObject{ID: appID, Name: "Google Workspace"},
				PermissionLevel: &accessv1alpha1.NamedObject{ID: levelID, Name: "Editor"},
				TargetUser:      &accessv1alpha1.User{ID: "1934ea57-962f-41de-bf2c-ba2c288e7f68", Email: "Ann@example.com", FullName: "Ann"},
			},
		},
	}
	for _, c := range change {
		c(task)
	}
	return task
}

// newConnector is a Ready Connector that serves newTask by the application's name.
func newConnector(name string, change ...func(*accessv1alpha1.Connector)) *accessv1alpha1.Connector {
	c := &accessv1alpha1.Connector{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Generation: 3},
		Spec: accessv1alpha1.ConnectorSpec{
			Match: accessv1alpha1.ConnectorMatch{
				WorkApps:     []accessv1alpha1.WorkAppMatch{{Name: "Google Workspace"}},
				RequestTypes: defaultRequestTypes,
			},
			PermissionLevels: []accessv1alpha1.PermissionLevelMapping{
				{Default: new(true), Entitlements: []string{"members"}},
				{Name: "Editor", Entitlements: []string{"editors"}},
			},
			Retry:  accessv1alpha1.ConnectorRetry{MaxAttempts: 3, MinDelaySeconds: 5, MaxDelaySeconds: 60, DeadlineSeconds: 600},
			Limits: accessv1alpha1.ConnectorLimits{RequestsPerSecond: 1000, Burst: 1000, MaxConcurrent: 2},
			SCIM:   &accessv1alpha1.SCIMBackend{BaseURL: "https://example.com"},
		},
		Status: accessv1alpha1.ConnectorStatus{Conditions: []metav1.Condition{{
			Type: accessv1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: accessv1alpha1.ReasonProbed, ObservedGeneration: 3,
		}}},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func withType(requestType string) func(*accessv1alpha1.AccessTask) {
	return func(t *accessv1alpha1.AccessTask) { t.Spec.Request.Type = requestType }
}

func withLevel(level *accessv1alpha1.NamedObject) func(*accessv1alpha1.AccessTask) {
	return func(t *accessv1alpha1.AccessTask) { t.Spec.Request.PermissionLevel = level }
}

func withAnnotation(key, value string) func(*accessv1alpha1.AccessTask) {
	return func(t *accessv1alpha1.AccessTask) { t.Annotations = map[string]string{key: value} }
}

// withStatus gives the task the status after an outcome an hour ago.
func withStatus(o outcome, change ...func(*accessv1alpha1.AccessTaskStatus)) func(*accessv1alpha1.AccessTask) {
	return func(t *accessv1alpha1.AccessTask) {
		t.Status = settle(t, t.Status, newConnector("a"), "scim", o, t0.Add(-time.Hour))
		for _, c := range change {
			c(&t.Status)
		}
	}
}

var failedPermanently = outcome{
	finished: metav1.ConditionFalse, reason: accessv1alpha1.ReasonPermanentError, stalled: accessv1alpha1.ReasonPermanentError, message: "no group",
}

func retryingAt(next time.Time) outcome {
	return outcome{reason: accessv1alpha1.ReasonRetrying, message: "timeout", next: next}
}

func lineupOf(tasks ...*accessv1alpha1.AccessTask) *Lineup {
	l := NewLineup()
	for _, task := range tasks {
		l.see(task)
	}
	return l
}

func TestDecide(t *testing.T) {
	suspended := func(c *accessv1alpha1.Connector) { c.Spec.Suspend = new(true) }
	dryRun := func(c *accessv1alpha1.Connector) { c.Spec.DryRun = new(true) }
	manual := func(c *accessv1alpha1.Connector) {
		c.Spec.SCIM, c.Spec.PermissionLevels = nil, nil
		c.Spec.Manual = &accessv1alpha1.ManualBackend{Instructions: "call Jane"}
	}
	priority := func(p int32) func(*accessv1alpha1.Connector) {
		return func(c *accessv1alpha1.Connector) { c.Spec.Priority = &p }
	}
	byID := func(c *accessv1alpha1.Connector) {
		c.Spec.Match.WorkApps = []accessv1alpha1.WorkAppMatch{{ID: strings.ToUpper(appID)}}
	}
	listing := func(all ...accessv1alpha1.RequestType) func(*accessv1alpha1.Connector) {
		return func(c *accessv1alpha1.Connector) { c.Spec.Match.RequestTypes = all }
	}
	sibling := func(seconds int, change ...func(*accessv1alpha1.AccessTask)) []*accessv1alpha1.AccessTask {
		s := newTask(change...)
		s.Name = "0" + s.Name[1:]
		at := metav1.NewMicroTime(t0.Add(time.Duration(seconds) * time.Second))
		s.Spec.ReceivedTime = &at
		return []*accessv1alpha1.AccessTask{s}
	}
	receivedAt := func(seconds int) func(*accessv1alpha1.AccessTask) {
		return func(t *accessv1alpha1.AccessTask) {
			at := metav1.NewMicroTime(t0.Add(time.Duration(seconds) * time.Second))
			t.Spec.ReceivedTime = &at
		}
	}
	removal := withType(accessv1alpha1.RequestTypeRemoveAccess)
	another := &accessv1alpha1.NamedObject{Name: "Viewer"}
	begun := withStatus(retryingAt(t0.Add(time.Minute)), func(s *accessv1alpha1.AccessTaskStatus) { s.StartTime = new(metav1.NewTime(t0)) })
	handMade := func(t *accessv1alpha1.AccessTask) { t.Spec.ReceiverRef = nil }
	const complete, retry = accessv1alpha1.AnnotationComplete, accessv1alpha1.AnnotationRetry

	tests := map[string]struct {
		task       *accessv1alpha1.AccessTask
		connectors []*accessv1alpha1.Connector
		siblings   []*accessv1alpha1.AccessTask
		changed    time.Time

		wantVerb      verb
		wantReason    string // of the outcome
		wantMessage   string // part of the outcome's message
		wantConnector string
		wantLevel     int
		wantAfter     time.Duration
	}{
		"a task whose connector is ready is provisioned": {
			task: newTask(), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbProvision, wantConnector: "a", wantLevel: 1,
		},
		"a dry run only plans": {
			task: newTask(), connectors: []*accessv1alpha1.Connector{newConnector("a", dryRun)},
			wantVerb: verbPlan, wantConnector: "a", wantLevel: 1,
		},
		"a suspended task waits": {
			task: newTask(func(t *accessv1alpha1.AccessTask) { t.Spec.Suspend = new(true) }), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonSuspended,
		},
		"a task of a suspended connector waits": {
			task: newTask(), connectors: []*accessv1alpha1.Connector{newConnector("a", suspended)},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonSuspended, wantMessage: `"a"`, wantConnector: "a",
		},
		"a task without a request is left to a person": {
			task:     newTask(func(t *accessv1alpha1.AccessTask) { t.Spec.Request = nil }),
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonUnsupported,
		},
		"a request of an unknown type is left to a person": {
			task: newTask(withType("TeleportRequest")), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonUnsupported, wantMessage: "TeleportRequest",
		},
		"an archive is left to a person where no connector lists the type": {
			task: newTask(withType(accessv1alpha1.RequestTypeArchiveWorkApp)), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonUnsupported,
		},
		"an archive is provisioned where a connector lists the type": {
			task:       newTask(withType(accessv1alpha1.RequestTypeArchiveWorkApp), withLevel(nil), func(t *accessv1alpha1.AccessTask) { t.Spec.Request.TargetUser = nil }),
			connectors: []*accessv1alpha1.Connector{newConnector("a", listing("ArchiveWorkAppRequest"))},
			wantVerb:   verbProvision, wantConnector: "a", wantLevel: provisioning.NoLevel,
		},
		"no connector serves the application": {
			task: newTask(), connectors: []*accessv1alpha1.Connector{newConnector("a", func(c *accessv1alpha1.Connector) {
				c.Spec.Match.WorkApps = []accessv1alpha1.WorkAppMatch{{Name: "Slack"}}
			})},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonNoConnector, wantMessage: `"Google Workspace" (id ` + appID,
		},
		"names match exactly, and the message says what is near": {
			task: newTask(), connectors: []*accessv1alpha1.Connector{newConnector("a", func(c *accessv1alpha1.Connector) {
				c.Spec.Match.WorkApps = []accessv1alpha1.WorkAppMatch{{Name: "google workspace"}}
			})},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonNoConnector, wantMessage: "names match exactly",
		},
		"a request without an application has no connector": {
			task: newTask(func(t *accessv1alpha1.AccessTask) { t.Spec.Request.TargetWorkApp = nil }), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonNoConnector, wantMessage: "no application",
		},
		"another receiver's task is not served": {
			task: newTask(), connectors: []*accessv1alpha1.Connector{newConnector("a", func(c *accessv1alpha1.Connector) {
				c.Spec.Match.Receivers = []accessv1alpha1.WebhookReceiverReference{{Name: "other"}}
			})},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonNoConnector, wantMessage: "spec.match.receivers",
		},
		"a task made by hand was approved by nobody": {
			task: newTask(handMade), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonNoConnector, wantMessage: "acceptHandMadeTasks",
		},
		"a task made by hand is served where the connector says so": {
			task: newTask(handMade), connectors: []*accessv1alpha1.Connector{newConnector("a", func(c *accessv1alpha1.Connector) {
				c.Spec.Match.AcceptHandMadeTasks = new(true)
			})},
			wantVerb: verbProvision, wantConnector: "a", wantLevel: 1,
		},
		"the highest priority is chosen, even over an id": {
			task: newTask(), connectors: []*accessv1alpha1.Connector{newConnector("a", byID), newConnector("b", priority(1))},
			wantVerb: verbProvision, wantConnector: "b", wantLevel: 1,
		},
		"an id beats a name": {
			task: newTask(), connectors: []*accessv1alpha1.Connector{newConnector("a"), newConnector("b", byID)},
			wantVerb: verbProvision, wantConnector: "b", wantLevel: 1,
		},
		"fewer request types beat more": {
			task: newTask(), connectors: []*accessv1alpha1.Connector{newConnector("a"), newConnector("b", listing("GrantAccessRequest"))},
			wantVerb: verbProvision, wantConnector: "b", wantLevel: 1,
		},
		"a tie is left to a person": {
			task: newTask(), connectors: []*accessv1alpha1.Connector{newConnector("b"), newConnector("a"), newConnector("c", priority(-1))},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonAmbiguousConnector, wantMessage: `"a", "b" serve`,
		},
		"a level that is not mapped is an error that names it and the mapped ones": {
			task: newTask(withLevel(&accessv1alpha1.NamedObject{Name: "Owner"})), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonPermanentError, wantMessage: `"Owner"; it maps the default, "Editor"`, wantConnector: "a",
		},
		"an unmapped level in a dry run": {
			task: newTask(withLevel(&accessv1alpha1.NamedObject{Name: "Owner"})), connectors: []*accessv1alpha1.Connector{newConnector("a", dryRun)},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonDryRun, wantMessage: "would end as PermanentError", wantConnector: "a",
		},
		"a level matches by id whatever its name": {
			task: newTask(), connectors: []*accessv1alpha1.Connector{newConnector("a", func(c *accessv1alpha1.Connector) {
				c.Spec.PermissionLevels = []accessv1alpha1.PermissionLevelMapping{{Name: "Editor", Entitlements: []string{"x"}}, {ID: strings.ToUpper(levelID), Entitlements: []string{"y"}}}
			})},
			wantVerb: verbProvision, wantConnector: "a", wantLevel: 1,
		},
		"a grant without a level means the default one": {
			task: newTask(withLevel(nil)), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbProvision, wantConnector: "a", wantLevel: 0,
		},
		"a grant without a level and without a default is an error": {
			task: newTask(withLevel(nil)), connectors: []*accessv1alpha1.Connector{newConnector("a", func(c *accessv1alpha1.Connector) {
				c.Spec.PermissionLevels = c.Spec.PermissionLevels[1:]
			})},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonPermanentError, wantMessage: "names no permission level", wantConnector: "a",
		},
		"a removal without a level means all access": {
			task: newTask(withType(accessv1alpha1.RequestTypeRemoveAccess), withLevel(nil)), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbProvision, wantConnector: "a", wantLevel: provisioning.NoLevel,
		},
		"a grant for nobody is an error": {
			task:       newTask(func(t *accessv1alpha1.AccessTask) { t.Spec.Request.TargetUser = nil }),
			connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb:   verbSettle, wantReason: accessv1alpha1.ReasonPermanentError, wantMessage: "no target user", wantConnector: "a",
		},
		"a connector that is not ready holds its tasks": {
			task: newTask(), connectors: []*accessv1alpha1.Connector{newConnector("a", func(c *accessv1alpha1.Connector) {
				c.Status.Conditions[0].Status, c.Status.Conditions[0].Reason, c.Status.Conditions[0].Message = metav1.ConditionFalse, "Unauthorized", "401"
			})},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonConnectorNotReady, wantMessage: "Unauthorized: 401", wantConnector: "a",
		},
		"a connector that was ready before its last change holds its tasks": {
			task: newTask(), connectors: []*accessv1alpha1.Connector{newConnector("a", func(c *accessv1alpha1.Connector) { c.Generation = 4 })},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonConnectorNotReady, wantMessage: "not probed yet", wantConnector: "a",
		},
		"a manual connector leaves the task to a person, with instructions": {
			task: newTask(), connectors: []*accessv1alpha1.Connector{newConnector("a", manual)},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonWaitingForPerson, wantMessage: "call Jane", wantConnector: "a",
		},
		"a manual connector that maps levels names what is concerned": {
			task: newTask(), connectors: []*accessv1alpha1.Connector{newConnector("a", func(c *accessv1alpha1.Connector) {
				levels := c.Spec.PermissionLevels
				manual(c)
				c.Spec.PermissionLevels = levels
			})},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonWaitingForPerson, wantMessage: "(Grant: editors)", wantConnector: "a",
		},
		"a person completes what waits for a person": {
			task: newTask(withAnnotation(complete, "jane: done")), connectors: []*accessv1alpha1.Connector{newConnector("a", manual)},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonCompletedByPerson, wantMessage: "jane: done", wantConnector: "a",
		},
		"a person completes what has no connector": {
			task:     newTask(withAnnotation(complete, "jane: done")),
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonCompletedByPerson,
		},
		"a person completes what failed": {
			task: newTask(withStatus(failedPermanently), withAnnotation(complete, "jane: done")), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonCompletedByPerson,
		},
		"a person's word does not keep a healthy task from being provisioned": {
			task: newTask(withAnnotation(complete, "jane: done")), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbProvision, wantConnector: "a", wantLevel: 1,
		},
		"a failed attempt waits for the next one": {
			task: newTask(withStatus(retryingAt(t0.Add(time.Minute)))), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbWait, wantConnector: "a", wantAfter: time.Minute,
		},
		"a failed attempt that is due is repeated": {
			task: newTask(withStatus(retryingAt(t0))), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbProvision, wantConnector: "a", wantLevel: 1,
		},
		"a failed attempt is due once its connector was changed or healed": {
			task: newTask(withStatus(retryingAt(t0.Add(time.Minute)), func(s *accessv1alpha1.AccessTaskStatus) {
				s.LastAttemptTime = new(metav1.NewTime(t0.Add(-time.Minute)))
			})),
			connectors: []*accessv1alpha1.Connector{newConnector("a")}, changed: t0,
			wantVerb: verbProvision, wantConnector: "a", wantLevel: 1,
		},
		"a failed attempt at another connector does not delay this one": {
			task: newTask(withStatus(retryingAt(t0.Add(time.Minute)))), connectors: []*accessv1alpha1.Connector{newConnector("b")},
			wantVerb: verbProvision, wantConnector: "b", wantLevel: 1,
		},
		"a person's retry makes a failed attempt due": {
			task:       newTask(withStatus(retryingAt(t0.Add(time.Minute))), withAnnotation(retry, "now")),
			connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb:   verbProvision, wantConnector: "a", wantLevel: 1,
		},
		"a grant that is older than a removal that has begun is never carried out": {
			task: newTask(), siblings: sibling(1, removal, begun), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonSuperseded, wantConnector: "a",
		},
		"nor is one whose attempt failed before": {
			task: newTask(withStatus(retryingAt(t0.Add(time.Minute)))), siblings: sibling(1, removal, withStatus(done(nil, true))), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonSuperseded, wantConnector: "a",
		},
		"a removal is not superseded": {
			task: newTask(removal), siblings: sibling(1, removal, begun), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbProvision, wantConnector: "a", wantLevel: 1,
		},
		"a grant that is newer than a removal waits for it": {
			task: newTask(), siblings: sibling(-1, removal, begun), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbWait, wantConnector: "a", wantAfter: time.Minute,
		},
		"and says so after a while": {
			task: newTask(receivedAt(-60)), siblings: sibling(-61, removal, begun), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonWaitingForEarlierTask, wantConnector: "a",
		},
		"a grant that is older than a removal is superseded, begun or not": {
			task: newTask(), siblings: sibling(1, removal), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbSettle, wantReason: accessv1alpha1.ReasonSuperseded, wantConnector: "a",
		},
		"a grant that is older than a removal of another level goes first": {
			task: newTask(), siblings: sibling(1, removal, withLevel(another)), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbProvision, wantConnector: "a", wantLevel: 1,
		},
		"a removal lets an older grant of another level go first": {
			task: newTask(removal), siblings: sibling(-1, withLevel(another)), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbWait, wantConnector: "a", wantAfter: 5 * time.Second,
		},
		"a removal lets no older grant of the same level go first": {
			task: newTask(removal), siblings: sibling(-1), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbProvision, wantConnector: "a", wantLevel: 1,
		},
		"a removal does not wait for an older grant that fails": {
			task: newTask(removal), siblings: sibling(-1, begun, withLevel(another)), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbProvision, wantConnector: "a", wantLevel: 1,
		},
		"nor for long": {
			task: newTask(removal, receivedAt(-31)), siblings: sibling(-32, withLevel(another)), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbProvision, wantConnector: "a", wantLevel: 1,
		},
		"nobody waits for what is left to a person": {
			task: newTask(), siblings: sibling(-1, handMade), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbProvision, wantConnector: "a", wantLevel: 1,
		},
		"nor for what a person holds back": {
			task: newTask(), siblings: sibling(-1, func(t *accessv1alpha1.AccessTask) { t.Spec.Suspend = new(true) }), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbProvision, wantConnector: "a", wantLevel: 1,
		},
		"what had no connector when it was last visited may have one now": {
			task: newTask(), siblings: sibling(-1, withStatus(outcome{reason: accessv1alpha1.ReasonNoConnector, stalled: accessv1alpha1.ReasonNoConnector})), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbWait, wantConnector: "a", wantAfter: time.Minute,
		},
		"nor for what is finished": {
			task: newTask(), siblings: sibling(-1, withStatus(failedPermanently)), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbProvision, wantConnector: "a", wantLevel: 1,
		},
		"a finished task is left alone": {
			task: newTask(withStatus(failedPermanently)), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbWait,
		},
		"a person's retry starts a failed task over": {
			task: newTask(withStatus(failedPermanently), withAnnotation(retry, "1")), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbProvision, wantConnector: "a", wantLevel: 1,
		},
		"the same retry counts once": {
			task: newTask(withStatus(failedPermanently, func(s *accessv1alpha1.AccessTaskStatus) { s.LastHandledRetry = "1" }), withAnnotation(retry, "1")),
			connectors: []*accessv1alpha1.Connector{
				newConnector("a"),
			},
			wantVerb: verbWait,
		},
		"a retry does not start over what succeeded": {
			task: newTask(withStatus(done(nil, true)), withAnnotation(retry, "1")), connectors: []*accessv1alpha1.Connector{newConnector("a")},
			wantVerb: verbWait,
		},
		"a finished task is kept for its time": {
			task:     newTask(withStatus(done(nil, true)), func(t *accessv1alpha1.AccessTask) { t.Spec.TTLSecondsAfterFinished = new(int32(7200)) }),
			wantVerb: verbWait,
		},
		"a finished task whose time is over is deleted": {
			task:     newTask(withStatus(done(nil, true)), func(t *accessv1alpha1.AccessTask) { t.Spec.TTLSecondsAfterFinished = new(int32(3600)) }),
			wantVerb: verbDelete,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			d := decide(view{
				task: tc.task, connectors: tc.connectors, lineup: lineupOf(tc.siblings...), now: t0,
				changedAt: func(types.NamespacedName) time.Time { return tc.changed },
			})
			if d.verb != tc.wantVerb || d.after != tc.wantAfter {
				t.Errorf("got %s after %s (%+v), want %s after %s", d.verb, d.after, d.outcome, tc.wantVerb, tc.wantAfter)
			}
			if d.outcome.reason != tc.wantReason || !strings.Contains(d.outcome.message, tc.wantMessage) {
				t.Errorf("got %s %q, want %s %q", d.outcome.reason, d.outcome.message, tc.wantReason, tc.wantMessage)
			}
			got := ""
			if d.connector != nil {
				got = d.connector.Name
			}
			if got != tc.wantConnector {
				t.Errorf("got connector %q, want %q", got, tc.wantConnector)
			}
			if (d.verb == verbProvision || d.verb == verbPlan) && d.goal.Level != tc.wantLevel {
				t.Errorf("got level %d, want %d", d.goal.Level, tc.wantLevel)
			}
		})
	}
}

func TestStartingOverCountsAttemptsAnewAndKeepsWhatWasChanged(t *testing.T) {
	task := newTask(withStatus(failedPermanently, func(s *accessv1alpha1.AccessTaskStatus) {
		s.Attempts, s.StartTime = new(int32(12)), new(metav1.NewTime(t0.Add(-time.Hour)))
		s.Changes = []accessv1alpha1.TaskChange{{Action: "CreateAccount", State: accessv1alpha1.ChangeApplied}}
	}), withAnnotation(accessv1alpha1.AnnotationRetry, "again"))
	d := decide(view{task: task, connectors: []*accessv1alpha1.Connector{newConnector("a")}, lineup: NewLineup(), now: t0, changedAt: func(types.NamespacedName) time.Time { return time.Time{} }})
	if d.base.Attempts != nil || d.base.StartTime != nil || d.base.CompletionTime != nil || len(d.base.Changes) != 1 || d.base.LastHandledRetry != "again" {
		t.Errorf("%+v", d.base)
	}
}
