// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Labels that the receiver sets on every AccessTask, for selection with kubectl. A value that is no valid label value
// (too long, other characters) is replaced by a hash of it that begins with "sha256-".
const (
	// LabelRequestType is the request's type, for example GrantAccessRequest.
	LabelRequestType = "access.getcakewalk.io/request-type"
	// LabelWorkAppID is the id of the work app that the request is about.
	LabelWorkAppID = "access.getcakewalk.io/work-app-id"
	// LabelTargetUserID is the id of the user whose access changes.
	LabelTargetUserID = "access.getcakewalk.io/target-user-id"
	// LabelReceiver is the name of the WebhookReceiver that stored the task.
	LabelReceiver = "access.getcakewalk.io/receiver"
	// LabelFoundBy is there on a task whose webhook never came, with the value FoundByBackfill. The receiver never sets it.
	LabelFoundBy = "access.getcakewalk.io/found-by"
	// LabelShard is the label by which an installation can be split (--watch-label-selector). It is set by people, on
	// WebhookReceivers and Connectors; a WebhookReceiver's goes on to its tasks.
	LabelShard = "access.getcakewalk.io/shard"
	// FoundByBackfill is the value of LabelFoundBy on a task that the backfill found.
	FoundByBackfill = "backfill"
)

// Annotations are a person's verbs on a task, so that RBAC and the API server's audit log cover them.
const (
	// AnnotationRetry starts a stalled task over, and makes a waiting retry due at once. Any value that was not handled
	// before counts; a time of day is a good one.
	AnnotationRetry = "access.getcakewalk.io/retry"
	// AnnotationComplete marks a task that waits for a person or is stalled as done by hand. The value says who and why.
	AnnotationComplete = "access.getcakewalk.io/complete"
)

// AnnotationPreflight is on a task whose WebhookReceiver had preflight Required or BestEffort when it stored the task, with
// that value: the task stops no other for good before Cakewalk was asked about it, or could not be. With Required, where
// the receiver is gone, and nobody can tell how to ask Cakewalk, the task is not done.
const AnnotationPreflight = "access.getcakewalk.io/preflight"

// AnnotationReceivedTime is spec.receivedTime of a task that the receiver stored, for those who watch the metadata of tasks
// alone: other receivers, which order what arrives after it.
const AnnotationReceivedTime = "access.getcakewalk.io/received-time"

// Request types that Cakewalk publishes for the event action_task.actionable. The list is open: a task of another type
// is stored and left to a person.
const (
	// RequestTypeGrantAccess gives a person a permission level in a work app.
	RequestTypeGrantAccess = "GrantAccessRequest"
	// RequestTypeRemoveAccess takes a permission level, or all access, from a person.
	RequestTypeRemoveAccess = "RemoveAccessRequest"
	// RequestTypeChangePermissionLevel replaces a person's permission level by another.
	RequestTypeChangePermissionLevel = "ChangePermissionLevelRequest"
	// RequestTypeArchiveWorkApp takes everybody's access to a work app.
	RequestTypeArchiveWorkApp = "ArchiveWorkAppRequest"
	// RequestTypeAddNewManagedWorkApp prepares a work app, so that access to it can be given.
	RequestTypeAddNewManagedWorkApp = "AddNewManagedWorkAppRequest"
)

// User is a person as Cakewalk names them.
type User struct {
	// id is the person's id in Cakewalk, a UUID in lower case.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	ID string `json:"id,omitempty"`

	// email is the person's email address as Cakewalk knows it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Email string `json:"email,omitempty"`

	// fullName is the person's name for display. It identifies nobody.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16384
	FullName string `json:"fullName,omitempty"`
}

// NamedObject is an object of Cakewalk (a work app, a permission level, a group) by its id and its name.
type NamedObject struct {
	// id is the object's id in Cakewalk, a UUID in lower case.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	ID string `json:"id,omitempty"`

	// name is the object's name in Cakewalk at the time of the event.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16384
	Name string `json:"name,omitempty"`
}

// AccessRequest is what was asked for and approved in Cakewalk: the requestMetadata of the event.
type AccessRequest struct {
	// type says what is to be done, for example GrantAccessRequest. The list is open: a type that this version does not
	// know is kept and left to a person.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Type string `json:"type,omitempty"`

	// requestedBy is the person who asked.
	// +optional
	RequestedBy *User `json:"requestedBy,omitempty"`

	// reviewedBy lists the persons who reviewed the request. Empty where the policy asks for no review.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	ReviewedBy []User `json:"reviewedBy,omitempty"`

	// targetWorkApp is the application that the request is about.
	// +optional
	TargetWorkApp *NamedObject `json:"targetWorkApp,omitempty"`

	// permissionLevel is the level asked for. Absent where the request names none.
	// +optional
	PermissionLevel *NamedObject `json:"permissionLevel,omitempty"`

	// targetUser is the person whose access changes.
	// +optional
	TargetUser *User `json:"targetUser,omitempty"`

	// triggeredByUsersGroup is the group whose change of members caused the request, where one did.
	// +optional
	TriggeredByUsersGroup *NamedObject `json:"triggeredByUsersGroup,omitempty"`
}

