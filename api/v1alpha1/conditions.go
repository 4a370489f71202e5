// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types of an AccessTask.
const (
	// ConditionSucceeded is the summary of a task: Unknown while there is something to do or to wait for, True or False
	// for good.
	ConditionSucceeded = "Succeeded"
	// ConditionReconciling is True while the operator works on the task or waits for something that comes by itself.
	// Absent otherwise (kstatus).
	ConditionReconciling = "Reconciling"
	// ConditionStalled is True when a person must look. Absent otherwise (kstatus).
	ConditionStalled = "Stalled"
	// ConditionRouted says whether a Connector was chosen for the task.
	ConditionRouted = "Routed"
	// ConditionProvisioned is True when the target system was seen to be as wanted, or, with the reason Unverifiable,
	// accepted every change and cannot show them.
	ConditionProvisioned = "Provisioned"
	// ConditionChecked says what Cakewalk said of the task before the first change: True when it is open and as announced,
	// False when it is not, Unknown when it could not be asked. Absent where it is not asked.
	ConditionChecked = "Checked"
	// ConditionReported is True when Cakewalk knows how the task ended, False when it refuses to take that in, Unknown
	// while it is still to be told. Absent where there is nothing to tell.
	ConditionReported = "Reported"
)

// Reasons of Succeeded=Unknown.
const (
	// ReasonPending is the reason before the first visit, and while a task waits for its turn.
	ReasonPending = "Pending"
	// ReasonSuspended means that the task, or the Connector that it was routed to, is suspended.
	ReasonSuspended = "Suspended"
	// ReasonNoConnector means that no Connector serves the task's application and request type.
	ReasonNoConnector = "NoConnector"
	// ReasonAmbiguousConnector means that several Connectors serve the task with equal right.
	ReasonAmbiguousConnector = "AmbiguousConnector"
	// ReasonConnectorNotReady means that the Connector cannot be used at the moment; its Ready condition says why.
	ReasonConnectorNotReady = "ConnectorNotReady"
	// ReasonWaitingForEarlierTask means that an older task of the same person and application goes first.
	ReasonWaitingForEarlierTask = "WaitingForEarlierTask"
	// ReasonWaitingForCakewalk means that Cakewalk's API has to confirm the task and cannot be asked at the moment.
	ReasonWaitingForCakewalk = "WaitingForCakewalk"
	// ReasonProvisioning means that the recorded changes are being made.
	ReasonProvisioning = "Provisioning"
	// ReasonRetrying means that an attempt failed and another is due at status.nextAttemptTime.
	ReasonRetrying = "Retrying"
	// ReasonWaitingForPerson means that a person has to make the change, and then to complete the task.
	ReasonWaitingForPerson = "WaitingForPerson"
	// ReasonDryRun means that the Connector only plans. status.changes shows the plan.
	ReasonDryRun = "DryRun"
)

// Reasons of Succeeded=True.
const (
	// ReasonProvisioned means that the operator changed the target system as wanted.
	ReasonProvisioned = "Provisioned"
	// ReasonAlreadyProvisioned means that the target system was as wanted, and nothing was changed.
	ReasonAlreadyProvisioned = "AlreadyProvisioned"
	// ReasonCompletedByPerson means that a person did it by hand, and said so in Cakewalk or by the complete annotation.
	ReasonCompletedByPerson = "CompletedByPerson"
)

// Reasons of Succeeded=False. Each but Cancelled, Superseded and HandledByCakewalk comes with Stalled=True.
const (
	// ReasonRejected means that Cakewalk does not know the task, or knows it otherwise than it was announced.
	ReasonRejected = "Rejected"
	// ReasonCancelled means that the request was cancelled or declined in Cakewalk.
	ReasonCancelled = "Cancelled"
	// ReasonHandledByCakewalk means that Cakewalk's own agent makes the change.
	ReasonHandledByCakewalk = "HandledByCakewalk"
	// ReasonSuperseded means that a newer task of the same person and application goes before it: nothing older is done
	// after something newer. Stalled where it would have taken away access that the newer one says nothing about.
	ReasonSuperseded = "Superseded"
	// ReasonPermanentError means that only a change by a person helps; the message says which.
	ReasonPermanentError = "PermanentError"
	// ReasonRetriesExhausted means that the Connector's retry.maxAttempts are used up.
	ReasonRetriesExhausted = "RetriesExhausted"
	// ReasonDeadlineExceeded means that the Connector's retry.deadlineSeconds have passed. On a removal, which is never
	// given up, it is the reason of Stalled alone.
	ReasonDeadlineExceeded = "DeadlineExceeded"
	// ReasonUnsupported means that the request is of a type that the operator leaves to a person.
	ReasonUnsupported = "Unsupported"
)

