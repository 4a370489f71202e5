// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
	"getcakewalk.io/access-operator/internal/provisioning"
)

var boss = cakewalk.User{ID: "c1b264ce-29bf-47f3-973a-e0f0187e430f", Email: "boss@example.com", FullName: "Boss"}

func TestATaskIsConfirmedProvisionedAndApprovedInThreeStatusWrites(t *testing.T) {
	r := newCakewalkRig(t)
	writes, err := r.Watch(t.Context(), &accessv1alpha1.AccessTaskList{}, client.InNamespace(r.namespace))
	if err != nil {
		t.Fatal(err)
	}
	defer writes.Stop()
	id := r.request()
	task := r.reported(r.announced(id), metav1.ConditionTrue, accessv1alpha1.ReasonApproved)
	if n := r.modifications(writes, task); n != 3 {
		t.Errorf("%d status writes, want 3", n)
	}
	if diff := cmp.Diff([]string{"GET", "GET", "POST/Approve"}, r.asked(id)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"AddEntitlement editors Applied"}, changesOf(task)); diff != "" {
		t.Error(diff)
	}
	known, _ := r.fake.Task(id)
	s := task.Status
	if !known.ClosedByAPI || known.Status != cakewalktest.StatusApproved || s.Purpose != "To edit." ||
		!s.TaskCreationTime.Time.Equal(known.CreatedAt) || s.LastCheckTime == nil {
		t.Errorf("Cakewalk has %+v, the task %+v", known, s)
	}
	if !meta.IsStatusConditionTrue(s.Conditions, accessv1alpha1.ConditionChecked) {
		t.Errorf("conditions %+v", s.Conditions)
	}
}

func TestWhatCakewalkDoesNotConfirmChangesNothing(t *testing.T) {
	const other = "00000000-0000-4000-8000-000000000000"
	request := func(change func(*cakewalktest.Request)) func(*cakewalkRig, string) {
		return func(r *cakewalkRig, id string) {
			r.fake.Change(id, func(task *cakewalktest.Task) { change(task.Request) })
		}
	}
	tests := map[string]struct {
		change func(*cakewalkRig, string)
		reason string
	}{
		"approved by a person": {func(r *cakewalkRig, id string) { r.fake.Approve(id, boss) }, accessv1alpha1.ReasonCompletedByPerson},
		"declined":             {func(r *cakewalkRig, id string) { r.fake.Decline(id, boss) }, accessv1alpha1.ReasonCancelled},
		"cancelled":            {func(r *cakewalkRig, id string) { r.fake.Cancel(id, boss) }, accessv1alpha1.ReasonCancelled},
		"unknown":              {func(r *cakewalkRig, id string) { r.fake.Remove(id) }, accessv1alpha1.ReasonRejected},
		"taken by Cakewalk's agent": {func(r *cakewalkRig, id string) {
			r.fake.Change(id, func(task *cakewalktest.Task) { task.Autoprovisioning = true })
		}, accessv1alpha1.ReasonHandledByCakewalk},
		"a review": {func(r *cakewalkRig, id string) {
			r.fake.Change(id, func(task *cakewalktest.Task) { task.Review = true })
		}, accessv1alpha1.ReasonRejected},
		"for another user":       {request(func(q *cakewalktest.Request) { q.TargetUser = &cakewalk.User{ID: other} }), accessv1alpha1.ReasonRejected},
		"in another application": {request(func(q *cakewalktest.Request) { q.WorkApp = &cakewalk.NamedObject{ID: other} }), accessv1alpha1.ReasonRejected},
		"for another level":      {request(func(q *cakewalktest.Request) { q.Level = &cakewalk.NamedObject{ID: other} }), accessv1alpha1.ReasonRejected},
		"of another type":        {request(func(q *cakewalktest.Request) { q.Type = accessv1alpha1.RequestTypeRemoveAccess }), accessv1alpha1.ReasonRejected},
	}
	r := newCakewalkRig(t, func(*accessv1alpha1.CakewalkAPI) {})
	n := 0
	for name, tc := range tests {
		n++
		id := r.request(func(task *cakewalktest.Task) {
			task.Request.TargetUser = &cakewalk.User{ID: fmt.Sprintf("00000000-0000-4000-9000-%012d", n), Email: fmt.Sprintf("u%d@example.com", n)}
		})
		r.target.Set(fmt.Sprintf("u%d@example.com", n), provisioning.AccountActive)
		task := func() *accessv1alpha1.AccessTask {
			// Announced as it was, changed before it is read.
			paused := r.announced(id, func(task *accessv1alpha1.AccessTask) { task.Spec.Suspend = new(true) })
			r.until(paused, accessv1alpha1.ReasonSuspended)
			tc.change(r, id)
			r.patch(paused, `{"suspend":false}`)
			return r.until(paused, tc.reason)
		}()
		if c := meta.FindStatusCondition(task.Status.Conditions, accessv1alpha1.ConditionChecked); c == nil || c.Status != metav1.ConditionFalse || c.Reason != tc.reason {
			t.Errorf("%s: Checked is %+v", name, c)
		}
		if len(task.Status.Changes) > 0 {
			t.Errorf("%s: changes %v", name, task.Status.Changes)
		}
	}
	if changes := r.target.Changes(); len(changes) > 0 {
		t.Error("the target system was changed: ", changes)
	}
	for _, q := range r.fake.Requests() {
		if q.Method != http.MethodGet {
			t.Errorf("%s %s", q.Method, q.Path)
		}
	}
}

