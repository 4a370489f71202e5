// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package job

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"getcakewalk.io/access-operator/internal/provisioning"
)

const (
	labelManagedBy = "app.kubernetes.io/managed-by"
	labelTask      = "access.getcakewalk.io/task"
	labelRun       = "access.getcakewalk.io/run"
	labelAttempt   = "access.getcakewalk.io/attempt"

	volume    = "access-task"
	mountPath = "/var/run/access-task"
	eventFile = "event.json"
)

// variables are the environment of a task's container, by the keys of the Secret that holds them.
func variables(task provisioning.Task) map[string]string {
	return map[string]string{
		"ACCESS_TASK_ID":               task.ID,
		"ACCESS_TASK_ACTION":           string(task.Kind),
		"ACCESS_TASK_SUBJECT":          task.Subject.ID,
		"ACCESS_TASK_PERMISSION_LEVEL": task.Level,
		"ACCESS_TASK_ENTITLEMENTS":     strings.Join(task.Entitlements, "\n"),
		"ACCESS_TASK_ATTEMPT":          strconv.Itoa(task.Attempt),
		"ACCESS_TASK_REQUEST_TYPE":     task.RequestType,
		"ACCESS_TASK_USER_EMAIL":       task.UserEmail,
		"ACCESS_TASK_WORK_APP":         task.WorkApp,
	}
}

// variableNames are the names of variables, in their order.
var variableNames = []string{
	"ACCESS_TASK_ID", "ACCESS_TASK_ACTION", "ACCESS_TASK_REQUEST_TYPE", "ACCESS_TASK_SUBJECT", "ACCESS_TASK_USER_EMAIL",
	"ACCESS_TASK_WORK_APP", "ACCESS_TASK_PERMISSION_LEVEL", "ACCESS_TASK_ENTITLEMENTS", "ACCESS_TASK_ATTEMPT",
}

// runOf names a run of a task in a label.
func runOf(task provisioning.Task) string {
	if task.Run == "" {
		return "0"
	}
	sum := sha256.Sum256([]byte(task.Run))
	return hex.EncodeToString(sum[:4])
}

// jobName is the name of the Job of one attempt. It fits into a label.
func jobName(task provisioning.Task) string {
	return fmt.Sprintf("access-%s-%s-%d", strings.ToLower(task.ID), runOf(task), task.Attempt)
}

// job is the Job of one attempt. It is owned by the object that stands for the task, so that it goes with it.
func (e *Executor) job(task provisioning.Task) *batchv1.Job {
	name := jobName(task)
	labels := map[string]string{
		labelManagedBy: "access-operator", labelTask: task.ID, labelRun: runOf(task), labelAttempt: strconv.Itoa(task.Attempt),
	}
	template := *e.options.Template.DeepCopy()
	if template.Labels == nil {
		template.Labels = map[string]string{}
	}
	maps.Copy(template.Labels, labels)
	template.Spec.ServiceAccountName = e.options.ServiceAccountName
	template.Spec.Volumes = append(template.Spec.Volumes, corev1.Volume{Name: volume, VolumeSource: corev1.VolumeSource{
		Secret: &corev1.SecretVolumeSource{SecretName: name, Items: []corev1.KeyToPath{{Key: eventFile, Path: eventFile}}},
	}})
	for i := range template.Spec.Containers {
		equip(&template.Spec.Containers[i], name)
	}
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: e.options.Namespace, Labels: labels,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: e.options.OwnerAPIVersion, Kind: e.options.OwnerKind, Name: task.Name, UID: types.UID(task.UID), Controller: new(true),
			}},
		},
		Spec: batchv1.JobSpec{
			// Repetitions are the operator's: it counts them and says so.
			BackoffLimit:          new(int32(0)),
			Completions:           new(int32(1)),
			Parallelism:           new(int32(1)),
			PodReplacementPolicy:  new(batchv1.Failed),
			ActiveDeadlineSeconds: new(int64(e.options.ActiveDeadline.Seconds())),
			Template:              template,
		},
	}
}

// equip gives a container the task.
func equip(c *corev1.Container, secret string) {
	env := make([]corev1.EnvVar, 0, len(variableNames)+len(c.Env))
	for _, name := range variableNames {
		env = append(env, corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: name,
		}}})
	}
	c.Env = append(env, c.Env...)
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volume, MountPath: mountPath, ReadOnly: true})
}

// secret holds the task for a Job's container. The Job owns it.
func (e *Executor) secret(j *batchv1.Job, task provisioning.Task) *corev1.Secret {
	// The Job may be one of an earlier attempt.
	task.Attempt = attemptOf(j)
	data := variables(task)
	data[eventFile] = string(task.Event)
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: j.Name, Namespace: j.Namespace, Labels: map[string]string{labelManagedBy: "access-operator", labelTask: task.ID},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: j.Name, UID: j.UID, Controller: new(true)}},
		},
		Immutable:  new(true),
		StringData: data,
	}
}
