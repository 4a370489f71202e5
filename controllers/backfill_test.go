// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/audit"
	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
	"getcakewalk.io/access-operator/internal/openapi"
)

var (
	olive = cakewalk.User{ID: "0a3f7c1e-0000-4000-8000-000000000001", Email: "olive@example.com", FullName: "Olive"}
	otto  = cakewalk.User{ID: "0a3f7c1e-0000-4000-8000-000000000002", Email: "otto@example.com", FullName: "Otto"}
	petra = cakewalk.User{ID: "0a3f7c1e-0000-4000-8000-000000000003", Email: "petra@example.com", FullName: "Petra"}
)

// backfillRig is a receiver whose tasks of olive and otto are looked through when the test says so.
type backfillRig struct {
	*receiverRig
	backfill *Backfill
	audit    auditLog
	receiver *accessv1alpha1.WebhookReceiver
}

func newBackfillRig(t *testing.T, change ...func(*accessv1alpha1.WebhookReceiver)) *backfillRig {
	t.Helper()
	r := &backfillRig{}
	r.receiverRig = newReceiverRig(t, func(_ *receiverRig, receiver *accessv1alpha1.WebhookReceiver) {
		receiver.Spec.Backfill = &accessv1alpha1.Backfill{UserIDs: []string{olive.ID, otto.ID}}
		for _, f := range change {
			f(receiver)
		}
		r.receiver = receiver
	})
	for _, user := range []cakewalk.User{olive, otto} {
		r.fake.AddUser(user)
	}
	r.lead(r.WithWatch)
	return r
}

// lead makes a backfill that remembers nothing, and writes with c.
func (r *backfillRig) lead(c client.Client) {
	r.t.Helper()
	clients, err := openapi.NewClients(r, prometheus.NewRegistry(), r.now.Now)
	if err != nil {
		r.t.Fatal(err)
	}
	r.recorder = events.NewFakeRecorder(5000)
	if r.backfill, err = NewBackfill(c, r, r.recorder, clients, audit.New(&r.audit, nil), prometheus.NewRegistry()); err != nil {
		r.t.Fatal(err)
	}
	r.backfill.Now = r.now.Now
	r.backfill.rounds[client.ObjectKeyFromObject(r.receiver)] = &backfillRounds{uid: r.receiver.UID}
}

// stored implements storedTasks by what the API server holds.
func (r *backfillRig) stored(ctx context.Context, receiver *accessv1alpha1.WebhookReceiver) (names map[string]bool, unfinished int, err error) {
	var list accessv1alpha1.AccessTaskList
	if err := r.List(ctx, &list, client.InNamespace(receiver.Namespace)); err != nil {
		return nil, 0, err
	}
	names = map[string]bool{}
	for i := range list.Items {
		names[list.Items[i].Name] = true
		if ref := list.Items[i].Spec.ReceiverRef; ref != nil && ref.Name == receiver.Name && !finished(&list.Items[i].Status) {
			unfinished++
		}
	}
	return names, unfinished, nil
}

// request adds a task to Cakewalk that is assigned to olive, and lets the time for its webhook pass.
func (r *backfillRig) request(change ...func(*cakewalktest.Task)) string {
	task := cakewalktest.Task{AssignedTo: []cakewalk.User{olive}, Request: &cakewalktest.Request{
		Type:        accessv1alpha1.RequestTypeGrantAccess,
		RequestedBy: &cakewalk.User{ID: petra.ID, Email: petra.Email, FullName: petra.FullName},
		TargetUser:  &cakewalk.User{ID: "1934ea57-962f-41de-bf2c-ba2c288e7f68", Email: "ann@example.com", FullName: "Ann"},
		WorkApp:     &cakewalk.NamedObject{ID: appID, Name: "Google Workspace"},
		Level:       &cakewalk.NamedObject{ID: levelID, Name: "Editor"},
	}}
	for _, c := range change {
		c(&task)
	}
	id := r.fake.AddTask(task)
	r.now.Step(webhookDue)
	return id
}

