// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package job

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// exitTemporary is EX_TEMPFAIL of sysexits.h: the task may be tried again.
const exitTemporary = 75

// maxMessage is how much of a termination message is repeated, in characters. Kubernetes keeps 4,096 bytes of it.
const maxMessage = 1024

// end is how a Job ended.
type end struct {
	succeeded bool
	// again tells that it may be tried again.
	again bool
	// how says how it ended.
	how string
	// message is the container's termination message.
	message string
}

// describe is the end for people.
func (e end) describe(job string) string {
	text := fmt.Sprintf("job %q %s", job, e.how)
	if e.message != "" {
		text += ": " + e.message
	}
	return text
}

// endOf judges a finished Job by its condition and by what its containers left.
func endOf(j *batchv1.Job, pods []corev1.Pod) end {
	for _, c := range j.Status.Conditions {
		if c.Type == batchv1.JobComplete && c.Status == corev1.ConditionTrue {
			e := end{succeeded: true, how: "succeeded"}
			if t := terminated(pods, func(int32) bool { return true }); t != nil {
				e.message = clean(t.Message)
			}
			return e
		}
	}
	reason := ""
	for _, c := range j.Status.Conditions {
		if c.Type == batchv1.JobFailed && c.Status == corev1.ConditionTrue {
			reason = c.Reason
		}
	}
	if reason == batchv1.JobReasonDeadlineExceeded {
		return end{again: true, how: "was ended: it took longer than job.activeDeadlineSeconds"}
	}
	if t := terminated(pods, func(code int32) bool { return code != 0 }); t != nil {
		return end{again: t.ExitCode == exitTemporary || killed(t), how: fmt.Sprintf("ended with exit code %d (%s)", t.ExitCode, t.Reason), message: clean(t.Message)}
	}
	// The pod is gone: evicted, or its node lost. What it did is not known.
	return end{again: true, how: fmt.Sprintf("failed (%s), and no container left an exit code", reason)}
}

// killed tells whether the container was ended from outside: what it did is not known.
func killed(t *corev1.ContainerStateTerminated) bool { return t.ExitCode == 137 || t.ExitCode == 143 }

// terminated returns the first container, of those that the template lists first, whose exit code is as wanted.
func terminated(pods []corev1.Pod, wanted func(int32) bool) *corev1.ContainerStateTerminated {
	for _, p := range pods {
		for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			if t := s.State.Terminated; t != nil && wanted(t.ExitCode) && (t.Message != "" || t.ExitCode != 0) {
				return t
			}
		}
	}
	return nil
}

// clean makes a container's text fit for status: one line, without control characters, cut.
func clean(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }), " ")
	text = strings.TrimSpace(text)
	if runes := []rune(text); len(runes) > maxMessage {
		return string(runes[:maxMessage-3]) + "..."
	}
	return text
}

// progress says what an unfinished Job's pods do, or what keeps them.
func progress(pods []corev1.Pod) string {
	if len(pods) == 0 {
		return "has no pod yet; kubectl describe job tells why if this lasts"
	}
	for _, p := range pods {
		for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			if w := s.State.Waiting; w != nil && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" {
				return fmt.Sprintf("cannot start: %s %s", w.Reason, clean(w.Message))
			}
		}
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
				return fmt.Sprintf("waits for a node: %s", clean(c.Message))
			}
		}
	}
	return "runs"
}

// word turns an error of the API server into ours.
func word(err error, doing string) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return &provisioning.RetryableError{Unreachable: true, Err: fmt.Errorf("the API server did not answer to %s", doing)}
	}
	said := clean(status.Status().Message)
	switch code := int(status.Status().Code); {
	case code == http.StatusForbidden && strings.Contains(said, "exceeded quota"):
		return provisioning.Retryable(fmt.Errorf("the namespace's quota leaves no room: %s", said))
	case code == http.StatusForbidden || code == http.StatusUnauthorized:
		return provisioning.Unavailable(provisioning.ReasonAccessForbidden, fmt.Errorf("the operator may not %s in this namespace: %s", doing, said))
	case code == http.StatusTooManyRequests:
		seconds, _ := apierrors.SuggestsClientDelay(err)
		return &provisioning.RetryableError{
			After: time.Duration(min(max(seconds, 0), 3600)) * time.Second, RateLimited: true,
			Err: fmt.Errorf("the API server asks for fewer requests to %s", doing),
		}
	case code == http.StatusUnprocessableEntity || code == http.StatusBadRequest:
		return provisioning.Permanent(provisioning.ReasonRefused, fmt.Errorf("the API server refuses the Job: %s", said))
	default:
		return provisioning.Retryable(fmt.Errorf("the API server answered %d to %s: %s", code, doing, said))
	}
}