// Whoever knows the secret of the webhooks can announce an open task first, with its ids and names of their own.
func TestATaskWithTheRightIDsAndOtherNamesChangesNothing(t *testing.T) {
	r := newCakewalkRig(t)
	r.target.Set("mallory@example.com", provisioning.AccountActive)
	id := func(n int) string { return fmt.Sprintf("00000000-0000-4000-9000-%012d", n) }
	tests := map[string]struct {
		known  func(*cakewalktest.Request)
		forged func(*accessv1alpha1.AccessRequest)
		says   string
	}{
		"another email": {
			known:  func(q *cakewalktest.Request) { q.TargetUser = &cakewalk.User{ID: id(1), Email: "ann@example.com"} },
			forged: func(q *accessv1alpha1.AccessRequest) { q.TargetUser.Email = "mallory@example.com" },
			says:   "email",
		},
		"another application": {
			known:  func(q *cakewalktest.Request) { q.WorkApp = &cakewalk.NamedObject{ID: id(2), Name: "Canteen"} },
			forged: func(q *accessv1alpha1.AccessRequest) { q.TargetWorkApp.Name = "Google Workspace" },
			says:   "work app",
		},
		"another level": {
			known: func(q *cakewalktest.Request) {
				q.WorkApp, q.Level = &cakewalk.NamedObject{ID: id(3), Name: "Google Workspace"}, &cakewalk.NamedObject{ID: id(4), Name: "Viewer"}
			},
			forged: func(q *accessv1alpha1.AccessRequest) { q.PermissionLevel.Name = "Editor" },
			says:   "permission level",
		},
	}
	for name, tc := range tests {
		known := r.request(func(task *cakewalktest.Task) { tc.known(task.Request) })
		task := r.until(r.announced(known, func(task *accessv1alpha1.AccessTask) { tc.forged(task.Spec.Request) }), accessv1alpha1.ReasonRejected)
		if !strings.Contains(message(task), tc.says) {
			t.Errorf("%s: %s", name, message(task))
		}
	}
	if changes := r.target.Changes(); len(changes) > 0 {
		t.Error("the target system was changed: ", changes)
	}
}

func TestAPersonWhoWasRenamedIsAskedAboutAgain(t *testing.T) {
	r := newCakewalkRig(t)
	r.until(r.announced(r.request()), accessv1alpha1.ReasonProvisioned)
	renamed := r.request(func(task *cakewalktest.Task) { task.Request.TargetUser.Email = "bob@example.com" })
	r.until(r.announced(renamed), accessv1alpha1.ReasonAlreadyProvisioned)
}