// round makes a round.
func (r *backfillRig) round() {
	r.t.Helper()
	if err := r.Get(r.t.Context(), client.ObjectKeyFromObject(r.receiver), r.receiver); err != nil {
		r.t.Fatal(err)
	}
	r.backfill.visit(r.t.Context(), r.receiver)
	if err := r.Get(r.t.Context(), client.ObjectKeyFromObject(r.receiver), r.receiver); err != nil {
		r.t.Fatal(err)
	}
}

func (r *backfillRig) tasks() map[string]accessv1alpha1.AccessTask {
	r.t.Helper()
	var list accessv1alpha1.AccessTaskList
	if err := r.List(r.t.Context(), &list, client.InNamespace(r.namespace)); err != nil {
		r.t.Fatal(err)
	}
	all := map[string]accessv1alpha1.AccessTask{}
	for _, task := range list.Items {
		all[task.Name] = task
	}
	return all
}

// counted checks the counts by outcome. Those that are not given are 0.
func (r *backfillRig) counted(want map[backfillOutcome]int) {
	r.t.Helper()
	got := map[backfillOutcome]int{}
	for _, o := range backfillOutcomes {
		if n := int(testutil.ToFloat64(r.backfill.found.WithLabelValues(r.namespace, "cakewalk", string(o)))); n > 0 {
			got[o] = n
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Error(diff)
	}
}

func (r *backfillRig) finishedRound() bool {
	return r.receiver.Status.LastBackfillTime != nil && r.receiver.Status.LastBackfillTime.Time.Equal(r.now.Now())
}

func TestALostWebhookIsFound(t *testing.T) {
	r := newBackfillRig(t, func(receiver *accessv1alpha1.WebhookReceiver) {
		receiver.Spec.TaskTTLSecondsAfterFinished = new(int32(86400))
	})
	id := r.request()
	r.round()
	task, ok := r.tasks()[id]
	if !ok || len(r.tasks()) != 1 {
		t.Fatalf("%d tasks", len(r.tasks()))
	}
	want := accessv1alpha1.AccessTaskSpec{
		TaskID: id, ReceivedTime: task.Spec.ReceivedTime, ReceiverRef: &accessv1alpha1.WebhookReceiverReference{Name: "cakewalk"},
		AssignedTo:              []accessv1alpha1.User{{ID: olive.ID, Email: olive.Email, FullName: olive.FullName}},
		TTLSecondsAfterFinished: new(int32(86400)),
		Request: &accessv1alpha1.AccessRequest{
			Type:            accessv1alpha1.RequestTypeGrantAccess,
			RequestedBy:     &accessv1alpha1.User{ID: petra.ID, Email: petra.Email, FullName: petra.FullName},
			TargetUser:      &accessv1alpha1.User{ID: "1934ea57-962f-41de-bf2c-ba2c288e7f68", Email: "ann@example.com", FullName: "Ann"},
			TargetWorkApp:   &accessv1alpha1.NamedObject{ID: appID, Name: "Google Workspace"},
			PermissionLevel: &accessv1alpha1.NamedObject{ID: levelID, Name: "Editor"},
		},
	}
	if diff := cmp.Diff(want, task.Spec); diff != "" {
		t.Error(diff)
	}
	if got := task.Labels[accessv1alpha1.LabelFoundBy]; got != accessv1alpha1.FoundByBackfill || task.Labels[accessv1alpha1.LabelReceiver] != "cakewalk" ||
		task.Annotations[accessv1alpha1.AnnotationPreflight] == "" || !task.Spec.ReceivedTime.Time.Equal(r.now.Now()) {
		t.Errorf("%+v", task.ObjectMeta)
	}
	if !r.finishedRound() {
		t.Error(r.receiver.Status.LastBackfillTime)
	}
	if told := r.told(); strings.Count(told, "Warning FoundByBackfill") != 2 {
		t.Error(told)
	}
	if line := r.audit.text.String(); !strings.Contains(line, `"event":"TaskFound"`) || !strings.Contains(line, `"outcome":"stored"`) || !strings.Contains(line, id) {
		t.Error(line)
	}
	// Twice is once, also for a new leader.
	r.round()
	r.counted(map[backfillOutcome]int{backfillFound: 1})
	r.lead(r.WithWatch)
	r.round()
	r.counted(map[backfillOutcome]int{})
	if len(r.tasks()) != 1 || r.told() != "" {
		t.Error("it is found again")
	}
}

func TestTasksThatAreNotMissed(t *testing.T) {
	r := newBackfillRig(t)
	r.request(func(task *cakewalktest.Task) { task.AssignedTo = []cakewalk.User{petra} })
	r.request(func(task *cakewalktest.Task) { task.Review = true })
	r.request(func(task *cakewalktest.Task) { task.Autoprovisioning = true })
	r.fake.Cancel(r.request(), petra)
	r.fake.Approve(r.request(), olive)
	// Cancelled after the list was read: the list does not tell, the task does.
	late := r.request()
	r.fake.Inject(cakewalktest.Fault{
		Match: cakewalktest.On(http.MethodGet, "/Tasks/"+late),
		Body:  fmt.Sprintf(`{"data":{"id":%q,"status":"Pending","isActionStep":true,"request":{"cancelledByUserId":%q}}}`, late, petra.ID),
	})
	// Stored by a webhook.
	stored := r.request()
	task := newTask(func(task *accessv1alpha1.AccessTask) {
		task.Namespace, task.Name, task.Spec.TaskID, task.Generation = r.namespace, stored, stored, 0
	})
	if err := r.Create(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	// Made a moment ago.
	young := r.fake.AddTask(cakewalktest.Task{AssignedTo: []cakewalk.User{olive}, Request: &cakewalktest.Request{TargetUser: &petra}})
	r.round()
	if got := r.tasks(); len(got) != 1 || got[stored].Labels[accessv1alpha1.LabelFoundBy] != "" {
		t.Errorf("%d tasks: %v", len(got), got)
	}
	r.counted(map[backfillOutcome]int{})
	if !r.finishedRound() {
		t.Error(r.receiver.Status.LastBackfillTime)
	}
	r.now.Step(webhookDue)
	r.round()
	if _, ok := r.tasks()[young]; !ok {
		t.Error("a task whose webhook had its time is not found")
	}
}

func TestATaskOfTwoUsersIsFoundOnceAndTasksInTheirOrder(t *testing.T) {
	r := newBackfillRig(t)
	var ids []string
	for i := range 5 {
		ids = append(ids, r.request(func(task *cakewalktest.Task) {
			task.AssignedTo = []cakewalk.User{olive, otto}
			if i%2 == 0 {
				task.AssignedTo = []cakewalk.User{otto}
			}
		}))
	}
	r.round()
	r.counted(map[backfillOutcome]int{backfillFound: 5})
	tasks := r.tasks()
	for i := 1; i < len(ids); i++ {
		before, after := tasks[ids[i-1]], tasks[ids[i]]
		if !before.Spec.ReceivedTime.Time.Before(after.Spec.ReceivedTime.Time) {
			t.Errorf("task %d is not before task %d", i-1, i)
		}
	}
	// What is the same in all is read once.
	asked := map[string]int{}
	for _, q := range r.fake.Requests() {
		if !strings.Contains(q.Path, "/Tasks") {
			asked[q.Path]++
		}
	}
	for path, n := range asked {
		if n != 1 {
			t.Errorf("%s is read %d times", path, n)
		}
	}
	if len(asked) != 4 {
		t.Error(asked)
	}
}

func TestTasksThatCannotBeReadAreLeftToAPerson(t *testing.T) {
	r := newBackfillRig(t)
	// A target of its own, so that the others can be read.
	gone := r.request(func(task *cakewalktest.Task) {
		task.Request.TargetUser = &cakewalk.User{ID: "0a3f7c1e-0000-4000-8000-0000000000ff", Email: "gone@example.com"}
	})
	r.fake.RemoveUser("0a3f7c1e-0000-4000-8000-0000000000ff")
	level := r.request()
	heal := r.fake.Inject(cakewalktest.Fault{Match: cakewalktest.On(http.MethodGet, "/WorkApps/"+appID+"/PermissionLevels"), Body: `{"data":[],"links":{"self":"/"}}`})
	bare := r.request(func(task *cakewalktest.Task) { task.Request = nil })
	plain := r.request(func(task *cakewalktest.Task) { task.Request.Level = nil })
	r.round()
	if got := r.tasks(); len(got) != 1 || got[plain].Spec.Request == nil || got[plain].Spec.Request.PermissionLevel != nil {
		t.Errorf("%v", got)
	}
	r.counted(map[backfillOutcome]int{backfillFound: 1, backfillUnreadable: 3})
	told := r.told()
	for _, id := range []string{gone, level, bare} {
		if !strings.Contains(told, id) {
			t.Errorf("%s is not told of: %s", id, told)
		}
	}
	if strings.Contains(told, "gone@example.com") {
		t.Error(told)
	}
	if !r.finishedRound() {
		t.Error(r.receiver.Status.LastBackfillTime)
	}
	heal()
	r.round()
	if _, ok := r.tasks()[level]; !ok {
		t.Error("a task that can be read now is not found")
	}
	r.counted(map[backfillOutcome]int{backfillFound: 2, backfillUnreadable: 5})
	if told := r.told(); strings.Contains(told, gone) || strings.Count(told, "Warning FoundByBackfill") != 2 {
		t.Error("told again: ", told)
	}
}

func TestAnUnknownUserDoesNotHoldUpTheOthers(t *testing.T) {
	r := newBackfillRig(t)
	r.fake.Inject(cakewalktest.Fault{Match: func(q *http.Request) bool { return q.URL.Query().Get("userId") == olive.ID }, Status: http.StatusNotFound, Body: `{"title":"Not Found"}`})
	id := r.request(func(task *cakewalktest.Task) { task.AssignedTo = []cakewalk.User{otto} })
	r.round()
	if _, ok := r.tasks()[id]; !ok || !r.finishedRound() {
		t.Error("the other's task is not found")
	}
	if told := r.told(); !strings.Contains(told, olive.ID) {
		t.Error(told)
	}
}

func TestABackfillWhileCakewalkIsAway(t *testing.T) {
	r := newBackfillRig(t)
	id := r.request()
	heal := r.fake.Inject(cakewalktest.Fault{Away: true})
	r.round()
	if len(r.tasks()) != 0 || r.receiver.Status.LastBackfillTime != nil {
		t.Error(r.tasks(), r.receiver.Status.LastBackfillTime)
	}
	rounds := r.backfill.rounds[client.ObjectKeyFromObject(r.receiver)]
	if rounds.running || rounds.next.After(r.now.Now().Add(backfillRetry)) || !rounds.next.After(r.now.Now()) {
		t.Errorf("%+v", rounds)
	}
	heal()
	r.now.Step(backfillRetry)
	// The list is answered, and then nothing more.
	heal = r.fake.Inject(cakewalktest.Fault{Match: cakewalktest.On(http.MethodGet, "/Tasks/"+id), Status: http.StatusBadGateway})
	r.round()
	if len(r.tasks()) != 0 {
		t.Error("a task is half made")
	}
	heal()
	r.now.Step(6 * time.Minute)
	r.round()
	if len(r.tasks()) != 1 || !r.finishedRound() {
		t.Error(len(r.tasks()))
	}
}

func TestAReadOnlyKeyIsEnough(t *testing.T) {
	r := newBackfillRig(t)
	r.fake.SetReadOnly(true)
	r.request()
	r.round()
	r.counted(map[backfillOutcome]int{backfillFound: 1})
}

func TestABackfillIsBounded(t *testing.T) {
	r := newBackfillRig(t, func(receiver *accessv1alpha1.WebhookReceiver) { receiver.Spec.Limits.MaxUnfinishedTasks = 3 })
	var ids []string
	for range 5 {
		ids = append(ids, r.request())
	}
	r.round()
	r.counted(map[backfillOutcome]int{backfillFound: 3, backfillDeferred: 2})
	tasks := r.tasks()
	for _, id := range ids[:3] {
		if _, ok := tasks[id]; !ok {
			t.Error("the oldest are not found first")
		}
	}
	r.round()
	r.counted(map[backfillOutcome]int{backfillFound: 3, backfillDeferred: 4})
}

// A task that is older than its AccessTask would be kept may have been done, and its AccessTask deleted: finding it would
// do it a second time.
func TestATaskThatMayHaveBeenDoneIsNotFound(t *testing.T) {
	r := newBackfillRig(t, func(receiver *accessv1alpha1.WebhookReceiver) {
		receiver.Spec.TaskTTLSecondsAfterFinished = new(int32(3600))
	})
	old := r.request()
	r.now.Step(time.Hour)
	young := r.request()
	r.round()
	if got := r.tasks(); len(got) != 1 || got[young].Name == "" {
		t.Error(got)
	}
	r.counted(map[backfillOutcome]int{backfillFound: 1, backfillTooOld: 1})
	if told := r.told(); !strings.Contains(told, old) || !strings.Contains(told, "taskTTLSecondsAfterFinished") {
		t.Error(told)
	}
}

func TestTroubleWithStoring(t *testing.T) {
	r := newBackfillRig(t)
	first, second := r.request(), r.request()
	fail := map[string]error{first: errors.New("etcd is away")}
	r.lead(interceptor.NewClient(r.WithWatch, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
		if err := fail[o.GetName()]; err != nil {
			return err
		}
		return c.Create(ctx, o, opts...)
	}}))
	r.round()
	r.counted(map[backfillOutcome]int{backfillFound: 1, backfillFailed: 1})
	if _, ok := r.tasks()[second]; !ok {
		t.Error("one task holds up another")
	}
	// Whoever cannot write down what it is about to do does not do it.
	r.audit.fill(true)
	third := r.request()
	r.round()
	if _, ok := r.tasks()[third]; ok {
		t.Error("a task is stored that is not on record")
	}
	r.audit.fill(false)
	delete(fail, first)
	r.round()
	if len(r.tasks()) != 3 {
		t.Error(len(r.tasks()))
	}
	// Away for all: the round ends.
	for range 5 {
		fail[r.request()] = errors.New("etcd is away")
	}
	r.now.Step(time.Second)
	r.round()
	if r.finishedRound() {
		t.Error("a round that was given up counts")
	}
	r.counted(map[backfillOutcome]int{backfillFound: 3, backfillFailed: 1 + 2 + maxBackfillFailures})
}

