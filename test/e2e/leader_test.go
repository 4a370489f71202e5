// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/testenv"
)

// A process that is stopped, as a virtual machine may be, does not notice that another took over.
func TestALeaderThatWasStoppedChangesNothingWhenItGoesOn(t *testing.T) {
	r := newRig(t, "--delay", "100ms")
	r.connector("Slack", r.scim, "scim")
	r.bind("manager", leaderElectionRole, false)
	args := []string{"--leader-elect", "--leader-election-namespace", r.namespace}
	r.start(args...)
	first := r.process
	var ids []string
	var events []map[string]any
	for i := range 8 {
		e, id := event(grant, "Slack", fmt.Sprintf("user%d@example.com", i))
		events, ids = append(events, e), append(ids, id)
	}
	r.deliver(events...)
	r.eventually("several tasks are amid their changes", func() error {
		var tasks accessv1alpha1.AccessTaskList
		if err := r.List(t.Context(), &tasks, client.InNamespace(r.namespace)); err != nil {
			return err
		}
		amid := 0
		for _, task := range tasks.Items {
			if task.Status.CompletionTime == nil && len(task.Status.Changes) > 0 {
				amid++
			}
		}
		if amid < 2 {
			return fmt.Errorf("%d are", amid)
		}
		return nil
	})
	if err := first.manager.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r.receiver, r.health = testenv.FreeAddress(t), testenv.FreeAddress(t)
	r.start(args...)
	for _, id := range ids {
		r.until(id, accessv1alpha1.ReasonProvisioned)
	}
	for i := range ids {
		// What the first process still has in mind would bring it back.
		r.removeFromGroups(fmt.Sprintf("user%d@example.com", i))
	}
	if err := first.manager.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r.eventually("the first process has ended", func() error {
		select {
		case <-first.ended:
			return nil
		default:
			return errors.New("it runs")
		}
	})
	for _, group := range []string{"one", "two", "three"} {
		if diff := cmp.Diff([]string{"bob@example.com"}, r.members(group)); diff != "" {
			t.Errorf("%s: %s", group, diff)
		}
	}
}
