// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build cluster

package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// runsJobs lets Jobs carry out tasks: by pods that the namespace holds to the level restricted, with the rights that
// docs/backends/job.md gives and no others.
func (s *site) runsJobs(t *testing.T) {
	template, err := json.Marshal(map[string]any{"spec": map[string]any{"containers": []map[string]any{{"name": "change", "image": cluster.workerImage}}}})
	if err != nil {
		t.Fatal(err)
	}
	create(t, s.way.tenant, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "changes"}})
	create(t, s.way.tenant, &accessv1alpha1.Connector{ObjectMeta: metav1.ObjectMeta{Name: "erp"}, Spec: accessv1alpha1.ConnectorSpec{
		Match:            accessv1alpha1.ConnectorMatch{WorkApps: []accessv1alpha1.WorkAppMatch{{Name: "ERP"}}},
		PermissionLevels: []accessv1alpha1.PermissionLevelMapping{{Default: new(true), Entitlements: []string{"clerk", "auditor"}}},
		Retry:            accessv1alpha1.ConnectorRetry{MinDelaySeconds: 1, MaxDelaySeconds: 1},
		Job:              &accessv1alpha1.JobBackend{ServiceAccountName: "changes", Template: runtime.RawExtension{Raw: template}},
	}})
	eventually(t, time.Minute, "the connector says which right is missing", func() error {
		var c accessv1alpha1.Connector
		if err := cluster.Get(t.Context(), client.ObjectKey{Namespace: s.way.tenant, Name: "erp"}, &c); err != nil {
			return err
		}
		if ready := meta.FindStatusCondition(c.Status.Conditions, accessv1alpha1.ConditionReady); ready == nil || !strings.Contains(ready.Message, "access-operator-jobs") {
			return fmt.Errorf("it is %+v", ready)
		}
		return nil
	})
	create(t, s.way.tenant, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "access-operator-jobs"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "access-operator-jobs"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "access-operator-manager", Namespace: s.way.namespace}},
	})
	// What a person does who has mended a connector and does not want to wait for the next probe.
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"probeIntervalSeconds":60}}`))
	if err := cluster.Patch(t.Context(), &accessv1alpha1.Connector{ObjectMeta: metav1.ObjectMeta{Namespace: s.way.tenant, Name: "erp"}}, patch); err != nil {
		t.Fatal(err)
	}

	tasks := map[string]struct{ reason, says string }{
		"good-":  {accessv1alpha1.ReasonProvisioned, "done: Grant clerk,auditor for good-"},
		"later-": {accessv1alpha1.ReasonProvisioned, "-2\" succeeded: done: Grant clerk,auditor for later-"},
		"fail-":  {accessv1alpha1.ReasonPermanentError, "ended with exit code 3 (Error): no such door  [31m: Grant"},
	}
	for prefix, want := range tasks {
		body, id := eventFor("ERP", nil, prefix+uuid.NewString()+"@example.com")
		if code, err := s.post(t, s.secret, body); err != nil || code != http.StatusOK {
			t.Fatalf("the delivery was answered %d (%v)", code, err)
		}
		s.until(t, 2*time.Minute, want.reason, id)
		task := s.task(t, id)
		succeeded := meta.FindStatusCondition(task.Status.Conditions, accessv1alpha1.ConditionSucceeded)
		if said := strings.ReplaceAll(succeeded.Message, "  ", " "); !strings.Contains(said, strings.ReplaceAll(want.says, "  ", " ")) {
			t.Errorf("%s says %q, want %q", prefix, said, want.says)
		}
		var jobs batchv1.JobList
		if err := cluster.List(t.Context(), &jobs, client.InNamespace(s.way.tenant), client.MatchingLabels{"access.getcakewalk.io/task": id}); err != nil {
			t.Fatal(err)
		}
		if made := map[string]int{"good-": 1, "later-": 2, "fail-": 1}[prefix]; len(jobs.Items) != made {
			t.Errorf("%s took %d Jobs, want %d", prefix, len(jobs.Items), made)
		}
		for _, j := range jobs.Items {
			if j.Spec.TTLSecondsAfterFinished == nil || j.Spec.Template.Spec.ServiceAccountName != "changes" {
				t.Errorf("%s is not cleaned up, or runs as another: %+v", j.Name, j.Spec)
			}
		}
	}
}
