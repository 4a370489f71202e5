// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalktest_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
)

var ann = cakewalk.User{ID: "1934ea57-962f-41de-bf2c-ba2c288e7f68", Email: "ann@example.com", FullName: "Ann"}

// answer is what a fake answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request with the fake's credentials.
func ask(t *testing.T, f *cakewalktest.Fake, method, path string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.URL+path, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-KEY", f.Key)
	req.Header.Set("X-API-SECRET", f.Secret)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, body}
}

func TestTheLifeOfATask(t *testing.T) {
	tests := map[string]struct {
		act    func(f *cakewalktest.Fake, id string)
		status string
		person bool
		cancel bool
	}{
		"nobody acts":       {func(*cakewalktest.Fake, string) {}, cakewalktest.StatusPending, false, false},
		"a person approves": {func(f *cakewalktest.Fake, id string) { f.Approve(id, ann) }, cakewalktest.StatusApproved, true, false},
		"a person declines": {func(f *cakewalktest.Fake, id string) { f.Decline(id, ann) }, cakewalktest.StatusDeclined, true, false},
		"a person cancels":  {func(f *cakewalktest.Fake, id string) { f.Cancel(id, ann) }, cakewalktest.StatusCancelled, true, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := cakewalktest.Start(t, cakewalktest.Options{})
			id := f.AddTask(cakewalktest.Task{Request: &cakewalktest.Request{TargetUser: &ann}})
			tc.act(f, id)
			var got struct {
				Data struct {
					Status         string
					ExecutedByUser *struct{ Email string }
					Request        struct{ CancelledByUserID *string }
				}
			}
			if err := json.Unmarshal(ask(t, f, "GET", "/Tasks/"+id).body, &got); err != nil {
				t.Fatal(err)
			}
			if got.Data.Status != tc.status || (got.Data.ExecutedByUser != nil) != tc.person || (got.Data.Request.CancelledByUserID != nil) != tc.cancel {
				t.Errorf("got %+v", got.Data)
			}
			want := http.StatusConflict
			if tc.status == cakewalktest.StatusPending {
				want = http.StatusNoContent
			}
			if res := ask(t, f, "POST", "/Tasks/"+id+"/Approve"); res.status != want {
				t.Errorf("approving answers %d, want %d", res.status, want)
			}
			if res := ask(t, f, "POST", "/Tasks/"+id+"/Approve"); res.status != http.StatusConflict || res.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("approving again answers %d %s", res.status, res.header)
			}
			f.Remove(id)
			if res := ask(t, f, "GET", "/Tasks/"+id); res.status != http.StatusNotFound {
				t.Errorf("a task that was removed answers %d", res.status)
			}
		})
	}
}

func TestWhoMayAsk(t *testing.T) {
	f := cakewalktest.Start(t, cakewalktest.Options{})
	id := f.AddTask(cakewalktest.Task{})
	status := func(method, path string) int { t.Helper(); return ask(t, f, method, path).status }
	f.SetReadOnly(true)
	if got := status("GET", "/Tasks/"+id); got != 200 {
		t.Errorf("a read-only key reads: %d", got)
	}
	if got := status("POST", "/Tasks/"+id+"/Decline"); got != 403 {
		t.Errorf("a read-only key writes: %d", got)
	}
	f.SetCredentials(f.Key, "another")
	if got := status("GET", "/Tasks/"+id); got != 401 {
		t.Errorf("a wrong secret reads: %d", got)
	}
	f.SetCredentials("another", f.Secret)
	if got := status("POST", "/Tasks/"+id+"/Approve"); got != 401 {
		t.Errorf("a wrong key writes: %d", got)
	}
	if task, _ := f.Task(id); task.Status != cakewalktest.StatusPending {
		t.Errorf("the task is %s", task.Status)
	}
}

func TestTheLimit(t *testing.T) {
	now := time.Now()
	f := cakewalktest.Start(t, cakewalktest.Options{MaxPerMinute: 3, Now: func() time.Time { return now }})
	for i, want := range []struct {
		after  time.Duration
		status int
		retry  string
	}{
		{0, 404, ""},
		{20 * time.Second, 404, ""},
		{0, 404, ""},
		{10 * time.Second, 429, "30"},
		{29 * time.Second, 429, "1"},
		{2 * time.Second, 404, ""},
	} {
		now = now.Add(want.after)
		res := ask(t, f, "GET", "/Users/x")
		if res.status != want.status || res.header.Get("Retry-After") != want.retry {
			t.Errorf("request %d: %d after %q, want %+v", i, res.status, res.header.Get("Retry-After"), want)
		}
	}
	if got := f.MaxPerMinute(); got != 5 {
		t.Errorf("%d requests in a minute, want 5", got)
	}
	if all := f.Requests(); len(all) != 6 || all[3].Status != 429 || all[5].Path != "/api/v1/Users/x" {
		t.Errorf("got %+v", all)
	}
}

