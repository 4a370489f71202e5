// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

const secret = "a-secret-of-more-than-16-bytes"

// id returns the n-th UUID of the tests.
func id(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// grant is an event about a task, with these members in targetUser.
func grant(taskID, user string) string {
	return `{"eventType":"action_task.actionable","data":{"taskId":"` + taskID + `","assignedTo":[],"requestMetadata":{"requestType":"GrantAccessRequest","targetUser":` + user + `}}}`
}

func TestGoldenDeliveries(t *testing.T) {
	s := start(t, nil)
	s.receiver(t, "golden", goldenSecret, nil)
	post := func(name, encoding string) reply {
		return s.send(t, http.MethodPost, s.path("golden"), golden(t, name), goldenSignature(t, name, encoding))
	}

	batch := []eventAnswer{
		{0, "0b0f1e57-4c52-4a0e-9a55-0d7f0b6c2a11", "stored"},
		{1, "3d2b8a34-0c0e-4a71-9b06-3c9d1f0a7e22", "stored"},
		{2, "9e8d7c6b-5a49-4837-a625-14f3e2d1c0b3", "stored"},
		{3, "", "ignored"},
	}
	got := post("batch.json", "hex")
	if diff := cmp.Diff(result{Received: 4, Stored: 3, Ignored: 1, Events: batch}, got.answered); got.code != http.StatusOK || diff != "" {
		t.Errorf("%d, -want +got:\n%s", got.code, diff)
	}
	if got.header.Get("Content-Type") != "application/json" {
		t.Error(got.header)
	}
	for i := range 3 {
		batch[i].Outcome = "duplicate"
	}
	got = post("batch.json", "base64")
	if diff := cmp.Diff(result{Received: 4, Duplicates: 3, Ignored: 1, Events: batch}, got.answered); got.code != http.StatusOK || diff != "" {
		t.Errorf("again: %d, -want +got:\n%s", got.code, diff)
	}
	if got := post("grant-2025-single-object.json", "hex"); got.code != http.StatusOK || got.answered.Stored != 1 {
		t.Error(got.code, got.body)
	}
	if got := post("test.json", "hex"); got.code != http.StatusOK || got.answered.Ignored != 1 {
		t.Error(got.code, got.body)
	}
	if got := post("batch.json", "sha1"); got.code != http.StatusUnauthorized {
		t.Error("SHA-1 under SHA-256:", got.code, got.body)
	}

	tasks := s.tasks(t)
	if len(tasks) != 4 {
		t.Errorf("%d tasks", len(tasks))
	}
	super := accessv1alpha1.User{ID: "c1b264ce-29bf-47f3-973a-e0f0187e430f", Email: "superadmin@getcakewalk.io", FullName: "superadmin"}
	admin := accessv1alpha1.User{ID: "1934ea57-962f-41de-bf2c-ba2c288e7f68", Email: "admin@getcakewalk.io", FullName: "admin"}
	first := tasks[batch[0].TaskID]
	want := accessv1alpha1.AccessTaskSpec{
		TaskID: batch[0].TaskID, ReceivedTime: first.Spec.ReceivedTime, AssignedTo: []accessv1alpha1.User{super},
		ReceiverRef: &accessv1alpha1.WebhookReceiverReference{Name: "golden"},
		Request: &accessv1alpha1.AccessRequest{
			Type: "GrantAccessRequest", RequestedBy: &admin, ReviewedBy: []accessv1alpha1.User{super}, TargetUser: &admin,
			TargetWorkApp:   &accessv1alpha1.NamedObject{ID: "b95160f2-1eec-4cf0-8f49-bb4f29936f5d", Name: "Google Workspace"},
			PermissionLevel: &accessv1alpha1.NamedObject{ID: "5f7f2f0e-6a5f-4d7e-8f65-6b0a1f0f9d10", Name: "Editor"},
		},
	}
	if diff := cmp.Diff(want, first.Spec); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	wantLabels := map[string]string{
		accessv1alpha1.LabelReceiver: "golden", accessv1alpha1.LabelRequestType: "GrantAccessRequest",
		accessv1alpha1.LabelWorkAppID: "b95160f2-1eec-4cf0-8f49-bb4f29936f5d", accessv1alpha1.LabelTargetUserID: admin.ID,
	}
	if diff := cmp.Diff(wantLabels, first.Labels); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for i := range 2 {
		if !tasks[batch[i].TaskID].Spec.ReceivedTime.Before(tasks[batch[i+1].TaskID].Spec.ReceivedTime) {
			t.Error("the times of arrival do not follow the order of the batch")
		}
	}
	if tasks[batch[2].TaskID].Spec.Request != nil {
		t.Error("a task without requestMetadata has a request")
	}
}

func TestRefusals(t *testing.T) {
	s := start(t, nil)
	s.receiver(t, "cakewalk", secret, func(r *accessv1alpha1.WebhookReceiver) { r.Spec.Limits.MaxEventsPerDelivery = 3 })
	s.receiver(t, "suspended", secret, func(r *accessv1alpha1.WebhookReceiver) { r.Spec.Suspend = new(true) })
	s.receiver(t, "no-keys", secret, func(r *accessv1alpha1.WebhookReceiver) { r.Spec.Verification.HMAC.SecretRefs[0].Key = "other" })
	s.receiver(t, "empty-key", "", nil)
	good := "[" + grant(id(1), `{"email":"a@b.c"}`) + "]"
	event := `{"eventType":"test"}`
	none := []string{}
	tests := map[string]struct {
		method, path string
		body         string
		signatures   []string
		wantCode     int
		wantHeader   string
		wantDetail   string
	}{
		"GET":                                   {method: "GET", wantCode: 405, wantHeader: "Allow"},
		"PUT to an unknown path":                {method: "PUT", path: "/x", wantCode: 405, wantHeader: "Allow"},
		"an unknown path":                       {path: "/", wantCode: 404},
		"a path above the receiver":             {path: "/webhooks/" + s.namespace, wantCode: 404},
		"a path below the receiver":             {path: s.path("cakewalk") + "/x", wantCode: 404},
		"a slash after the receiver":            {path: s.path("cakewalk") + "/", wantCode: 404},
		"an unknown receiver":                   {path: s.path("other"), wantCode: 404},
		"a receiver of another namespace":       {path: "/webhooks/default/cakewalk", wantCode: 404},
		"a suspended receiver":                  {path: s.path("suspended"), wantCode: 503, wantHeader: "Retry-After", wantDetail: "the receiver is suspended"},
		"a receiver without keys":               {path: s.path("no-keys"), wantCode: 503, wantHeader: "Retry-After", wantDetail: "the receiver has no usable keys"},
		"a receiver with an empty secret":       {path: s.path("empty-key"), signatures: []string{sign("", []byte(good))}, wantCode: 503, wantHeader: "Retry-After", wantDetail: "the receiver has no usable keys"},
		"a body of 2 MB":                        {body: strings.Repeat(" ", 2<<20), wantCode: 413, wantDetail: "the body is larger than 1048576 bytes"},
		"no signature":                          {signatures: none, wantCode: 401},
		"a signature with another secret":       {signatures: []string{sign("another secret", []byte(good))}, wantCode: 401},
		"a signature of a body of another byte": {body: good + " ", signatures: []string{sign(secret, []byte(good))}, wantCode: 401},
		"two signatures":                        {signatures: []string{sign(secret, []byte(good)), sign(secret, []byte(good))}, wantCode: 401},
		"an empty body":                         {body: "-", wantCode: 400, wantDetail: "the body is empty"},
		"null":                                  {body: "null", wantCode: 400, wantDetail: "the body is neither an array of events nor an event"},
		"truncated JSON":                        {body: good[:20], wantCode: 400},
		"data after the array":                  {body: good + "x", wantCode: 400},
		"a second document":                     {body: good + good, wantCode: 400},
		"more events than allowed":              {body: "[" + event + "," + event + "," + event + "," + event + "]", wantCode: 413, wantDetail: "the delivery holds more than 3 events"},
		"a bare empty object":                   {body: "{}", wantCode: 422},
		"a key twice":                           {body: `{"eventType":"test","eventType":"test"}`, wantCode: 422},
		"a taskId that is no UUID":              {body: "[" + grant("1", `{}`) + "]", wantCode: 422},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			switch tc.body {
			case "":
				tc.body = good
			case "-":
				tc.body = ""
			}
			if tc.method == "" {
				tc.method = http.MethodPost
			}
			if tc.path == "" {
				tc.path = s.path("cakewalk")
			}
			if tc.signatures == nil {
				tc.signatures = []string{sign(secret, []byte(tc.body))}
			}
			got := s.send(t, tc.method, tc.path, []byte(tc.body), tc.signatures...)
			if got.code != tc.wantCode || got.Status != tc.wantCode || got.Type != "about:blank" || got.Title != http.StatusText(tc.wantCode) {
				t.Errorf("%d %s", got.code, got.body)
			}
			if got.header.Get("Content-Type") != "application/problem+json" {
				t.Error(got.header)
			}
			if tc.wantHeader != "" && got.header.Get(tc.wantHeader) == "" {
				t.Errorf("no %s", tc.wantHeader)
			}
			if tc.wantDetail != "" && got.Detail != tc.wantDetail {
				t.Errorf("detail %q", got.Detail)
			}
			if tc.wantCode == 401 && got.body != `{"type":"about:blank","title":"Unauthorized","status":401}`+"\n" {
				t.Errorf("the sender is told %s", got.body)
			}
		})
	}
	if tasks := s.tasks(t); len(tasks) > 0 {
		t.Errorf("%d tasks were stored", len(tasks))
	}
}

