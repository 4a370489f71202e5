// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package job

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// FuzzEnd holds what is concluded from a Job against what it says: without the condition Complete nothing is done.
func FuzzEnd(f *testing.F) {
	f.Add(`{"status":{"conditions":[{"type":"Complete","status":"True"}]}}`, `[]`)
	f.Add(`{"status":{"conditions":[{"type":"Complete","status":"False"},{"type":"Failed","status":"True","reason":"DeadlineExceeded"}]}}`, `[{}]`)
	f.Add(`{"status":{"conditions":[{"type":"Failed","status":"True"}]}}`, `[{"status":{"containerStatuses":[{"state":{"terminated":{"exitCode":75,"message":"x\ny"}}}]}}]`)
	f.Add(`{}`, `[{"status":{"containerStatuses":[{"state":{"waiting":{"reason":"ErrImagePull","message":"no"}}}]}}]`)
	f.Fuzz(func(t *testing.T, job, pods string) {
		var j batchv1.Job
		var p []corev1.Pod
		if json.Unmarshal([]byte(job), &j) != nil || json.Unmarshal([]byte(pods), &p) != nil {
			return
		}
		complete := false
		for _, c := range j.Status.Conditions {
			complete = complete || c.Type == batchv1.JobComplete && c.Status == corev1.ConditionTrue
		}
		e := endOf(&j, p)
		if e.succeeded != complete {
			t.Errorf("succeeded: %t", e.succeeded)
		}
		if m := e.message; strings.ContainsAny(m, "\n\r\x00\x1b") || utf8.RuneCountInString(m) > maxMessage || !utf8.ValidString(m) {
			t.Errorf("%q", m)
		}
		if progress(p) == "" {
			t.Error("nothing is said of its progress")
		}
	})
}