// AccessTaskSpec is the approved change. It cannot be changed after creation, except for suspend and
// ttlSecondsAfterFinished.
// +kubebuilder:validation:XValidation:rule="self.taskID == oldSelf.taskID",fieldPath=".taskID",message="must not change: a task is the record of one approved change"
// +kubebuilder:validation:XValidation:rule="has(self.receivedTime) == has(oldSelf.receivedTime) && (!has(self.receivedTime) || self.receivedTime == oldSelf.receivedTime)",fieldPath=".receivedTime",message="must not change: a task is the record of one approved change"
// +kubebuilder:validation:XValidation:rule="has(self.receiverRef) == has(oldSelf.receiverRef) && (!has(self.receiverRef) || self.receiverRef == oldSelf.receiverRef)",fieldPath=".receiverRef",message="must not change: a task is the record of one approved change"
// +kubebuilder:validation:XValidation:rule="has(self.assignedTo) == has(oldSelf.assignedTo) && (!has(self.assignedTo) || self.assignedTo == oldSelf.assignedTo)",fieldPath=".assignedTo",message="must not change: a task is the record of one approved change"
// +kubebuilder:validation:XValidation:rule="has(self.request) == has(oldSelf.request) && (!has(self.request) || self.request == oldSelf.request)",fieldPath=".request",message="must not change: a task is the record of one approved change"
type AccessTaskSpec struct {
	// taskID is the id of the action task in Cakewalk, a UUID in lower case. It is also the object's name.
	// +required
	// +kubebuilder:validation:MinLength=36
	// +kubebuilder:validation:MaxLength=36
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$')",message="must be a UUID in lower case, for example 7ac60a4b-4b4d-4fc1-988c-f95254591f06"
	TaskID string `json:"taskID,omitempty"`

	// receivedTime is when the event arrived, in microseconds. It orders the tasks of one person and application.
	// Absent: the object's creation time counts.
	// +optional
	ReceivedTime *metav1.MicroTime `json:"receivedTime,omitempty"`

	// receiverRef names the WebhookReceiver that verified and stored the event. Absent on a task that somebody made by
	// hand: such a task was approved by nobody, and only a Connector with match.acceptHandMadeTasks takes it.
	// +optional
	ReceiverRef *WebhookReceiverReference `json:"receiverRef,omitempty"`

	// assignedTo lists the persons whom Cakewalk assigned the action task to.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	AssignedTo []User `json:"assignedTo,omitempty"`

	// request is what was asked for and approved. Absent where the event carried no requestMetadata: such a task is
	// left to a person.
	// +optional
	Request *AccessRequest `json:"request,omitempty"`

	// suspend holds the task back: nothing is changed in the target system while it is true. Default: false.
	// +optional
	Suspend *bool `json:"suspend,omitempty"`

	// ttlSecondsAfterFinished is how long the object is kept after the task finished, in seconds. Then it is deleted.
	// Absent: it is kept. A task that is deleted is no longer a memory against replays of its delivery.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`
}

// ChangeAction is one kind of change in a target system.
// +kubebuilder:validation:Enum=CreateAccount;ActivateAccount;DeactivateAccount;DeleteAccount;AddEntitlement;RemoveEntitlement;RemoveAllMembers;CreateEntitlement;ExecuteTask
type ChangeAction string

// ChangeState says what became of a planned change.
// +kubebuilder:validation:Enum=Planned;Applied;Unverifiable
type ChangeState string

const (
	// ChangePlanned is a change that was decided and has not been seen to be in effect. It may or may not have been sent.
	ChangePlanned ChangeState = "Planned"
	// ChangeApplied is a change that was seen to be in effect in the target system.
	ChangeApplied ChangeState = "Applied"
	// ChangeUnverifiable is a change that the target system accepted and cannot show.
	ChangeUnverifiable ChangeState = "Unverifiable"
)

// TaskChange is one change in the target system: what was planned and what became of it.
type TaskChange struct {
	// action is what is done.
	// +required
	Action ChangeAction `json:"action,omitempty"`

	// entitlement is the group or role that the action is about. Absent for actions on the account.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Entitlement string `json:"entitlement,omitempty"`

	// members is how many members the entitlement had when the plan was made. Only for RemoveAllMembers.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Members *int32 `json:"members,omitempty"`

	// state says what became of the change: Planned, Applied or Unverifiable.
	// +required
	State ChangeState `json:"state,omitempty"`

	// time is when the state was reached.
	// +optional
	Time *metav1.Time `json:"time,omitempty"`
}