func TestDeliveries(t *testing.T) {
	s := start(t, nil)
	s.receiver(t, "cakewalk", secret, nil)
	long := strings.Repeat("😀", 10_000)
	tests := map[string]struct {
		body       string
		wantCode   int
		want       result
		wantErrors []eventError
	}{
		"an empty array":        {body: "[]", wantCode: 200, want: result{Events: []eventAnswer{}}},
		"an unknown event type": {body: `{"eventType":"x"}`, wantCode: 200, want: result{Received: 1, Ignored: 1, Events: []eventAnswer{{0, "", "ignored"}}}},
		"a bad event among good ones": {
			body:       "[" + grant(id(10), `{}`) + `,{"eventType":"action_task.actionable","data":{"taskId":"x"}},` + grant(id(11), `{}`) + "]",
			wantCode:   422,
			want:       result{Received: 3, Stored: 2, Invalid: 1, Events: []eventAnswer{{0, id(10), "stored"}, {1, "", "invalid"}, {2, id(11), "stored"}}},
			wantErrors: []eventError{{1, "data.taskId", "must be a UUID"}},
		},
		"a task twice with the same content": {
			body: "[" + grant(id(12), `{"email":"a@b.c"}`) + "," + grant(id(12), `{"email":"a@b.c"}`) + "]", wantCode: 200,
			want: result{Received: 2, Stored: 1, Duplicates: 1, Events: []eventAnswer{{0, id(12), "stored"}, {1, id(12), "duplicate"}}},
		},
		"a task with other content, and as it was": {
			body: "[" + grant(id(13), `{"email":"a@b.c"}`) + "," + grant(id(13), `{"email":"x@b.c"}`) + "," + grant(id(13), `{"email":"a@b.c"}`) + "]", wantCode: 200,
			want: result{Received: 3, Stored: 1, Duplicates: 1, Conflicts: 1, Events: []eventAnswer{{0, id(13), "stored"}, {1, id(13), "conflict"}, {2, id(13), "duplicate"}}},
		},
		"ids in upper case": {
			body: grant("ABCDEF00-0000-4000-8000-00000000000A", `{"id":"ABCDEF00-0000-4000-8000-00000000000B"}`), wantCode: 200,
			want: result{Received: 1, Stored: 1, Events: []eventAnswer{{0, "abcdef00-0000-4000-8000-00000000000a", "stored"}}},
		},
		"an unknown request type that is no label": {
			body: `{"eventType":"action_task.actionable","data":{"taskId":"` + id(14) + `","requestMetadata":{"requestType":"Do what? / ` + strings.Repeat("x", 100) + `"}}}`, wantCode: 200,
			want: result{Received: 1, Stored: 1, Events: []eventAnswer{{0, id(14), "stored"}}},
		},
		"names with anything in them": {
			body: grant(id(15), `{"fullName":"Robert \"Bobby\" \u0000\n\ud800 `+long+`"}`), wantCode: 200,
			want: result{Received: 1, Stored: 1, Events: []eventAnswer{{0, id(15), "stored"}}},
		},
		"an email with metacharacters": {
			body: grant(id(16), `{"email":"*)(uid=*'; DROP TABLE x;-- \" or userName sw \"a${x}"}`), wantCode: 200,
			want: result{Received: 1, Stored: 1, Events: []eventAnswer{{0, id(16), "stored"}}},
		},
		"everything at its bounds": {
			body: grant(id(17), `{"id":"`+strings.Repeat("é", 128)+`","email":"`+strings.Repeat("é", 1024)+`","fullName":"`+strings.Repeat("😀", 16384)+`"}`), wantCode: 200,
			want: result{Received: 1, Stored: 1, Events: []eventAnswer{{0, id(17), "stored"}}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := s.post(t, "cakewalk", secret, tc.body)
			if got.code != tc.wantCode {
				t.Fatalf("%d %s", got.code, got.body)
			}
			if diff := cmp.Diff(tc.want, got.answered); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantErrors, got.Errors); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	tasks := s.tasks(t)
	if got := tasks[id(13)].Spec.Request.TargetUser.Email; got != "a@b.c" {
		t.Errorf("a conflict wrote %s", got)
	}
	if got, want := tasks[id(16)].Spec.Request.TargetUser.Email, `*)(uid=*'; DROP TABLE x;-- " or userName sw "a${x}`; got != want {
		t.Errorf("%s", got)
	}
	if got := tasks[id(14)].Labels[accessv1alpha1.LabelRequestType]; !strings.HasPrefix(got, "sha256-") || len(got) != 63 {
		t.Errorf("label %s", got)
	}
	eventually(t, "the conflict is an event on the task", func() bool {
		events := &eventsv1.EventList{}
		if err := s.client.List(t.Context(), events, client.InNamespace(s.namespace)); err != nil {
			t.Fatal(err)
		}
		for _, event := range events.Items {
			if event.Regarding.Name == id(13) && event.Reason == "ConflictingDelivery" && event.Type == "Warning" {
				if strings.Contains(event.Note, "b.c") {
					t.Errorf("personal data in the event: %s", event.Note)
				}
				return true
			}
		}
		return false
	})
}

func TestHandMadeTaskIsAConflict(t *testing.T) {
	s := start(t, nil)
	s.receiver(t, "cakewalk", secret, nil)
	task := &accessv1alpha1.AccessTask{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: id(20)},
		Spec:       accessv1alpha1.AccessTaskSpec{TaskID: id(20), Request: &accessv1alpha1.AccessRequest{Type: "GrantAccessRequest"}},
	}
	if err := s.client.Create(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	if got := s.post(t, "cakewalk", secret, grant(id(20), "{}")); got.code != 200 || got.answered.Conflicts != 1 {
		t.Error(got.code, got.body)
	}
}

func TestTenantsAreApart(t *testing.T) {
	s := start(t, nil)
	s.receiver(t, "cakewalk", secret, nil)
	other := *s
	other.namespace = env.Namespace(t)
	other.receiver(t, "cakewalk", secret+"2", nil)
	body := grant(id(30), "{}")
	if got := other.post(t, "cakewalk", secret, body); got.code != 401 {
		t.Error("the other tenant's secret:", got.code)
	}
	for _, tenant := range []struct {
		*suite
		secret string
	}{{s, secret}, {&other, secret + "2"}} {
		if got := tenant.post(t, "cakewalk", tenant.secret, body); got.answered.Stored != 1 {
			t.Error(got.code, got.body)
		}
	}
}

func TestRotation(t *testing.T) {
	s := start(t, nil)
	s.receiver(t, "cakewalk", secret, nil)
	if got := s.post(t, "cakewalk", secret, "[]"); got.code != 200 {
		t.Fatal(got.code)
	}
	s.secret(t, "cakewalk", secret+"-new")
	eventually(t, "the new secret verifies", func() bool { return s.post(t, "cakewalk", secret+"-new", "[]").code == 200 })
	if got := s.post(t, "cakewalk", secret, "[]"); got.code != 401 {
		t.Error("the old secret:", got.code)
	}

	// Both at once, by a change of the spec: read again without any delay.
	s.secret(t, "second", secret)
	receiver := &accessv1alpha1.WebhookReceiver{}
	s.get(t, "cakewalk", receiver)
	receiver.Spec.Verification.HMAC.SecretRefs = append(receiver.Spec.Verification.HMAC.SecretRefs, accessv1alpha1.SecretKeyReference{Name: "second", Key: "secret"})
	if err := s.client.Update(t.Context(), receiver); err != nil {
		t.Fatal(err)
	}
	s.waitServed(t, "cakewalk")
	for _, value := range []string{secret, secret + "-new"} {
		if got := s.post(t, "cakewalk", value, "[]"); got.code != 200 {
			t.Error(got.code)
		}
	}
}

func TestMaxUnfinishedTasks(t *testing.T) {
	s := start(t, nil)
	s.receiver(t, "cakewalk", secret, func(r *accessv1alpha1.WebhookReceiver) { r.Spec.Limits.MaxUnfinishedTasks = 2 })
	if got := s.post(t, "cakewalk", secret, "["+grant(id(40), "{}")+","+grant(id(41), "{}")+"]"); got.answered.Stored != 2 {
		t.Fatal(got.code, got.body)
	}
	eventually(t, "the receiver is full", func() bool { return s.post(t, "cakewalk", secret, "[]").code == 503 })
	task := &accessv1alpha1.AccessTask{}
	s.get(t, id(40), task)
	task.Status.Conditions[0].Status = metav1.ConditionTrue
	task.Status.Conditions[0].Reason = accessv1alpha1.ReasonProvisioned
	task.Status.CompletionTime = new(metav1.Now())
	if err := s.client.Status().Update(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a finished task makes room", func() bool { return s.post(t, "cakewalk", secret, grant(id(42), "{}")).answered.Stored == 1 })
	eventually(t, "the receiver is full again", func() bool { return s.post(t, "cakewalk", secret, "[]").code == 503 })
	s.get(t, id(41), task)
	if err := s.client.Delete(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a deleted task makes room", func() bool { return s.post(t, "cakewalk", secret, "[]").code == 200 })
}
