// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package job runs whole tasks as Jobs (batch/v1), one per attempt, with a name that follows from the task. The container
// finds the task in its environment and in a file, through a Secret that the Job owns.
package job

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// Options say how Jobs are made.
type Options struct {
	// Client reaches the API server.
	Client kubernetes.Interface
	// Namespace is where Jobs run. Tasks of other namespaces are refused.
	Namespace string
	// Template is the pod template, as ParseTemplate returns it.
	Template corev1.PodTemplateSpec
	// ServiceAccountName is the pod's service account.
	ServiceAccountName string
	// ActiveDeadline is how long a Job may take.
	ActiveDeadline time.Duration
	// TTL is how long a finished Job is kept.
	TTL time.Duration
	// Owner is the API version and kind of the objects that stand for tasks, which own the Jobs.
	OwnerAPIVersion, OwnerKind string
}

// Executor is a provisioning.Executor. It may be used by several goroutines.
type Executor struct {
	options Options
	now     func() time.Time
}

var _ provisioning.Executor = (*Executor)(nil)

// New returns an Executor.
func New(o Options) *Executor { return &Executor{options: o, now: time.Now} }

const (
	// requestTimeout bounds one request to the API server.
	requestTimeout = 20 * time.Second
	// maxTTL is the longest time that a finished Job is kept, in what the API takes.
	maxTTL = (1<<31 - 1) * time.Second
	// maxJobs is how many Jobs of one task are looked at.
	maxJobs = 500
)

// Execute implements provisioning.Executor. A Job that is not finished is waited for, whichever attempt it is; a new one
// is made only where the last one asked for that, or a person started the task over.
func (e *Executor) Execute(ctx context.Context, task provisioning.Task) (string, error) {
	if task.Namespace != e.options.Namespace {
		return "", provisioning.Permanent(provisioning.ReasonRefused, errors.New("the task is in another namespace than the connector"))
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	last, err := e.lastJob(ctx, task)
	if err != nil {
		return "", err
	}
	if last == nil || startsOver(last, task) {
		return "", e.start(ctx, task)
	}
	if !finished(last) {
		if err := e.ensureSecret(ctx, last, task); err != nil {
			return "", err
		}
		return "", e.wait(ctx, last)
	}
	return e.result(ctx, last, task)
}

// startsOver tells whether a finished Job is of an earlier run than the task's.
func startsOver(last *batchv1.Job, task provisioning.Task) bool {
	return finished(last) && last.Labels[labelRun] != runOf(task)
}

// lastJob returns the task's Job that was made last, nil where there is none. All before it are finished: none is made
// while another runs.
func (e *Executor) lastJob(ctx context.Context, task provisioning.Task) (*batchv1.Job, error) {
	jobs, err := e.options.Client.BatchV1().Jobs(e.options.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labelTask + "=" + task.ID, Limit: maxJobs,
	})
	if err != nil {
		return nil, word(err, "list jobs")
	}
	var last *batchv1.Job
	for i := range jobs.Items {
		j := &jobs.Items[i]
		if last == nil || j.CreationTimestamp.After(last.CreationTimestamp.Time) ||
			(j.CreationTimestamp.Equal(&last.CreationTimestamp) && attemptOf(j) > attemptOf(last)) {
			last = j
		}
	}
	return last, nil
}

// start makes the Job of an attempt, and then the Secret that it waits for.
func (e *Executor) start(ctx context.Context, task provisioning.Task) error {
	wanted := e.job(task)
	jobs := e.options.Client.BatchV1().Jobs(e.options.Namespace)
	made, err := jobs.Create(ctx, wanted, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		if made, err = jobs.Get(ctx, wanted.Name, metav1.GetOptions{}); err == nil && made.Labels[labelTask] != task.ID {
			return provisioning.Permanent(provisioning.ReasonRefused, fmt.Errorf("a Job %q is in the way that the operator did not make", wanted.Name))
		}
	}
	if err != nil {
		return word(err, "create jobs")
	}
	if err := e.ensureSecret(ctx, made, task); err != nil {
		return err
	}
	return &provisioning.PendingError{After: firstLook, Err: fmt.Errorf("job %q was made", made.Name)}
}

// ensureSecret makes the Secret of a Job. It is deleted with the Job.
func (e *Executor) ensureSecret(ctx context.Context, j *batchv1.Job, task provisioning.Task) error {
	_, err := e.options.Client.CoreV1().Secrets(e.options.Namespace).Create(ctx, e.secret(j, task), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return word(err, "create secrets")
	}
	return nil
}

const (
	// firstLook and lastLook bound how soon a Job is looked at again: it takes as long as it has run.
	firstLook = 2 * time.Second
	lastLook  = 30 * time.Second
)

// wait says that a Job is under way, and what keeps it.
func (e *Executor) wait(ctx context.Context, j *batchv1.Job) error {
	after := min(max(e.now().Sub(j.CreationTimestamp.Time), firstLook), lastLook)
	pods, err := e.pods(ctx, j)
	if err != nil {
		return err
	}
	return &provisioning.PendingError{After: after, Err: fmt.Errorf("job %q %s", j.Name, progress(pods))}
}

// result turns a finished Job into its word. A Job is kept until its end was seen here: else a task whose Job is gone
// would be run again.
func (e *Executor) result(ctx context.Context, j *batchv1.Job, task provisioning.Task) (string, error) {
	if err := e.expire(ctx, j); err != nil {
		return "", err
	}
	pods, err := e.pods(ctx, j)
	if err != nil {
		return "", err
	}
	end := endOf(j, pods)
	switch {
	case end.succeeded:
		return end.describe(j.Name), nil
	case !end.again:
		return "", provisioning.Permanent(provisioning.ReasonTaskFailed, errors.New(end.describe(j.Name)))
	case task.Attempt > attemptOf(j):
		return "", e.start(ctx, task)
	default:
		return "", provisioning.Retryable(errors.New(end.describe(j.Name)))
	}
}

// expire lets a finished Job be deleted after its time.
func (e *Executor) expire(ctx context.Context, j *batchv1.Job) error {
	if j.Spec.TTLSecondsAfterFinished != nil {
		return nil
	}
	// Counted from its end, so that one that ended long ago must still outlive the write of the task's status.
	ttl := e.options.TTL + e.now().Sub(finishedAt(j))
	patch := fmt.Appendf(nil, `{"spec":{"ttlSecondsAfterFinished":%d}}`, int64(min(ttl, maxTTL).Seconds()))
	if _, err := e.options.Client.BatchV1().Jobs(j.Namespace).Patch(ctx, j.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return word(err, "patch jobs")
	}
	return nil
}

func (e *Executor) pods(ctx context.Context, j *batchv1.Job) ([]corev1.Pod, error) {
	pods, err := e.options.Client.CoreV1().Pods(e.options.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: batchv1.JobNameLabel + "=" + j.Name, Limit: 16,
	})
	if err != nil {
		return nil, word(err, "list pods")
	}
	var own []corev1.Pod
	for _, p := range pods.Items {
		if metav1.IsControlledBy(&p, j) {
			own = append(own, p)
		}
	}
	return own, nil
}

func attemptOf(j *batchv1.Job) int {
	n, err := strconv.Atoi(j.Labels[labelAttempt])
	if err != nil {
		return 0
	}
	return n
}

func finishedAt(j *batchv1.Job) time.Time {
	for _, c := range j.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}

func finished(j *batchv1.Job) bool { return !finishedAt(j).IsZero() }
