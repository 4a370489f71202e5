// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// HMACAlgorithm is the hash of an HMAC signature.
// +kubebuilder:validation:Enum=SHA256;SHA384;SHA512
type HMACAlgorithm string

const (
	// HMACSHA256 is HMAC with SHA-256.
	HMACSHA256 HMACAlgorithm = "SHA256"
	// HMACSHA384 is HMAC with SHA-384.
	HMACSHA384 HMACAlgorithm = "SHA384"
	// HMACSHA512 is HMAC with SHA-512.
	HMACSHA512 HMACAlgorithm = "SHA512"
)

// HMACVerification verifies deliveries with shared secrets (RFC 2104). The signature may be written in hex or in base64,
// with or without the algorithm before it (`sha256=`). The algorithm is fixed here, never by the sender.
type HMACVerification struct {
	// header is the name of the header that carries the signature. Default: X-SIGNATURE.
	// +optional
	// +default="X-SIGNATURE"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9-]+$')",message="must be the name of an HTTP header: letters, digits and '-'"
	Header string `json:"header,omitempty"`

	// algorithm is the hash: SHA256, SHA384 or SHA512. Default: SHA256.
	// +optional
	// +default="SHA256"
	Algorithm HMACAlgorithm `json:"algorithm,omitempty"`

	// secretRefs name the secrets. Any one of them verifies a delivery, so that a secret is rotated by listing the old
	// one and the new one side by side. A secret should have 16 bytes or more; an empty one is refused.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	SecretRefs []SecretKeyReference `json:"secretRefs,omitempty"`
}

// RSAVerification verifies deliveries with Cakewalk's public RSA keys: PKCS #1 v1.5 with SHA-256 (RFC 8017), in base64.
// With both members, any key of either verifies.
// +kubebuilder:validation:AtLeastOneOf=keys;fetchFrom
type RSAVerification struct {
	// header is the name of the header that carries the signature. Default: X-SIGNATURE.
	// +optional
	// +default="X-SIGNATURE"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9-]+$')",message="must be the name of an HTTP header: letters, digits and '-'"
	Header string `json:"header,omitempty"`

	// keys holds one or more public keys in PEM (SPKI or PKCS #1). Any one of them verifies a delivery. Keys under 2048
	// bits are refused.
	// +optional
	Keys *KeySource `json:"keys,omitempty"`

	// fetchFrom is the URL that Cakewalk serves its public keys at, for example https://open-api.getcakewalk.io/api/Keys.
	// They are fetched with the credentials of spec.cakewalkAPI, every hour and, at most once a minute, when a signature
	// does not match. The last good ones are kept while Cakewalk is away.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['https', 'http'] && url(self).getHost() != ''",message="must be an https URL, for example https://open-api.getcakewalk.io/api/Keys"
	FetchFrom string `json:"fetchFrom,omitempty"`
}

// WebhookVerification says how deliveries are verified: exactly one member.
// +kubebuilder:validation:ExactlyOneOf=hmac;rsa
type WebhookVerification struct {
	// hmac verifies with shared secrets.
	// +optional
	HMAC *HMACVerification `json:"hmac,omitempty"`

	// rsa verifies with public RSA keys.
	// +optional
	RSA *RSAVerification `json:"rsa,omitempty"`
}

// CakewalkPreflight says whether Cakewalk is asked about a task before the first change.
// +kubebuilder:validation:Enum=Required;BestEffort;Disabled
type CakewalkPreflight string

const (
	// PreflightRequired changes nothing that Cakewalk did not confirm.
	PreflightRequired CakewalkPreflight = "Required"
	// PreflightBestEffort goes on while Cakewalk cannot be asked, and says so on the task.
	PreflightBestEffort CakewalkPreflight = "BestEffort"
	// PreflightDisabled does not ask.
	PreflightDisabled CakewalkPreflight = "Disabled"
)

// CakewalkOnSuccess says what Cakewalk is told when a task succeeded.
// +kubebuilder:validation:Enum=Approve;None
type CakewalkOnSuccess string

const (
	// OnSuccessApprove approves the task, which ends the request.
	OnSuccessApprove CakewalkOnSuccess = "Approve"
	// OnSuccessNone tells nothing.
	OnSuccessNone CakewalkOnSuccess = "None"
)

// CakewalkOnFailure says what Cakewalk is told when a task failed for good.
// +kubebuilder:validation:Enum=LeaveOpen;Decline
type CakewalkOnFailure string

const (
	// OnFailureLeaveOpen leaves the task open for a person.
	OnFailureLeaveOpen CakewalkOnFailure = "LeaveOpen"
	// OnFailureDecline declines the task, which ends the request of the person who asked.
	OnFailureDecline CakewalkOnFailure = "Decline"
)

