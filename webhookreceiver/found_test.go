// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/accesstask"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

const (
	workAppID = "b95160f2-1eec-4cf0-8f49-bb4f29936f5d"
	levelID   = "5f7f2f0e-6a5f-4d7e-8f65-6b0a1f0f9d10"
	personID  = "1934ea57-962f-41de-bf2c-ba2c288e7f68"
)

// The webhook of a task that the backfill found comes later, with more than Cakewalk's API tells.
func TestTheWebhookOfAFoundTask(t *testing.T) {
	s := start(t, nil)
	s.receiver(t, "cakewalk", secret, nil)
	receiver := &accessv1alpha1.WebhookReceiver{}
	s.get(t, "cakewalk", receiver)
	event := func(taskID, kind, app, level, person string) string {
		return `[{"eventType":"action_task.actionable","data":{"taskId":"` + taskID + `","assignedTo":[{"email":"owner@example.com"}],"requestMetadata":{
			"requestType":"` + kind + `","reviewedBy":[{"email":"rob@example.com"}],"targetWorkApp":{"id":"` + app + `","name":"Renamed"},
			"permissionLevel":{"id":"` + level + `","name":"Editor"},"targetUser":{"id":"` + person + `","email":"ann@example.com"}}}}]`
	}
	for name, tc := range map[string]struct {
		taskID, body string
		want         string
	}{
		"the same":         {id(1), event(id(1), "GrantAccessRequest", workAppID, levelID, personID), "duplicate"},
		"in upper case":    {id(2), event(id(2), "GrantAccessRequest", "B95160F2-1EEC-4CF0-8F49-BB4F29936F5D", levelID, personID), "duplicate"},
		"another type":     {id(3), event(id(3), "RemoveAccessRequest", workAppID, levelID, personID), "conflict"},
		"another app":      {id(4), event(id(4), "GrantAccessRequest", id(99), levelID, personID), "conflict"},
		"another level":    {id(5), event(id(5), "GrantAccessRequest", workAppID, id(99), personID), "conflict"},
		"another person":   {id(6), event(id(6), "GrantAccessRequest", workAppID, levelID, id(99)), "conflict"},
		"without metadata": {id(7), `[{"eventType":"action_task.actionable","data":{"taskId":"` + id(7) + `"}}]`, "conflict"},
	} {
		found := accesstask.New(&cakewalk.ActionTask{TaskID: tc.taskID, Request: &cakewalk.RequestMetadata{
			Type:            "GrantAccessRequest",
			TargetWorkApp:   &cakewalk.NamedObject{ID: workAppID, Name: "Google Workspace"},
			PermissionLevel: &cakewalk.NamedObject{ID: levelID, Name: "Editor"},
			TargetUser:      &cakewalk.User{ID: personID, Email: "ann@example.com"},
		}}, receiver, time.Now(), nil)
		found.Labels[accessv1alpha1.LabelFoundBy] = accessv1alpha1.FoundByBackfill
		if err := s.client.Create(t.Context(), found); err != nil {
			t.Fatal(err)
		}
		got := s.post(t, "cakewalk", secret, tc.body)
		if got.code != 200 || len(got.answered.Events) != 1 || string(got.answered.Events[0].Outcome) != tc.want {
			t.Errorf("%s: %d %s, want %s", name, got.code, got.body, tc.want)
		}
		now := &accessv1alpha1.AccessTask{}
		s.get(t, tc.taskID, now)
		if diff := cmp.Diff(found.Spec.Request, now.Spec.Request); diff != "" {
			t.Errorf("%s: the task was changed: %s", name, diff)
		}
	}
	// Through another receiver it is another announcement.
	s.receiver(t, "other", secret, nil)
	if got := s.post(t, "other", secret, event(id(1), "GrantAccessRequest", workAppID, levelID, personID)); got.answered.Conflicts != 1 {
		t.Error(got.code, got.body)
	}
}

func TestStoredTasksTakeOverWhatTheReceiverSays(t *testing.T) {
	s := start(t, nil)
	s.receiver(t, "plain", secret, nil)
	s.receiver(t, "cakewalk", secret, func(r *accessv1alpha1.WebhookReceiver) {
		r.Spec.CakewalkAPI = &accessv1alpha1.CakewalkAPI{CredentialsSecretRef: accessv1alpha1.SecretReference{Name: "api"}}
		r.Spec.TaskTTLSecondsAfterFinished = new(int32(3600))
	})
	for name, preflight := range map[string]accessv1alpha1.CakewalkPreflight{"best": accessv1alpha1.PreflightBestEffort, "none": accessv1alpha1.PreflightDisabled} {
		s.receiver(t, name, secret, func(r *accessv1alpha1.WebhookReceiver) {
			r.Spec.CakewalkAPI = &accessv1alpha1.CakewalkAPI{CredentialsSecretRef: accessv1alpha1.SecretReference{Name: "api"}, Preflight: preflight}
		})
	}
	for name, taskID := range map[string]string{"plain": id(1), "cakewalk": id(2), "best": id(3), "none": id(4)} {
		if got := s.post(t, name, secret, "["+grant(taskID, "{}")+"]"); got.code != 200 {
			t.Fatal(got.code, got.body)
		}
	}
	tasks := s.tasks(t)
	if got := tasks[id(1)]; got.Spec.TTLSecondsAfterFinished != nil || got.Annotations[accessv1alpha1.AnnotationPreflight] != "" {
		t.Errorf("%+v", got)
	}
	got := tasks[id(2)]
	if ttl := got.Spec.TTLSecondsAfterFinished; ttl == nil || *ttl != 3600 {
		t.Error(ttl)
	}
	if got.Annotations[accessv1alpha1.AnnotationPreflight] != string(accessv1alpha1.PreflightRequired) {
		t.Error(got.Annotations)
	}
	for taskID, want := range map[string]string{id(3): string(accessv1alpha1.PreflightBestEffort), id(4): ""} {
		if got := tasks[taskID].Annotations[accessv1alpha1.AnnotationPreflight]; got != want {
			t.Errorf("%s: %q, want %q", taskID, got, want)
		}
	}
	if client.ObjectKeyFromObject(&got).Name != id(2) || got.Labels[accessv1alpha1.LabelFoundBy] != "" {
		t.Error(got.Labels)
	}
}
