// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

func changesOf(task *accessv1alpha1.AccessTask) []string {
	var all []string
	for _, c := range task.Status.Changes {
		all = append(all, fmt.Sprintf("%s %s %s", c.Action, c.Entitlement, c.State))
	}
	return all
}

func TestAGrantIsProvisionedInTwoStatusWritesAndTwoEvents(t *testing.T) {
	r, fake := newRig(t)
	r.ready(r.connector("a"), metav1.ConditionTrue, accessv1alpha1.ReasonProbed)
	writes, err := r.Watch(t.Context(), &accessv1alpha1.AccessTaskList{}, client.InNamespace(r.namespace))
	if err != nil {
		t.Fatal(err)
	}
	defer writes.Stop()
	task := r.until(r.task(), accessv1alpha1.ReasonProvisioned)

	if diff := cmp.Diff([]string{"AddEntitlement editors Applied"}, changesOf(task)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"ann@example.com", "bob@example.com"}, fake.Members("editors")); diff != "" {
		t.Error(diff)
	}
	s := task.Status
	if s.ConnectorRef.Name != "a" || s.Backend != "scim" || s.Subject != "ann@example.com" || *s.Attempts != 1 || s.CompletionTime == nil ||
		s.StartTime == nil || s.NextAttemptTime != nil || *s.ObservedGeneration != 1 || s.Request != "Grant" {
		t.Errorf("status %+v", s)
	}
	for kind, want := range map[string]string{
		accessv1alpha1.ConditionSucceeded:   accessv1alpha1.ReasonProvisioned,
		accessv1alpha1.ConditionRouted:      accessv1alpha1.ReasonConnectorChosen,
		accessv1alpha1.ConditionProvisioned: accessv1alpha1.ReasonProvisioned,
	} {
		if c := meta.FindStatusCondition(s.Conditions, kind); c == nil || c.Status != metav1.ConditionTrue || c.Reason != want {
			t.Errorf("%s is %+v", kind, c)
		}
	}
	var reasons []string
	r.eventually(func() error {
		reasons = nil
		var events eventsv1.EventList
		if err := r.List(t.Context(), &events, client.InNamespace(r.namespace)); err != nil {
			return err
		}
		for _, e := range events.Items {
			if e.Regarding.Name == task.Name {
				reasons = append(reasons, e.Reason)
			}
		}
		if len(reasons) < 2 {
			return fmt.Errorf("events %v", reasons)
		}
		return nil
	})
	slices.Sort(reasons)
	if diff := cmp.Diff([]string{"Provisioned", "Provisioning"}, reasons); diff != "" {
		t.Error(diff)
	}
	if n := r.modifications(writes, task); n != 2 {
		t.Errorf("%d status writes, want 2", n)
	}
}

// modifications counts how often a task was changed up to now.
func (r *rig) modifications(all watch.Interface, task *accessv1alpha1.AccessTask) int {
	r.t.Helper()
	// Every write is in the watch, in order, before this one, which changes nothing the operator cares about.
	r.annotate(task, "test", "end")
	n := 0
	for e := range all.ResultChan() {
		if o, ok := e.Object.(*accessv1alpha1.AccessTask); ok && o.Annotations["test"] == "end" {
			break
		}
		if e.Type == watch.Modified {
			n++
		}
	}
	return n
}

func TestAGrantOfWhatIsThereChangesNothingInOneStatusWrite(t *testing.T) {
	r, fake := newRig(t)
	r.ready(r.connector("a"), metav1.ConditionTrue, accessv1alpha1.ReasonProbed)
	writes, err := r.Watch(t.Context(), &accessv1alpha1.AccessTaskList{}, client.InNamespace(r.namespace))
	if err != nil {
		t.Fatal(err)
	}
	defer writes.Stop()
	task := r.until(r.task(forUser("bob@example.com")), accessv1alpha1.ReasonAlreadyProvisioned)
	if len(task.Status.Changes) > 0 || len(fake.Changes()) > 0 {
		t.Errorf("changes %v, %v", task.Status.Changes, fake.Changes())
	}
	if n := r.modifications(writes, task); n != 1 {
		t.Errorf("%d status writes, want 1", n)
	}
}

