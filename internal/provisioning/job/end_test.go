// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package job

import (
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

func TestHowJobsEnd(t *testing.T) {
	pod := func(code int32, message string) []corev1.Pod {
		return []corev1.Pod{{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error", Message: message},
		}}}}}}
	}
	tests := map[string]struct {
		condition batchv1.JobConditionType
		reason    string
		pods      []corev1.Pod
		succeeded bool
		again     bool
		says      string
	}{
		"success":                     {batchv1.JobComplete, "", pod(0, "done"), true, false, `job "j" succeeded: done`},
		"success without a message":   {batchv1.JobComplete, "", pod(0, ""), true, false, `job "j" succeeded`},
		"success and the pod is gone": {batchv1.JobComplete, "", nil, true, false, "succeeded"},
		"a failure for good":          {batchv1.JobFailed, "BackoffLimitExceeded", pod(1, "no such door"), false, false, "exit code 1 (Error): no such door"},
		"a failure for now":           {batchv1.JobFailed, "BackoffLimitExceeded", pod(75, "later"), false, true, "exit code 75 (Error): later"},
		"killed":                      {batchv1.JobFailed, "BackoffLimitExceeded", pod(137, ""), false, true, "exit code 137"},
		"asked to end":                {batchv1.JobFailed, "BackoffLimitExceeded", pod(143, ""), false, true, "exit code 143"},
		"too slow":                    {batchv1.JobFailed, batchv1.JobReasonDeadlineExceeded, pod(143, ""), false, true, "activeDeadlineSeconds"},
		"the pod is gone":             {batchv1.JobFailed, "BackoffLimitExceeded", nil, false, true, "no container left an exit code"},
		"control characters":          {batchv1.JobFailed, "", pod(2, "a\x1b[31m\nb\x00c"), false, false, ": a [31m b c"},
		"a long message":              {batchv1.JobFailed, "", pod(2, strings.Repeat("ä", 4000)), false, false, "ä..."},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			j := &batchv1.Job{Status: batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: tc.condition, Status: corev1.ConditionTrue, Reason: tc.reason}}}}
			got := endOf(j, tc.pods)
			if said := got.describe("j"); got.succeeded != tc.succeeded || got.again != tc.again || !strings.Contains(said, tc.says) || len([]rune(said)) > 1200 {
				t.Errorf("%+v says %s", got, said)
			}
		})
	}
}