func TestWhileCakewalkIsAway(t *testing.T) {
	t.Run("what needs its confirmation waits", func(t *testing.T) {
		r := newCakewalkRig(t)
		back := r.fake.Inject(cakewalktest.Fault{Status: http.StatusServiceUnavailable})
		task := r.announced(r.request())
		r.until(task, accessv1alpha1.ReasonWaitingForCakewalk)
		if changes := r.target.Changes(); len(changes) > 0 {
			t.Error("changed: ", changes)
		}
		back()
		r.reported(task, metav1.ConditionTrue, accessv1alpha1.ReasonApproved)
	})
	t.Run("what is done as well as it can says so", func(t *testing.T) {
		r := newCakewalkRig(t, func(a *accessv1alpha1.CakewalkAPI) { a.Preflight = accessv1alpha1.PreflightBestEffort })
		back := r.fake.Inject(cakewalktest.Fault{Away: true})
		task := r.until(r.announced(r.request()), accessv1alpha1.ReasonProvisioned)
		if c := meta.FindStatusCondition(task.Status.Conditions, accessv1alpha1.ConditionChecked); c == nil || c.Status != metav1.ConditionUnknown || c.Reason != accessv1alpha1.ReasonUnreachable {
			t.Errorf("Checked is %+v", c)
		}
		back()
		r.reported(task, metav1.ConditionTrue, accessv1alpha1.ReasonApproved)
	})
	t.Run("a limit is waited for all the same", func(t *testing.T) {
		r := newCakewalkRig(t, func(a *accessv1alpha1.CakewalkAPI) { a.Preflight = accessv1alpha1.PreflightBestEffort })
		back := r.fake.Inject(cakewalktest.Fault{Status: http.StatusTooManyRequests, RetryAfter: 30})
		task := r.announced(r.request())
		r.until(task, accessv1alpha1.ReasonWaitingForCakewalk)
		back()
		r.until(task, accessv1alpha1.ReasonProvisioned)
	})
	t.Run("nobody asks who was told not to", func(t *testing.T) {
		r := newCakewalkRig(t, func(a *accessv1alpha1.CakewalkAPI) {
			a.Preflight, a.OnSuccess = accessv1alpha1.PreflightDisabled, accessv1alpha1.OnSuccessNone
		})
		id := r.request()
		task := r.until(r.announced(id), accessv1alpha1.ReasonProvisioned)
		if got := r.asked(id); len(got) > 0 || meta.FindStatusCondition(task.Status.Conditions, accessv1alpha1.ConditionReported) != nil {
			t.Errorf("asked %v, conditions %+v", got, task.Status.Conditions)
		}
	})
}

func TestARetryAfterAMinuteAsksCakewalkAgain(t *testing.T) {
	r := newCakewalkRig(t)
	r.patch(&accessv1alpha1.Connector{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: "a"}},
		`{"retry":{"maxAttempts":100,"minDelaySeconds":20,"maxDelaySeconds":20}}`)
	r.fail(provisioning.Retryable(errors.New("busy")), 1000)
	id := r.request()
	task := r.until(r.announced(id), accessv1alpha1.ReasonRetrying)
	for attempts := int32(1); attempts < 3; {
		r.pass(time.Second, time.Second)
		if err := r.Get(t.Context(), client.ObjectKeyFromObject(task), task); err != nil {
			t.Fatal(err)
		}
		attempts = *task.Status.Attempts
	}
	if got := r.asked(id); len(got) != 1 {
		t.Errorf("asked %v within a minute", got)
	}
	r.fake.Cancel(id, boss)
	at := r.time.Now()
	task = r.until(task, accessv1alpha1.ReasonCancelled)
	if after := task.Status.CompletionTime.Sub(at); after > lookAgainAfter/2 {
		t.Errorf("it was not a retry that asked: %s after it was cancelled", after)
	}
	if len(r.target.Changes()) > 0 {
		t.Error("changed: ", r.target.Changes())
	}
}