func TestARemovalOfWhatIsNotThereSucceeds(t *testing.T) {
	r, fake := newRig(t)
	r.connector("a")
	r.until(r.task(withType(accessv1alpha1.RequestTypeRemoveAccess), withLevel(nil)), accessv1alpha1.ReasonAlreadyProvisioned)
	r.until(r.task(withType(accessv1alpha1.RequestTypeRemoveAccess), withLevel(nil), forUser("nobody@example.com")), accessv1alpha1.ReasonAlreadyProvisioned)
	if len(fake.Changes()) > 0 {
		t.Error(fake.Changes())
	}
}

func TestTwoTasksForTwoUsersOfOneGroupLeaveBothAsMembers(t *testing.T) {
	r, fake := newRig(t)
	r.connector("a")
	fake.Set("cyd@example.com", provisioning.AccountActive)
	ann, cyd := r.task(), r.task(forUser("cyd@example.com"))
	r.until(ann, accessv1alpha1.ReasonProvisioned)
	r.until(cyd, accessv1alpha1.ReasonProvisioned)
	if diff := cmp.Diff([]string{"ann@example.com", "bob@example.com", "cyd@example.com"}, fake.Members("editors")); diff != "" {
		t.Error(diff)
	}
}

func TestTasksOfAnUnavailableTargetWaitWithoutUsingAttemptsAndGoOnWhenItHeals(t *testing.T) {
	r, fake := newRig(t)
	var wrong atomic.Bool
	fake.Fail = func(string, provisioning.Subject) error {
		if wrong.Load() {
			return provisioning.Unavailable(accessv1alpha1.ReasonUnauthorized, errors.New("the token is refused (401)"))
		}
		return nil
	}
	c := r.ready(r.connector("a"), metav1.ConditionTrue, accessv1alpha1.ReasonProbed)
	// The credentials turn wrong while the Connector is Ready: a task finds out.
	wrong.Store(true)
	task := r.until(r.task(), accessv1alpha1.ReasonConnectorNotReady)
	r.ready(c, metav1.ConditionFalse, accessv1alpha1.ReasonUnauthorized)
	waiting := r.until(r.task(forUser("cyd@example.com")), accessv1alpha1.ReasonConnectorNotReady)
	if n := valueOr(task.Status.Attempts, 0) + valueOr(waiting.Status.Attempts, 0); n != 0 {
		t.Errorf("%d attempts were used up", n)
	}
	fake.Set("cyd@example.com", provisioning.AccountActive)
	// Somebody corrects the Secret.
	wrong.Store(false)
	r.targets.revision.Add(1)
	r.until(task, accessv1alpha1.ReasonProvisioned)
	if got := r.until(waiting, accessv1alpha1.ReasonProvisioned); *got.Status.Attempts != 1 {
		t.Errorf("%d attempts", *got.Status.Attempts)
	}
	r.ready(c, metav1.ConditionTrue, accessv1alpha1.ReasonProbed)
}

// All wake at the same moment, as after a restart: what was received first is carried out first.
func TestTheTasksOfAPersonAreCarriedOutInTheirOrder(t *testing.T) {
	r, fake := newRig(t)
	change := withType(accessv1alpha1.RequestTypeChangePermissionLevel)
	tasks := []*accessv1alpha1.AccessTask{r.task(withLevel(nil)), r.task(change), r.task(change, withLevel(nil)), r.task(change)}
	for _, task := range tasks {
		r.until(task, accessv1alpha1.ReasonNoConnector)
	}
	r.connector("a")
	for _, task := range tasks {
		r.until(task, accessv1alpha1.ReasonProvisioned)
	}
	const members, editors = "Entitlement members ann@example.com", "Entitlement editors ann@example.com"
	want := []string{"Add" + members, "Add" + editors, "Remove" + members, "Remove" + editors, "Add" + members, "Add" + editors, "Remove" + members}
	if diff := cmp.Diff(want, fake.Changes()); diff != "" {
		t.Error(diff)
	}
}