// CakewalkAPI is Cakewalk's Open API: the truth about a task, of which a webhook is only a hint. A receiver never sends
// more than the documented 1,000 requests a minute.
// +kubebuilder:validation:XValidation:rule="url(self.url).getScheme() == 'https' || (has(self.allowInsecureHTTP) && self.allowInsecureHTTP) || url(self.url).getHostname() in ['localhost', '127.0.0.1', '::1']",fieldPath=".url",message="must be an https URL: credentials travel with every request. For plain http inside a protected network set `allowInsecureHTTP: true`"
type CakewalkAPI struct {
	// url is the base of the API, with its version. Default: https://open-api.getcakewalk.io/api/v1.
	// +optional
	// +default="https://open-api.getcakewalk.io/api/v1"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['https', 'http'] && url(self).getHost() != ''",message="must be an https URL, for example https://open-api.getcakewalk.io/api/v1"
	URL string `json:"url,omitempty"`

	// allowInsecureHTTP allows URLs with http, so that credentials travel unencrypted. Default: false.
	// +optional
	AllowInsecureHTTP *bool `json:"allowInsecureHTTP,omitempty"`

	// credentialsSecretRef names the Secret with the API's credentials under the keys apiKey and apiSecret. A key that is
	// read-only can be checked with and not reported with. The Secret is read again every 30 seconds.
	// +required
	CredentialsSecretRef SecretReference `json:"credentialsSecretRef,omitzero"`

	// certificateAuthority holds the PEM certificates that the server's certificate is verified with. Absent: the
	// certificates of the operator's image.
	// +optional
	CertificateAuthority *KeySource `json:"certificateAuthority,omitempty"`

	// preflight says whether Cakewalk is asked about a task before the first change, and again before a retry that comes
	// more than a minute later. Required changes nothing that Cakewalk did not confirm: while it is away, tasks wait.
	// BestEffort goes on while it is away, after saying so on the task. Disabled does not ask. Default: Required.
	// +optional
	// +default="Required"
	Preflight CakewalkPreflight `json:"preflight,omitempty"`

	// onSuccess says what Cakewalk is told when a task succeeded: Approve, or None for nothing. Default: Approve.
	// +optional
	// +default="Approve"
	OnSuccess CakewalkOnSuccess `json:"onSuccess,omitempty"`

	// onFailure says what Cakewalk is told when a task failed for good. LeaveOpen leaves it open for a person. Decline
	// ends the request of the person who asked; removals are never declined. Default: LeaveOpen.
	// +optional
	// +default="LeaveOpen"
	OnFailure CakewalkOnFailure `json:"onFailure,omitempty"`

	// openStatuses are the statuses of a task in Cakewalk that count as open. Absent: every status counts that is not
	// known to be that of a closed task.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	OpenStatuses []string `json:"openStatuses,omitempty"`

	// approveBody holds members of the JSON object that is sent to approve a task, since Cakewalk does not document
	// which it wants. Absent: an empty object.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:MaxProperties=32
	ApproveBody *runtime.RawExtension `json:"approveBody,omitempty"`

	// declineBody is the same for declining a task.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:MaxProperties=32
	DeclineBody *runtime.RawExtension `json:"declineBody,omitempty"`
}

// Backfill finds actionable tasks whose webhook never came, by asking Cakewalk for the open action tasks of users.
type Backfill struct {
	// intervalSeconds is how often Cakewalk is asked, in seconds. Default: 600.
	// +optional
	// +default=600
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=86400
	IntervalSeconds int32 `json:"intervalSeconds,omitempty"`

	// userIDs are the ids in Cakewalk of the users whose tasks are looked through: those whom action tasks of the
	// applications are assigned to. There is no list of all tasks.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=36
	// +kubebuilder:validation:items:Pattern=`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`
	UserIDs []string `json:"userIDs,omitempty"`
}

// WebhookReceiverLimits bounds what a receiver takes in. The API server is the queue, so the queue is bounded.
type WebhookReceiverLimits struct {
	// maxUnfinishedTasks is how many unfinished tasks of this receiver may exist before deliveries are answered 503 with
	// Retry-After. Default: 10000.
	// +optional
	// +default=10000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000000
	MaxUnfinishedTasks int32 `json:"maxUnfinishedTasks,omitempty"`

	// maxEventsPerDelivery is how many events one delivery may hold; one with more is answered 413 and nothing of it is
	// stored. Default: 1000.
	// +optional
	// +default=1000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	MaxEventsPerDelivery int32 `json:"maxEventsPerDelivery,omitempty"`
}