// AccessTaskStatus is what the operator observed and did.
// +kubebuilder:validation:MinProperties=1
type AccessTaskStatus struct {
	// conditions are Succeeded (the summary: Unknown while there is something to do or to wait for), Reconciling and
	// Stalled (present only when they apply), Routed, Checked (Cakewalk was asked before the first change), Provisioned and
	// Reported (Cakewalk knows how the task ended).
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that the status speaks of; -1 before the first visit.
	// +optional
	ObservedGeneration *int64 `json:"observedGeneration,omitempty"`

	// request is the request's type in short, for the column of the same name: Grant, Remove, ChangePermissionLevel,
	// ArchiveWorkApp, AddNewManagedWorkApp, or the type itself where it is another.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Request string `json:"request,omitempty"`

	// connectorRef names the Connector that the task was routed to.
	// +optional
	ConnectorRef *ConnectorReference `json:"connectorRef,omitempty"`

	// backend is the kind of backend of that Connector, for example scim.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Backend string `json:"backend,omitempty"`

	// subject is the identity in the target system, as the Connector derived it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Subject string `json:"subject,omitempty"`

	// purpose is the reason that the requester gave in Cakewalk, cut to 4,096 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Purpose string `json:"purpose,omitempty"`

	// taskCreationTime is when Cakewalk created the task. Where it is known it orders the tasks of one person and
	// application, in place of spec.receivedTime.
	// +optional
	TaskCreationTime *metav1.MicroTime `json:"taskCreationTime,omitempty"`

	// lastCheckTime is when Cakewalk last confirmed that the task is open and as announced. It is written together with
	// something else, and so may be older than the last question.
	// +optional
	LastCheckTime *metav1.Time `json:"lastCheckTime,omitempty"`

	// changes are the changes in the target system, in their order. They are recorded before the first is made. Empty
	// where nothing had to be changed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=512
	Changes []TaskChange `json:"changes,omitempty"`

	// attempts counts how often the task was tried in the target system since it was started or started over.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Attempts *int32 `json:"attempts,omitempty"`

	// startTime is when the first attempt began. The Connector's retry.deadlineSeconds counts from here.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// lastAttemptTime is when the newest attempt began.
	// +optional
	LastAttemptTime *metav1.Time `json:"lastAttemptTime,omitempty"`

	// nextAttemptTime is when the next attempt is due. Absent where none is planned.
	// +optional
	NextAttemptTime *metav1.Time `json:"nextAttemptTime,omitempty"`

	// completionTime is when the task finished, well or not. Absent while it is unfinished.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`

	// lastHandledRetry is the value of the annotation access.getcakewalk.io/retry that was handled last.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	LastHandledRetry string `json:"lastHandledRetry,omitempty"`
}

// AccessTask is one approved change of access, announced by Cakewalk: a record that runs to completion once.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=at,categories=access
// +kubebuilder:selectablefield:JSONPath=`.spec.request.type`
// +kubebuilder:selectablefield:JSONPath=`.spec.request.targetUser.email`
// +kubebuilder:selectablefield:JSONPath=`.status.connectorRef.name`
// +kubebuilder:selectablefield:JSONPath=`.status.completionTime`
// +kubebuilder:printcolumn:name="Request",type=string,JSONPath=`.status.request`,description="What is asked for"
// +kubebuilder:printcolumn:name="User",type=string,JSONPath=`.spec.request.targetUser.email`,description="Whose access changes"
// +kubebuilder:printcolumn:name="App",type=string,JSONPath=`.spec.request.targetWorkApp.name`,description="In which application"
// +kubebuilder:printcolumn:name="Level",type=string,JSONPath=`.spec.request.permissionLevel.name`,description="To which permission level"
// +kubebuilder:printcolumn:name="Connector",type=string,JSONPath=`.status.connectorRef.name`,description="The Connector that serves the application"
// +kubebuilder:printcolumn:name="Succeeded",type=string,JSONPath=`.status.conditions[?(@.type=="Succeeded")].status`,description="Unknown while there is something to do or to wait for"
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Succeeded")].reason`,description="Why Succeeded is what it is"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Attempts",type=integer,priority=1,JSONPath=`.status.attempts`,description="How often it was tried in the target system"
// +kubebuilder:printcolumn:name="Next",type=string,priority=1,JSONPath=`.status.nextAttemptTime`,description="When the next attempt is due"
// +kubebuilder:printcolumn:name="Reported",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Reported")].status`,description="Whether Cakewalk knows"
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Succeeded")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name == self.spec.taskID",message="metadata.name must be the taskID: a task exists once"
type AccessTask struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata. The name is the taskID.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the approved change.
	// +required
	Spec AccessTaskSpec `json:"spec,omitzero"`

	// status is what the operator observed and did.
	// +optional
	// +default={"observedGeneration":-1,"conditions":[{"type":"Succeeded","status":"Unknown","reason":"Pending","message":"waiting for the operator","lastTransitionTime":"1970-01-01T00:00:00Z"}]}
	Status AccessTaskStatus `json:"status,omitzero"`
}

// AccessTaskList is a list of AccessTasks.
//
// +kubebuilder:object:root=true
type AccessTaskList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []AccessTask `json:"items"`
}