func TestWhatWasGrantedAndRemovedBeforeItCouldBeDoneIsNeverGranted(t *testing.T) {
	r, fake := newRig(t)
	removal := withType(accessv1alpha1.RequestTypeRemoveAccess)
	grants := []*accessv1alpha1.AccessTask{r.task(), nil}
	removals := []*accessv1alpha1.AccessTask{r.task(removal), nil}
	grants[1], removals[1] = r.task(), r.task(removal, withLevel(nil))
	newest := r.task(withLevel(nil))
	r.until(newest, accessv1alpha1.ReasonNoConnector)
	r.connector("a")
	for i := range grants {
		r.until(grants[i], accessv1alpha1.ReasonSuperseded)
		r.until(removals[i], accessv1alpha1.ReasonAlreadyProvisioned)
	}
	r.until(newest, accessv1alpha1.ReasonProvisioned)
	if diff := cmp.Diff([]string{"AddEntitlement members ann@example.com"}, fake.Changes()); diff != "" {
		t.Error(diff)
	}
}

func TestARevocationOvertakesAGrantThatFails(t *testing.T) {
	r, fake := newRig(t)
	var away atomic.Bool
	away.Store(true)
	fake.Fail = func(op string, _ provisioning.Subject) error {
		if away.Load() && op == "AddEntitlement" {
			return provisioning.Retryable(errors.New("503"))
		}
		return nil
	}
	r.connector("a", func(c *accessv1alpha1.Connector) { c.Spec.Retry.MaxAttempts = 1000 })
	grant := r.task(func(t *accessv1alpha1.AccessTask) { t.Spec.ReceivedTime = new(metav1.NewMicroTime(time.Now())) })
	r.until(grant, accessv1alpha1.ReasonRetrying)
	removal := r.task(withType(accessv1alpha1.RequestTypeRemoveAccess), func(t *accessv1alpha1.AccessTask) { t.Spec.ReceivedTime = new(metav1.NewMicroTime(time.Now())) })
	r.until(removal, accessv1alpha1.ReasonAlreadyProvisioned)
	away.Store(false)
	r.until(grant, accessv1alpha1.ReasonSuperseded)
	if got := fake.Members("editors"); len(got) != 1 {
		t.Error("access was given after it was revoked: ", got)
	}
}

func TestFailedAttemptsAreRepeatedThenGivenUp(t *testing.T) {
	r, fake := newRig(t)
	var attempts atomic.Int32
	seen := make(chan struct{})
	fake.Fail = func(op string, _ provisioning.Subject) error {
		if op != "AddEntitlement" || attempts.Add(1) > 2 {
			return nil
		}
		if attempts.Load() == 2 {
			// Until the first failure was looked at.
			<-seen
		}
		return provisioning.Retryable(errors.New("503"))
	}
	r.connector("a", func(c *accessv1alpha1.Connector) { c.Spec.Retry.MaxAttempts, c.Spec.Retry.MaxDelaySeconds = 2, 1 })
	task := r.task()
	r.eventually(func() error {
		got := &accessv1alpha1.AccessTask{}
		if err := r.Get(t.Context(), client.ObjectKeyFromObject(task), got); err != nil {
			return err
		}
		reason := reasonOf(&got.Status)
		if valueOr(got.Status.Attempts, 0) == 0 || (reason != accessv1alpha1.ReasonRetrying && reason != accessv1alpha1.ReasonProvisioning) ||
			(reason == accessv1alpha1.ReasonRetrying && got.Status.NextAttemptTime == nil) {
			return fmt.Errorf("status %+v", got.Status)
		}
		return nil
	})
	close(seen)
	got := r.until(task, accessv1alpha1.ReasonRetriesExhausted)
	if *got.Status.Attempts != 2 || stalledReason(&got.Status) != accessv1alpha1.ReasonRetriesExhausted || got.Status.CompletionTime == nil {
		t.Errorf("status %+v", got.Status)
	}
	if diff := cmp.Diff([]string{"AddEntitlement editors Planned"}, changesOf(got)); diff != "" {
		t.Error(diff)
	}

	// A person starts it over.
	r.annotate(task, accessv1alpha1.AnnotationRetry, "1")
	got = r.until(task, accessv1alpha1.ReasonProvisioned)
	if *got.Status.Attempts != 1 || got.Status.LastHandledRetry != "1" || stalledReason(&got.Status) != "" {
		t.Errorf("status %+v", got.Status)
	}
}

