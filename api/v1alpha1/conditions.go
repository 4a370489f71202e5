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
	// ReasonCompletedByPerson means that a person said, by the complete annotation, that it was done by hand.
	ReasonCompletedByPerson = "CompletedByPerson"
)

// Reasons of Succeeded=False. Each but Superseded comes with Stalled=True.
const (
	// ReasonSuperseded means that a newer removal of the same person and application was carried out first: what is older
	// and gives access is not carried out any more.
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

// Condition types of a Connector and a WebhookReceiver.
const (
	// ConditionReady says whether the object can be used.
	ConditionReady = "Ready"
	// ConditionVerified is True on a WebhookReceiver when a test event with a good signature arrived.
	ConditionVerified = "Verified"
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
)
