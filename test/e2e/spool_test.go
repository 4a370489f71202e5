// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/audit"
)

func TestAKilledManagerStoresWhatItSpooled(t *testing.T) {
	r := newRig(t)
	dir := filepath.Join(t.TempDir(), "spool")
	r.start("--receiver-spool-dir", dir)
	// The keys are read before the API server goes.
	e, first := event(grant, "Slack", "ann@example.com")
	r.deliver(e)
	restart := env.KillAPIServer(t)
	var ids []string
	for i := range 20 {
		e, id := event(grant, "Slack", "ann@example.com")
		if code, answer := r.send(r.namespace+"/cakewalk", nil, e); code != http.StatusAccepted {
			t.Errorf("delivery %d: %d %s", i, code, answer)
		}
		ids = append(ids, id)
	}
	r.kill()
	spooled := func() (n int) {
		found, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if strings.HasSuffix(f.Name(), ".delivery") {
				n++
			}
		}
		return n
	}
	if n := spooled(); n != len(ids) {
		t.Errorf("%d of %d deliveries are on the disk", n, len(ids))
	}
	restart()
	r.start("--receiver-spool-dir", dir)
	r.eventually("the spool is empty", func() error {
		if n := spooled(); n > 0 {
			return fmt.Errorf("%d deliveries are in it", n)
		}
		return nil
	})
	var tasks accessv1alpha1.AccessTaskList
	if err := r.List(t.Context(), &tasks, client.InNamespace(r.namespace)); err != nil {
		t.Fatal(err)
	}
	if len(tasks.Items) != 1+len(ids) {
		t.Errorf("%d tasks", len(tasks.Items))
	}
	received := map[string]*accessv1alpha1.AccessTask{}
	for i := range tasks.Items {
		received[tasks.Items[i].Name] = &tasks.Items[i]
	}
	before := received[first]
	for i, id := range ids {
		task := received[id]
		if task == nil || !before.Spec.ReceivedTime.Before(task.Spec.ReceivedTime) {
			t.Fatalf("delivery %d is not stored after the one before it", i)
		}
		before = task
	}
	r.kill()
	stored := map[string]int{}
	deliveries := map[string]string{}
	for _, log := range r.auditLogs {
		for _, l := range auditLines(t, log) {
			switch l.Event {
			case audit.DeliverySpooled:
				deliveries[l.DeliveryID] = "spooled"
			case audit.TaskStored:
				stored[l.Task]++
				if l.Task != first && deliveries[l.DeliveryID] == "" {
					t.Errorf("task %s is told of with the delivery %s", l.Task, l.DeliveryID)
				}
			default:
			}
		}
	}
	for _, id := range ids {
		if stored[id] != 1 {
			t.Errorf("the audit log tells %d times that task %s was stored", stored[id], id)
		}
	}
	if len(deliveries) != len(ids) {
		t.Errorf("the audit log tells of %d spooled deliveries", len(deliveries))
	}
}