func TestARemovalIsNeverGivenUp(t *testing.T) {
	r, fake := newRig(t)
	var away atomic.Bool
	away.Store(true)
	fake.Fail = func(op string, _ provisioning.Subject) error {
		if away.Load() && op == "RemoveEntitlement" {
			return provisioning.Retryable(errors.New("503"))
		}
		return nil
	}
	r.connector("a", func(c *accessv1alpha1.Connector) {
		c.Spec.Retry.MaxAttempts, c.Spec.Retry.MaxDelaySeconds, c.Spec.Retry.DeadlineSeconds = 1000, 1, 1
	})
	task := r.task(withType(accessv1alpha1.RequestTypeRemoveAccess), forUser("bob@example.com"))
	r.eventually(func() error {
		got := r.until(task, accessv1alpha1.ReasonRetrying)
		if stalledReason(&got.Status) != accessv1alpha1.ReasonDeadlineExceeded || meta.FindStatusCondition(got.Status.Conditions, accessv1alpha1.ConditionReconciling) != nil {
			return fmt.Errorf("conditions %+v", got.Status.Conditions)
		}
		return nil
	})
	away.Store(false)
	r.until(task, accessv1alpha1.ReasonProvisioned)
	if got := fake.Members("editors"); len(got) > 0 {
		t.Error(got)
	}
}

func TestATaskWithoutAConnectorWakesWhenThereIsOne(t *testing.T) {
	r, _ := newRig(t)
	task := r.task()
	r.until(task, accessv1alpha1.ReasonNoConnector)
	a := r.connector("a")
	r.until(task, accessv1alpha1.ReasonProvisioned)

	// Two that fit equally well: nothing is done until one gives way.
	r.target("b")
	b := r.ready(r.connector("b"), metav1.ConditionTrue, accessv1alpha1.ReasonProbed)
	other := r.task(withType(accessv1alpha1.RequestTypeRemoveAccess))
	r.until(other, accessv1alpha1.ReasonAmbiguousConnector)
	if err := r.Delete(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	got := r.until(other, accessv1alpha1.ReasonProvisioned)
	if got.Status.ConnectorRef.Name != a.Name {
		t.Error(got.Status.ConnectorRef)
	}
}

func TestSuspendHoldsBack(t *testing.T) {
	r, fake := newRig(t)
	c := r.connector("a", func(c *accessv1alpha1.Connector) { c.Spec.Suspend = new(true) })
	task := r.task()
	r.until(task, accessv1alpha1.ReasonSuspended)
	r.patch(task, `{"suspend":true}`)
	r.patch(c, `{"suspend":false}`)
	r.eventually(func() error {
		if got := r.until(task, accessv1alpha1.ReasonSuspended); message(got) != "spec.suspend of the task is true" {
			return errors.New(message(got))
		}
		return nil
	})
	if len(fake.Changes()) > 0 {
		t.Error(fake.Changes())
	}
	r.patch(task, `{"suspend":false}`)
	r.until(task, accessv1alpha1.ReasonProvisioned)
}

func TestADryRunShowsThePlanAndChangesNothing(t *testing.T) {
	r, fake := newRig(t)
	c := r.connector("a", func(c *accessv1alpha1.Connector) { c.Spec.DryRun = new(true) })
	task := r.task()
	if diff := cmp.Diff([]string{"AddEntitlement editors Planned"}, changesOf(r.until(task, accessv1alpha1.ReasonDryRun))); diff != "" {
		t.Error(diff)
	}
	if len(fake.Changes()) > 0 {
		t.Error(fake.Changes())
	}
	// Somebody else makes the change that was only planned: the operator must not claim it.
	fake.Join("editors", "ann@example.com")
	r.patch(c, `{"dryRun":false}`)
	if got := r.until(task, accessv1alpha1.ReasonAlreadyProvisioned); len(got.Status.Changes) > 0 {
		t.Error(got.Status.Changes)
	}
}

func TestAManualConnectorWaitsForAPerson(t *testing.T) {
	r, _ := newRig(t)
	r.ready(r.connector("m", func(c *accessv1alpha1.Connector) {
		c.Spec.SCIM, c.Spec.PermissionLevels = nil, nil
		c.Spec.Manual = &accessv1alpha1.ManualBackend{Instructions: "call Jane"}
	}), metav1.ConditionTrue, accessv1alpha1.ReasonNoProbeNeeded)
	task := r.task(func(t *accessv1alpha1.AccessTask) { t.Spec.TTLSecondsAfterFinished = new(int32(1)) })
	if got := r.until(task, accessv1alpha1.ReasonWaitingForPerson); message(got) != "call Jane" || got.Status.Backend != "manual" {
		t.Errorf("status %+v", got.Status)
	}
	r.annotate(task, accessv1alpha1.AnnotationComplete, "jane: done")
	// It is completed, and deleted when its time to be kept is over.
	r.eventually(func() error {
		got := &accessv1alpha1.AccessTask{}
		if err := r.Get(t.Context(), client.ObjectKeyFromObject(task), got); !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is still there: %s, %w", reasonOf(&got.Status), err)
		}
		return nil
	})
}