// The whole way on a running manager: the webhook is lost, the task is found, done and reported, and the webhook that
// comes later changes nothing.
func TestALostWebhookIsFoundAndDone(t *testing.T) {
	r := newCakewalkRig(t)
	id := r.request(func(task *cakewalktest.Task) { task.AssignedTo = []cakewalk.User{olive} })
	other := r.request(func(task *cakewalktest.Task) {
		task.AssignedTo, task.Request.TargetUser = []cakewalk.User{olive}, &cakewalk.User{ID: petra.ID, Email: "bob@example.com"}
	})
	r.announced(other)
	r.patch(&accessv1alpha1.WebhookReceiver{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: "cakewalk"}},
		fmt.Sprintf(`{"backfill":{"intervalSeconds":60,"userIDs":[%q]}}`, olive.ID))
	task := &accessv1alpha1.AccessTask{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: id}}
	r.eventually(func() error { return r.Get(t.Context(), client.ObjectKeyFromObject(task), task) })
	r.until(task, accessv1alpha1.ReasonProvisioned)
	r.reported(task, metav1.ConditionTrue, accessv1alpha1.ReasonApproved)
	known := &accessv1alpha1.AccessTask{}
	if err := r.Get(t.Context(), client.ObjectKey{Namespace: r.namespace, Name: other}, known); err != nil || known.Labels[accessv1alpha1.LabelFoundBy] != "" {
		t.Errorf("%v %v", err, known.Labels)
	}
	receiver := &accessv1alpha1.WebhookReceiver{}
	r.eventually(func() error {
		if err := r.Get(t.Context(), client.ObjectKey{Namespace: r.namespace, Name: "cakewalk"}, receiver); err != nil {
			return err
		}
		if receiver.Status.LastBackfillTime == nil || len(receiver.Status.Conditions) != 2 {
			return fmt.Errorf("%+v", receiver.Status)
		}
		return nil
	})
}