func TestAReportIsRepeatedAndTheChangeIsNot(t *testing.T) {
	approve := func(id string) func(*http.Request) bool { return cakewalktest.On("POST", "/Tasks/"+id+"/Approve") }
	t.Run("after an answer that was lost", func(t *testing.T) {
		r := newCakewalkRig(t)
		id := r.request()
		r.fake.Inject(cakewalktest.Fault{Match: approve(id), Times: 1, LoseAnswer: true})
		task := r.reported(r.announced(id), metav1.ConditionTrue, accessv1alpha1.ReasonAlreadyApproved)
		if diff := cmp.Diff([]string{"GET", "GET", "POST/Approve", "GET"}, r.asked(id)); diff != "" {
			t.Error(diff)
		}
		r.unchanged(task)
	})
	t.Run("after somebody else was first", func(t *testing.T) {
		r := newCakewalkRig(t)
		id := r.request()
		r.fake.Inject(cakewalktest.Fault{Match: approve(id), Times: 1, Status: http.StatusConflict})
		r.unchanged(r.reported(r.announced(id), metav1.ConditionTrue, accessv1alpha1.ReasonAlreadyApproved))
	})
	t.Run("with a key that may write at last", func(t *testing.T) {
		r := newCakewalkRig(t)
		r.fake.SetReadOnly(true)
		task := r.reported(r.announced(r.request()), metav1.ConditionUnknown, accessv1alpha1.ReasonReadOnlyKey)
		r.fake.SetReadOnly(false)
		r.pass(time.Hour, time.Minute)
		r.unchanged(r.reported(task, metav1.ConditionTrue, accessv1alpha1.ReasonApproved))
	})
	t.Run("for a week", func(t *testing.T) {
		r := newCakewalkRig(t)
		id := r.request()
		r.fake.Inject(cakewalktest.Fault{Match: approve(id), Status: http.StatusBadGateway})
		task := r.reported(r.announced(id), metav1.ConditionUnknown, accessv1alpha1.ReasonUnreachable)
		r.pass(8*24*time.Hour, time.Hour)
		r.unchanged(r.reported(task, metav1.ConditionFalse, accessv1alpha1.ReasonReportAbandoned))
	})
}

// unchanged checks that the target system was changed once.
func (r *cakewalkRig) unchanged(task *accessv1alpha1.AccessTask) {
	r.t.Helper()
	if diff := cmp.Diff([]string{"AddEntitlement editors Applied"}, changesOf(task)); diff != "" {
		r.t.Error(diff)
	}
	if n := len(r.target.Changes()); n != 1 {
		r.t.Errorf("%d changes, want 1", n)
	}
}

func TestADeclineAfterTheChangeIsShown(t *testing.T) {
	r := newCakewalkRig(t)
	id := r.request()
	r.fake.Inject(cakewalktest.Fault{Match: cakewalktest.On("POST", "/Tasks/"+id+"/Approve"), Times: 1, Status: http.StatusBadGateway})
	task := r.until(r.announced(id), accessv1alpha1.ReasonProvisioned)
	r.eventually(func() error {
		if got := r.asked(id); len(got) < 3 {
			return fmt.Errorf("asked %v", got)
		}
		return nil
	})
	r.fake.Decline(id, boss)
	r.reported(task, metav1.ConditionFalse, accessv1alpha1.ReasonDeclined)
}

func TestAFailureIsDeclinedOnlyWhereThatIsConfigured(t *testing.T) {
	for name, tc := range map[string]struct {
		onFailure accessv1alpha1.CakewalkOnFailure
		want      string
	}{
		"left open by default": {"", cakewalktest.StatusPending},
		"declined":             {accessv1alpha1.OnFailureDecline, cakewalktest.StatusDeclined},
	} {
		t.Run(name, func(t *testing.T) {
			r := newCakewalkRig(t, func(a *accessv1alpha1.CakewalkAPI) { a.OnFailure = tc.onFailure })
			r.fail(provisioning.Permanent("Broken", errors.New("broken")), 1)
			id := r.request()
			task := r.until(r.announced(id), accessv1alpha1.ReasonPermanentError)
			if tc.onFailure != "" {
				r.reported(task, metav1.ConditionTrue, accessv1alpha1.ReasonDeclined)
			}
			r.pass(time.Minute, time.Second)
			if known, _ := r.fake.Task(id); known.Status != tc.want {
				t.Errorf("the task is %s in Cakewalk", known.Status)
			}
		})
	}
}