func TestARestartBetweenTwoChangesEndsInTheSameState(t *testing.T) {
	r, fake := newRig(t)
	r.connector("a", func(c *accessv1alpha1.Connector) {
		c.Spec.PermissionLevels = []accessv1alpha1.PermissionLevelMapping{{Name: "Editor", Entitlements: []string{"members", "editors"}}}
	})
	halfway := make(chan struct{})
	arrived := sync.OnceFunc(func() { close(halfway) })
	ended := make(chan struct{})
	fake.FailAfter = func(string, provisioning.Subject) error {
		// The first change is made, and the process dies before it hears of it.
		arrived()
		<-ended
		return errors.New("the process is gone")
	}
	task := r.task()
	<-halfway
	before := r.until(task, accessv1alpha1.ReasonProvisioning)
	if diff := cmp.Diff([]string{"AddEntitlement members Planned", "AddEntitlement editors Planned"}, changesOf(before)); diff != "" {
		t.Error(diff)
	}
	go func() { time.Sleep(100 * time.Millisecond); close(ended) }()
	r.stop()
	fake.FailAfter = nil
	r.start()
	after := r.until(task, accessv1alpha1.ReasonProvisioned)
	if diff := cmp.Diff([]string{"AddEntitlement members Applied", "AddEntitlement editors Applied"}, changesOf(after)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"AddEntitlement members ann@example.com", "AddEntitlement editors ann@example.com"}, fake.Changes()); diff != "" {
		t.Error("made twice or not at all: ", diff)
	}
}

func TestAThousandTasksOfASlowTargetHoldUpNobodyElse(t *testing.T) {
	r, slow := newRig(t)
	r.ready(r.connector("a"), metav1.ConditionTrue, accessv1alpha1.ReasonProbed)
	release := make(chan struct{})
	slow.Fail = func(op string, _ provisioning.Subject) error {
		if op == "observe" {
			<-release
		}
		return nil
	}
	t.Cleanup(func() { close(release) })
	var create sync.WaitGroup
	for i := range 10 {
		create.Go(func() {
			for j := range 100 {
				r.task(forUser(fmt.Sprintf("user%d@example.com", 100*i+j)))
			}
		})
	}
	create.Wait()
	r.target("b")
	r.connector("b", func(c *accessv1alpha1.Connector) {
		c.Spec.Match.WorkApps = []accessv1alpha1.WorkAppMatch{{Name: "Slack"}}
	})
	r.until(r.task(func(t *accessv1alpha1.AccessTask) {
		t.Spec.Request.TargetWorkApp = &accessv1alpha1.NamedObject{Name: "Slack"}
	}), accessv1alpha1.ReasonProvisioned)
}

