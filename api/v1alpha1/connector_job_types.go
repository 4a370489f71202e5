// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/runtime"
)

// JobBackend runs every task as a Job (batch/v1) in the Connector's namespace. The container finds the task in
// environment variables (ACCESS_TASK_ID, ACCESS_TASK_REQUEST_TYPE, ACCESS_TASK_ACTION, ACCESS_TASK_SUBJECT,
// ACCESS_TASK_USER_EMAIL, ACCESS_TASK_WORK_APP, ACCESS_TASK_PERMISSION_LEVEL, ACCESS_TASK_ENTITLEMENTS,
// ACCESS_TASK_ATTEMPT) and in the file /var/run/access-task/event.json, in the words of Cakewalk's event. Exit code 0 is
// success, 75 (EX_TEMPFAIL) asks to be run again, every other one is an error for a person to look at. What the container
// writes to its termination message becomes the message of the task's status.
type JobBackend struct {
	// serviceAccountName is the service account of the Job's pod. Its token is mounted only if the template says so.
	// Default: default.
	// +optional
	// +default="default"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a service account"
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// template is the pod template (metadata and spec, as in a Job's spec.template). What it leaves open is set as Pod
	// Security's restricted profile wants it. restartPolicy is always Never.
	// +required
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	Template runtime.RawExtension `json:"template,omitempty,omitzero"`

	// activeDeadlineSeconds is how long a Job may take, in seconds; then it is ended, and the task tried again.
	// Default: 600.
	// +optional
	// +default=600
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	ActiveDeadlineSeconds int32 `json:"activeDeadlineSeconds,omitempty"`

	// ttlSecondsAfterFinished is how long a finished Job is kept, with its pod and its Secret, in seconds. Default: 86400.
	// +optional
	// +default=86400
	// +kubebuilder:validation:Minimum=300
	// +kubebuilder:validation:Maximum=2592000
	TTLSecondsAfterFinished int32 `json:"ttlSecondsAfterFinished,omitempty"`
}