func TestATaskThatWaitsEndsWhenItIsClosedInCakewalk(t *testing.T) {
	r := newCakewalkRig(t)
	waiting := r.request(func(task *cakewalktest.Task) { task.Request.WorkApp = &cakewalk.NamedObject{Name: "Unknown"} })
	task := r.until(r.announced(waiting), accessv1alpha1.ReasonNoConnector)
	r.fail(provisioning.Permanent("Broken", errors.New("broken")), 1)
	stalled := r.request()
	failed := r.until(r.announced(stalled), accessv1alpha1.ReasonPermanentError)
	r.pass(time.Hour, 30*time.Second)
	if n := len(r.asked(waiting)); n < 4 || n > 6 {
		t.Errorf("asked %d times in an hour", n)
	}
	r.fake.Approve(waiting, boss)
	r.fake.Decline(stalled, boss)
	r.pass(11*time.Minute, 30*time.Second)
	task = r.until(task, accessv1alpha1.ReasonCompletedByPerson)
	if stalledReason(&task.Status) != "" || !reportedThere(&task.Status) {
		t.Errorf("conditions %+v", task.Status.Conditions)
	}
	failed = r.until(failed, accessv1alpha1.ReasonCancelled)
	if stalledReason(&failed.Status) != "" {
		t.Errorf("conditions %+v", failed.Status.Conditions)
	}
}

func TestCakewalksTimeOrdersTheTasksOfAPerson(t *testing.T) {
	r := newCakewalkRig(t)
	grant := r.request()
	r.time.Step(time.Minute)
	removal := r.request(func(task *cakewalktest.Task) {
		task.Request.Type, task.Request.Level = accessv1alpha1.RequestTypeRemoveAccess, nil
	})
	r.time.Step(time.Minute)
	r.until(r.announced(removal), accessv1alpha1.ReasonAlreadyProvisioned)
	// The grant's webhook comes late.
	r.time.Step(time.Minute)
	r.until(r.announced(grant), accessv1alpha1.ReasonSuperseded)
	if changes := r.target.Changes(); len(changes) > 0 {
		t.Error("changed: ", changes)
	}
}

func TestAnHourWithoutCakewalkIsCaughtUpWithinTheLimit(t *testing.T) {
	const tasks = 60
	r := newCakewalkRig(t)
	back := r.fake.Inject(cakewalktest.Fault{Away: true})
	var all []*accessv1alpha1.AccessTask
	for i := range tasks {
		email := fmt.Sprintf("u%d@example.com", i)
		r.target.Set(email, provisioning.AccountActive)
		all = append(all, r.announced(r.request(func(task *cakewalktest.Task) {
			task.Request.TargetUser = &cakewalk.User{ID: fmt.Sprintf("00000000-0000-4000-9000-%012d", i), Email: email}
		})))
	}
	r.pass(time.Hour, 5*time.Second)
	if changes := r.target.Changes(); len(changes) > 0 {
		t.Fatal("changed while Cakewalk was away: ", changes)
	}
	// One request finds out, not one of each task.
	if n := len(r.fake.Requests()); n > 60 {
		t.Errorf("%d requests in an hour without an answer", n)
	}
	back()
	for _, task := range all {
		r.reported(task, metav1.ConditionTrue, accessv1alpha1.ReasonApproved)
	}
	if n := len(r.target.Changes()); n != tasks {
		t.Errorf("%d changes, want %d", n, tasks)
	}
	if n := r.fake.MaxPerMinute(); n > 1000 {
		t.Errorf("%d requests in a minute", n)
	}
}