func TestWhatTheTargetDoesNotShowIsUnverifiable(t *testing.T) {
	r, fake := newRig(t)
	fake.Hidden = true
	r.connector("a")
	task := r.until(r.task(), accessv1alpha1.ReasonProvisioned)
	if c := meta.FindStatusCondition(task.Status.Conditions, accessv1alpha1.ConditionProvisioned); c == nil || c.Status != metav1.ConditionTrue || c.Reason != accessv1alpha1.ReasonUnverifiable {
		t.Errorf("%+v", c)
	}
	if diff := cmp.Diff([]string{"AddEntitlement editors Unverifiable"}, changesOf(task)); diff != "" {
		t.Error(diff)
	}
}

func TestAnArchiveTakesEverybodysAccessWhereAConnectorListsIt(t *testing.T) {
	r, fake := newRig(t)
	forEverybody := func(kind string) func(*accessv1alpha1.AccessTask) {
		return func(t *accessv1alpha1.AccessTask) {
			t.Spec.Request.Type, t.Spec.Request.TargetUser, t.Spec.Request.PermissionLevel = kind, nil, nil
		}
	}
	r.until(r.task(forEverybody(accessv1alpha1.RequestTypeArchiveWorkApp)), accessv1alpha1.ReasonUnsupported)
	c := r.connector("a", func(c *accessv1alpha1.Connector) {
		c.Spec.DryRun = new(true)
		c.Spec.Match.RequestTypes = []accessv1alpha1.RequestType{accessv1alpha1.RequestTypeArchiveWorkApp, accessv1alpha1.RequestTypeAddNewManagedWorkApp}
	})
	archive := r.task(forEverybody(accessv1alpha1.RequestTypeArchiveWorkApp))
	if got := message(r.until(archive, accessv1alpha1.ReasonDryRun)); !strings.Contains(got, `RemoveAllMembers "editors" (1 members)`) {
		t.Error(got)
	}
	r.patch(c, `{"dryRun":false}`)
	r.until(archive, accessv1alpha1.ReasonProvisioned)
	if left := append(fake.Members("editors"), fake.Members("members")...); len(left) > 0 {
		t.Error(left)
	}
	fake.DeleteGroup("editors")
	prepare := r.until(r.task(forEverybody(accessv1alpha1.RequestTypeAddNewManagedWorkApp)), accessv1alpha1.ReasonProvisioned)
	if diff := cmp.Diff([]string{"CreateEntitlement editors Applied"}, changesOf(prepare)); diff != "" {
		t.Error(diff)
	}
}

func TestAFailedAttemptIsDueAtOnceWhenTheSecretIsChanged(t *testing.T) {
	r, fake := newRig(t)
	var away atomic.Bool
	away.Store(true)
	fake.Fail = func(op string, _ provisioning.Subject) error {
		if away.Load() && op == "AddEntitlement" {
			return provisioning.Retryable(errors.New("503"))
		}
		return nil
	}
	r.connector("a", func(c *accessv1alpha1.Connector) {
		c.Spec.Retry.MinDelaySeconds, c.Spec.Retry.MaxDelaySeconds = 900, 900
	})
	task := r.task()
	r.until(task, accessv1alpha1.ReasonRetrying)
	away.Store(false)
	// The Connector is Ready all the time: nothing but the changed Secret can wake the task.
	r.targets.revision.Add(1)
	r.until(task, accessv1alpha1.ReasonProvisioned)
}
