// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// What a person may still have to see to, or to ask for, stays whole.
func TestWhatIsClosed(t *testing.T) {
	over := outcome{finished: metav1.ConditionFalse, reason: accessv1alpha1.ReasonSuperseded}
	look := over
	look.stalled = accessv1alpha1.ReasonSuperseded
	for name, tc := range map[string]struct {
		task *accessv1alpha1.AccessTask
		want bool
	}{
		"provisioned":                 {newTask(withStatus(done(nil, true))), true},
		"superseded":                  {newTask(withStatus(over)), true},
		"superseded, look":            {newTask(withStatus(look)), false},
		"superseded, asked to retry":  {newTask(withStatus(over), withAnnotation(accessv1alpha1.AnnotationRetry, "now")), false},
		"provisioned, asked to retry": {newTask(withStatus(done(nil, true)), withAnnotation(accessv1alpha1.AnnotationRetry, "now")), true},
		"waiting":                     {newTask(withStatus(outcome{reason: accessv1alpha1.ReasonRetrying})), false},
		"never visited":               {newTask(), false},
		"still to be reported": {newTask(withStatus(done(nil, true), func(s *accessv1alpha1.AccessTaskStatus) {
			conditionSetter(s, 1, t0)(accessv1alpha1.ConditionReported, metav1.ConditionUnknown, accessv1alpha1.ReasonReporting, "")
		})), false},
		"being deleted": {newTask(withStatus(done(nil, true)), func(t *accessv1alpha1.AccessTask) { t.DeletionTimestamp = new(metav1.NewTime(t0)) }), false},
	} {
		t.Run(name, func(t *testing.T) {
			want := *memberOf(tc.task)
			key := client.ObjectKeyFromObject(tc.task)
			held, err := compact(tc.task)
			if err != nil {
				t.Fatal(err)
			}
			c, ok := held.(*closedTask)
			if ok != tc.want {
				t.Fatalf("it is held as %T", held)
			}
			if !ok {
				return
			}
			if c.member != want || client.ObjectKeyFromObject(c) != key || c.counted.Value() != countedOf(tc.task) || !c.received.Equal(receivedTime(tc.task)) {
				t.Errorf("%+v is held of %+v", c, want)
			}
		})
	}
}

// The cache holds little more than the names of what the controllers finished; what counts of it still does.
func TestClosedTasksKeepTheirPlaceOverARestart(t *testing.T) {
	r, fake := newRig(t)
	r.ready(r.connector("a"), metav1.ConditionTrue, accessv1alpha1.ReasonProbed)
	at := func(minutes int) func(*accessv1alpha1.AccessTask) {
		return func(task *accessv1alpha1.AccessTask) {
			task.Spec.ReceivedTime = new(metav1.NewMicroTime(time.Now().Add(time.Duration(minutes) * time.Minute)))
		}
	}
	kept := r.task(at(-5))
	r.until(kept, accessv1alpha1.ReasonProvisioned)
	r.until(r.task(at(-3), withType(accessv1alpha1.RequestTypeRemoveAccess)), accessv1alpha1.ReasonProvisioned)
	r.stop()
	r.start()
	older := r.task(at(-4))
	r.until(older, accessv1alpha1.ReasonSuperseded)
	if slices.Contains(fake.Members("editors"), "ann@example.com") {
		t.Error("an older grant came after a removal that was finished before the restart")
	}
	// A person starts a closed task over; it is read whole, and superseded again.
	r.annotate(older, accessv1alpha1.AnnotationRetry, "again")
	r.eventually(func() error {
		got := &accessv1alpha1.AccessTask{}
		if err := r.Get(t.Context(), client.ObjectKeyFromObject(older), got); err != nil {
			return err
		}
		if got.Status.LastHandledRetry != "again" || reasonOf(&got.Status) != accessv1alpha1.ReasonSuperseded || got.Status.Request == "" {
			return fmt.Errorf("its status is %+v", got.Status)
		}
		return nil
	})
}