// Reasons of Routed, Provisioned and Reconciling that are not reasons of Succeeded.
const (
	// ReasonConnectorChosen is the reason of Routed=True.
	ReasonConnectorChosen = "ConnectorChosen"
	// ReasonNotProvisioned is the reason of Provisioned=False: the target system is not as wanted, or not known to be.
	ReasonNotProvisioned = "NotProvisioned"
	// ReasonUnverifiable is the reason of Provisioned=True where the target system accepted every change and cannot
	// show them.
	ReasonUnverifiable = "Unverifiable"
	// ReasonProgressing is the reason of Reconciling while a task is worked on or waits.
	ReasonProgressing = "Progressing"
	// ReasonProgressingWithRetry is the reason of Reconciling while a failed attempt is to be repeated.
	ReasonProgressingWithRetry = "ProgressingWithRetry"
)

// Reasons of Checked and Reported that are not reasons of Succeeded.
const (
	// ReasonConfirmed is the reason of Checked=True: the task is open in Cakewalk and as announced.
	ReasonConfirmed = "Confirmed"
	// ReasonApproved is the reason of Reported=True: the operator approved the task in Cakewalk.
	ReasonApproved = "Approved"
	// ReasonAlreadyApproved is the reason of Reported=True where somebody else had approved the task in Cakewalk.
	ReasonAlreadyApproved = "AlreadyApproved"
	// ReasonDeclined is the reason of Reported where the operator declined the task in Cakewalk (True), or somebody else
	// declined it after the access was changed (False).
	ReasonDeclined = "Declined"
	// ReasonReporting is the reason of Reported=Unknown: Cakewalk is still to be told.
	ReasonReporting = "Reporting"
	// ReasonReadOnlyKey means that the API key may read and not write: a key that may do both is needed to report.
	ReasonReadOnlyKey = "ReadOnlyKey"
	// ReasonReportRefused means that Cakewalk does not take the report as it is.
	ReasonReportRefused = "ReportRefused"
	// ReasonTaskNotFound means that Cakewalk does not know the task any more.
	ReasonTaskNotFound = "TaskNotFound"
	// ReasonReportAbandoned means that the task could not be reported for a week. It is not tried any more.
	ReasonReportAbandoned = "ReportAbandoned"
)

// Condition types of a Connector and a WebhookReceiver.
const (
	// ConditionReady says whether the object can be used.
	ConditionReady = "Ready"
	// ConditionVerified is True on a WebhookReceiver when a test event with a good signature arrived.
	ConditionVerified = "Verified"
	// ConditionConnected says on a WebhookReceiver whether Cakewalk's API answers with its credentials.
	ConditionConnected = "Connected"
)

// Reasons of Ready on a Connector.
const (
	// ReasonProbed means that the target system answered with the Connector's credentials.
	ReasonProbed = "Probed"
	// ReasonNoProbeNeeded means that the backend has nothing to probe.
	ReasonNoProbeNeeded = "NoProbeNeeded"
	// ReasonInvalidConfiguration means that the spec holds something that cannot work, for example a CEL expression
	// that does not compile.
	ReasonInvalidConfiguration = "InvalidConfiguration"
	// ReasonSecretNotFound means that a Secret or a ConfigMap, or a key of it, does not exist.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonUnauthorized means that the target system refuses the credentials.
	ReasonUnauthorized = "Unauthorized"
	// ReasonForbidden means that the credentials are known and may not do what the operator needs.
	ReasonForbidden = "Forbidden"
	// ReasonEndpointNotFound means that the address answers, and not as the backend's protocol does.
	ReasonEndpointNotFound = "EndpointNotFound"
	// ReasonUnreachable means that the target system does not answer, or not in time, or not with a trusted certificate.
	ReasonUnreachable = "Unreachable"
)

// Reasons of Ready and Verified on a WebhookReceiver.
const (
	// ReasonServing means that deliveries are accepted at status.path.
	ReasonServing = "Serving"
	// ReasonKeyNotFound means that no Secret, ConfigMap or key of them that holds verification keys exists.
	ReasonKeyNotFound = "KeyNotFound"
	// ReasonInvalidKey means that verification keys exist and none is usable.
	ReasonInvalidKey = "InvalidKey"
	// ReasonTestReceived is the reason of Verified=True.
	ReasonTestReceived = "TestReceived"
	// ReasonKeysNotFetched means that keys are to be fetched from Cakewalk and never were.
	ReasonKeysNotFetched = "KeysNotFetched"
)

// Reasons of Connected on a WebhookReceiver, beside SecretNotFound, Unauthorized, Unreachable and ReadOnlyKey.
const (
	// ReasonAnswering is the reason of Connected=True.
	ReasonAnswering = "Answering"
	// ReasonNotConfigured means that spec.cakewalkAPI is absent: tasks are not checked and not reported.
	ReasonNotConfigured = "NotConfigured"
	// ReasonRateLimited means that Cakewalk asks for fewer requests.
	ReasonRateLimited = "RateLimited"
)