func TestDeliveriesAreSigned(t *testing.T) {
	for name, secret := range map[string]string{"HMAC": "s3cret", "RSA": ""} {
		t.Run(name, func(t *testing.T) {
			f := cakewalktest.New(cakewalktest.Options{HMACSecret: secret})
			var bodies []string
			var mu sync.Mutex
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				digest := sha256.Sum256(body)
				signature := r.Header.Get("X-SIGNATURE")
				if secret == "" {
					raw, _ := base64.StdEncoding.DecodeString(signature)
					if err := rsa.VerifyPKCS1v15(f.PublicKeys()[0], crypto.SHA256, digest[:], raw); err != nil {
						t.Error(err)
					}
				} else {
					mac := hmac.New(sha256.New, []byte(secret))
					mac.Write(body)
					if signature != hex.EncodeToString(mac.Sum(nil)) {
						t.Errorf("signature %s", signature)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				bodies = append(bodies, cakewalktest.Events(body))
				w.WriteHeader(http.StatusTeapot)
			}))
			t.Cleanup(s.Close)
			var ids []string
			for range 3 {
				ids = append(ids, f.AddTask(cakewalktest.Task{Request: &cakewalktest.Request{TargetUser: &ann}}))
			}
			d, err := f.Deliver(t.Context(), s.URL, ids[0], ids[0])
			if err != nil || d.Status != http.StatusTeapot {
				t.Fatal(d, err)
			}
			f.RotateKey(false)
			all, err := f.DeliverAll(t.Context(), s.URL, cakewalktest.Plan{Batch: 2, Duplicates: 1, Shuffle: mathrand.New(mathrand.NewPCG(1, 1)), Delay: func(int) time.Duration { return time.Microsecond }}, ids...)
			if err != nil || len(all) != 4 {
				t.Fatal(all, err)
			}
			counts := map[string]int{}
			for _, body := range bodies {
				counts[body]++
			}
			want := map[string]int{ids[0] + ", " + ids[0]: 1, ids[0] + ", " + ids[1]: 2, ids[2]: 2}
			if diff := cmp.Diff(want, counts); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestAPayloadBecomesTasksAndAPayload(t *testing.T) {
	f := cakewalktest.New(cakewalktest.Options{})
	body := `[{"eventType":"test","data":{}},{"eventType":"action_task.actionable","data":{"taskId":"7AC60A4B-4b4d-4fc1-988c-f95254591f06","assignedTo":[{"id":"` + ann.ID + `","email":"ann@example.com","fullName":"Ann"}],"requestMetadata":null}}]`
	ids, err := f.AddEvents([]byte(body))
	if err != nil || len(ids) != 1 {
		t.Fatal(ids, err)
	}
	events, err := cakewalk.Decode(f.Body(ids...), 1)
	if err != nil {
		t.Fatal(err)
	}
	want := &cakewalk.ActionTask{TaskID: "7ac60a4b-4b4d-4fc1-988c-f95254591f06", AssignedTo: []cakewalk.User{ann}}
	if diff := cmp.Diff(want, events[0].Task); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := f.AddEvents([]byte(`[{"eventType":"action_task.actionable"}]`)); err == nil {
		t.Error("a malformed event is taken")
	}
}

func TestTasksAreCopies(t *testing.T) {
	f := cakewalktest.New(cakewalktest.Options{})
	request := &cakewalktest.Request{TargetUser: &cakewalk.User{Email: "x@example.com"}}
	id := f.AddTask(cakewalktest.Task{Request: request})
	if request.TargetUser.ID != "" || request.ID != "" {
		t.Error("adding a task changes the caller's")
	}
	task, _ := f.Task(id)
	task.Request.TargetUser.Email = "y@example.com"
	if again, _ := f.Task(id); again.Request.TargetUser.Email != "x@example.com" {
		t.Error("a task can be changed from outside")
	}
	f.Change(id, func(task *cakewalktest.Task) {
		task.Request.TargetUser = &cakewalk.User{Email: "z@example.com"}
	})
	if again, _ := f.Task(id); again.Request.TargetUser.Email != "z@example.com" || again.Request.TargetUser.ID == "" {
		t.Error("a task cannot be changed")
	}
}