// WebhookReceiverSpec says how the deliveries of one webhook registration are verified and bounded, and how Cakewalk is
// asked and told about their tasks.
// +kubebuilder:validation:XValidation:rule="!has(self.verification.rsa) || !has(self.verification.rsa.fetchFrom) || has(self.cakewalkAPI)",fieldPath=".verification.rsa.fetchFrom",message="needs spec.cakewalkAPI: keys are fetched with its credentials"
// +kubebuilder:validation:XValidation:rule="!has(self.verification.rsa) || !has(self.verification.rsa.fetchFrom) || !has(self.cakewalkAPI) || url(self.verification.rsa.fetchFrom).getScheme() == 'https' || (has(self.cakewalkAPI.allowInsecureHTTP) && self.cakewalkAPI.allowInsecureHTTP) || url(self.verification.rsa.fetchFrom).getHostname() in ['localhost', '127.0.0.1', '::1']",fieldPath=".verification.rsa.fetchFrom",message="must be an https URL: credentials travel with the request. For plain http inside a protected network set spec.cakewalkAPI.allowInsecureHTTP: true"
// +kubebuilder:validation:XValidation:rule="!has(self.backfill) || has(self.cakewalkAPI)",fieldPath=".backfill",message="needs spec.cakewalkAPI"
// +kubebuilder:validation:XValidation:rule="!has(self.taskTTLSecondsAfterFinished) || (has(self.cakewalkAPI) && self.cakewalkAPI.preflight == 'Required')",fieldPath=".taskTTLSecondsAfterFinished",message="needs spec.cakewalkAPI with preflight Required: stored tasks are the memory against replayed deliveries, and where they are deleted Cakewalk must be asked"
type WebhookReceiverSpec struct {
	// suspend answers every delivery 503 with Retry-After. Default: false.
	// +optional
	Suspend *bool `json:"suspend,omitempty"`

	// verification says how deliveries are verified.
	// +required
	Verification WebhookVerification `json:"verification,omitzero"`

	// cakewalkAPI is Cakewalk's Open API. Absent: tasks are done as they are announced, nothing is reported, and
	// nothing tells a replayed delivery from a new one but the stored tasks.
	// +optional
	CakewalkAPI *CakewalkAPI `json:"cakewalkAPI,omitempty"`

	// backfill finds actionable tasks whose webhook never came. Absent: they are not looked for.
	// +optional
	Backfill *Backfill `json:"backfill,omitempty"`

	// taskTTLSecondsAfterFinished is how long the receiver's tasks are kept after they finished, in seconds. Absent:
	// they are kept. Needs preflight Required. It is taken over by tasks stored from then on.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TaskTTLSecondsAfterFinished *int32 `json:"taskTTLSecondsAfterFinished,omitempty"`

	// limits bounds what is taken in.
	// +optional
	// +default={}
	Limits WebhookReceiverLimits `json:"limits,omitzero"`
}

// FetchedKeys is what was fetched from spec.verification.rsa.fetchFrom.
type FetchedKeys struct {
	// fetchTime is when the keys were last fetched.
	// +optional
	FetchTime *metav1.Time `json:"fetchTime,omitempty"`

	// fingerprints are the SHA-256 hashes of the keys (DER, SPKI), in base64 after "SHA256:", each with its size in bits,
	// for example "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU (2048 bits)".
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	Fingerprints []string `json:"fingerprints,omitempty"`
}

// WebhookReceiverStatus is what the operator knows of a receiver.
// +kubebuilder:validation:MinProperties=1
type WebhookReceiverStatus struct {
	// conditions are Ready (deliveries are accepted), Verified (a test event with a good signature arrived) and Connected
	// (Cakewalk's API answers with the credentials).
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that the status speaks of; -1 before the first visit.
	// +optional
	ObservedGeneration *int64 `json:"observedGeneration,omitempty"`

	// path is the path of the URL to register at Cakewalk: /webhooks/<namespace>/<name>.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Path string `json:"path,omitempty"`

	// lastDeliveryTime is when a delivery with a good signature last arrived. It is written at most once a minute.
	// +optional
	LastDeliveryTime *metav1.Time `json:"lastDeliveryTime,omitempty"`

	// lastTestTime is when a test event with a good signature last arrived.
	// +optional
	LastTestTime *metav1.Time `json:"lastTestTime,omitempty"`

	// lastMismatchTime is when a signature last did not match keys that are fetched, which asks for fetching them again.
	// It is written at most once a minute.
	// +optional
	LastMismatchTime *metav1.Time `json:"lastMismatchTime,omitempty"`

	// fetchedKeys is what was last fetched from spec.verification.rsa.fetchFrom.
	// +optional
	FetchedKeys *FetchedKeys `json:"fetchedKeys,omitempty"`

	// lastBackfillTime is when the tasks of all users of spec.backfill were last looked through.
	// +optional
	LastBackfillTime *metav1.Time `json:"lastBackfillTime,omitempty"`
}

// WebhookReceiver is one webhook registration at Cakewalk. It is served at /webhooks/<namespace>/<name>.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=whr,categories=access
// +kubebuilder:printcolumn:name="Path",type=string,JSONPath=`.status.path`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Verified",type=string,JSONPath=`.status.conditions[?(@.type=="Verified")].status`
// +kubebuilder:printcolumn:name="Connected",type=string,JSONPath=`.status.conditions[?(@.type=="Connected")].status`
// +kubebuilder:printcolumn:name="Last Delivery",type=date,JSONPath=`.status.lastDeliveryTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="metadata.name must have at most 63 characters: it labels the receiver's tasks"
type WebhookReceiver struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec says how deliveries are verified and bounded.
	// +required
	Spec WebhookReceiverSpec `json:"spec,omitzero"`

	// status is what the operator knows of the receiver.
	// +optional
	// +default={"observedGeneration":-1}
	Status WebhookReceiverStatus `json:"status,omitzero"`
}

// WebhookReceiverList is a list of WebhookReceivers.
//
// +kubebuilder:object:root=true
type WebhookReceiverList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []WebhookReceiver `json:"items"`
}
