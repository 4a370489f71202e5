// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	// +required
	Keys KeySource `json:"keys,omitzero"`
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

// WebhookReceiverSpec says how the deliveries of one webhook registration are verified and bounded.
type WebhookReceiverSpec struct {
	// suspend answers every delivery 503 with Retry-After. Default: false.
	// +optional
	Suspend *bool `json:"suspend,omitempty"`

	// verification says how deliveries are verified.
	// +required
	Verification WebhookVerification `json:"verification,omitzero"`

	// limits bounds what is taken in.
	// +optional
	// +default={}
	Limits WebhookReceiverLimits `json:"limits,omitzero"`
}

// WebhookReceiverStatus is what the operator knows of a receiver.
// +kubebuilder:validation:MinProperties=1
type WebhookReceiverStatus struct {
	// conditions are Ready (deliveries are accepted) and Verified (a test event with a good signature arrived).
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
}

// WebhookReceiver is one webhook registration at Cakewalk. It is served at /webhooks/<namespace>/<name>.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=whr,categories=access
// +kubebuilder:printcolumn:name="Path",type=string,JSONPath=`.status.path`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Verified",type=string,JSONPath=`.status.conditions[?(@.type=="Verified")].status`
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
