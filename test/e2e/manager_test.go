// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/audit"
)

const grant = accessv1alpha1.RequestTypeGrantAccess

func TestKillsAtAnyMomentEndInTheSameState(t *testing.T) {
	// Slow, so that kills fall between the requests of one task.
	r := newRig(t, "--delay", "40ms")
	r.connector("Slack", r.scim, "scim")
	r.start()
	var ids []string
	var events []map[string]any
	for i := range 8 {
		e, id := event(grant, "Slack", fmt.Sprintf("user%d@example.com", i))
		events, ids = append(events, e), append(ids, id)
	}
	r.deliver(events...)
	changing := func() error {
		var tasks accessv1alpha1.AccessTaskList
		if err := r.List(t.Context(), &tasks, client.InNamespace(r.namespace)); err != nil {
			return err
		}
		waiting := 0
		for _, task := range tasks.Items {
			if task.Status.CompletionTime == nil {
				waiting++
			}
			for _, c := range task.Status.Changes {
				if task.Status.CompletionTime == nil && c.State == accessv1alpha1.ChangePlanned {
					return nil
				}
			}
		}
		if waiting == 0 {
			return nil
		}
		return fmt.Errorf("nothing is being changed, %d tasks wait", waiting)
	}
	for i := range 6 {
		r.eventually("a task is being provisioned", changing)
		time.Sleep(time.Duration(i) * 30 * time.Millisecond)
		r.kill()
		r.start()
	}
	want := []string{"bob@example.com"}
	for i, id := range ids {
		task := r.until(id, accessv1alpha1.ReasonProvisioned)
		want = append(want, fmt.Sprintf("user%d@example.com", i))
		var changes []string
		for _, c := range task.Status.Changes {
			changes = append(changes, fmt.Sprintf("%s %s %s", c.Action, c.Entitlement, c.State))
		}
		if diff := cmp.Diff([]string{"CreateAccount  Applied", "AddEntitlement one Applied", "AddEntitlement two Applied", "AddEntitlement three Applied"}, changes); diff != "" {
			t.Error(diff)
		}
	}
	r.kill()
	made := map[string]int{}
	told := map[string]bool{}
	for _, log := range r.auditLogs {
		for _, l := range auditLines(t, log) {
			if l.Event == audit.ChangeMade && !told[l.ID] {
				told[l.ID] = true
				made[l.Task+" "+l.Action+" "+l.Entitlement]++
			}
		}
	}
	for _, id := range ids {
		for _, c := range []string{"CreateAccount ", "AddEntitlement one", "AddEntitlement two", "AddEntitlement three"} {
			if n := made[id+" "+c]; n != 1 {
				t.Errorf("the audit log tells %d times that task %s made %s", n, id, c)
			}
		}
	}
	if len(made) != 4*len(ids) {
		t.Errorf("the audit log tells of other changes too: %v", made)
	}
	for _, group := range []string{"one", "two", "three"} {
		if diff := cmp.Diff(want, r.members(group)); diff != "" {
			t.Errorf("group %s: %s", group, diff)
		}
	}
}

func TestAWrongTokenIsHealedByCorrectingTheSecret(t *testing.T) {
	r := newRig(t)
	c := r.connector("Slack", r.scim, "scim")
	if err := os.WriteFile(r.tokenFile, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.ready(c, accessv1alpha1.ReasonUnauthorized)
	e, id := event(grant, "Slack", "ann@example.com")
	r.deliver(e)
	if task := r.until(id, accessv1alpha1.ReasonConnectorNotReady); task.Status.Attempts != nil {
		t.Errorf("%d attempts were used up", *task.Status.Attempts)
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"stringData":{"token":"another"}}`))
	secret := &corev1.Secret{}
	secret.Name, secret.Namespace = "scim", r.namespace
	if err := r.Patch(t.Context(), secret, patch); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	task := r.until(id, accessv1alpha1.ReasonProvisioned)
	t.Logf("healed %s after the Secret was corrected", time.Since(start).Round(100*time.Millisecond))
	if *task.Status.Attempts != 1 {
		t.Errorf("%d attempts", *task.Status.Attempts)
	}
	r.ready(c, accessv1alpha1.ReasonProbed)
}

func TestAThousandTasksOfASlowTargetHoldUpNobodyElse(t *testing.T) {
	r := newRig(t)
	slow, _ := r.startSCIM("--delay", "5s")
	connectors := []*accessv1alpha1.Connector{r.connector("Slow", slow, "scim"), r.connector("Fast", r.scim, "scim")}
	r.start()
	for _, c := range connectors {
		r.ready(c, accessv1alpha1.ReasonProbed)
	}
	var events []map[string]any
	for i := range 1000 {
		e, _ := event(grant, "Slow", fmt.Sprintf("user%d@example.com", i))
		events = append(events, e)
	}
	r.deliver(events...)
	e, id := event(grant, "Fast", "ann@example.com")
	start := time.Now()
	r.deliver(e)
	r.until(id, accessv1alpha1.ReasonProvisioned)
	t.Logf("provisioned after %s beside 1,000 tasks that wait", time.Since(start).Round(10*time.Millisecond))
	// None of the slow ones can have ended: a grant takes more than five requests of five seconds.
	var tasks accessv1alpha1.AccessTaskList
	if err := r.List(t.Context(), &tasks, client.InNamespace(r.namespace), client.MatchingLabels{accessv1alpha1.LabelReceiver: "cakewalk"}); err != nil {
		t.Fatal(err)
	}
	ended := 0
	for _, task := range tasks.Items {
		if task.Status.CompletionTime != nil {
			ended++
		}
	}
	if len(tasks.Items) != 1001 || ended > 4 {
		t.Errorf("%d of %d tasks ended before the fast one", ended-1, len(tasks.Items))
	}
}

func TestTheManagerEndsWellWhenItIsTold(t *testing.T) {
	r := newRig(t)
	r.start()
	r.end(t, syscall.SIGTERM)
	if code := r.manager.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
