// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// WebhookBackend hands every task to another system: a POST signed by the Standard Webhooks scheme
// (https://www.standardwebhooks.com), with the taskID as webhook-id. Answers: 2xx done; 202 with a Location that is asked
// until it answers otherwise; 409 done before; 429 and 5xx try again; any other 4xx is an error for a person to look at.
// +kubebuilder:validation:XValidation:rule="url(self.url).getScheme() == 'https' || (has(self.allowInsecureHTTP) && self.allowInsecureHTTP) || url(self.url).getHostname() in ['localhost', '127.0.0.1', '::1']",fieldPath=".url",message="must be an https URL: tasks hold personal data. For plain http inside a protected network set `allowInsecureHTTP: true`"
type WebhookBackend struct {
	// url is where tasks are sent.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['https', 'http'] && url(self).getHost() != ''",message="must be an https URL, for example https://automation.example.com/hooks/access"
	// +kubebuilder:validation:XValidation:rule="!self.contains('@') && !self.contains('#')",message="must not contain user information or a fragment"
	URL string `json:"url,omitempty"`

	// allowInsecureHTTP allows a url with http. Default: false.
	// +optional
	AllowInsecureHTTP *bool `json:"allowInsecureHTTP,omitempty"`

	// secretRefs name the keys of Secrets that hold signing secrets: `whsec_` and base64 of 24 to 64 bytes. Every one signs,
	// so that the receiving side can be changed from one to the next without a gap.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	SecretRefs []SecretKeyReference `json:"secretRefs,omitempty"`

	// certificateAuthority holds the PEM certificates that the server's certificate is verified with. Absent: the
	// certificates of the operator's image.
	// +optional
	CertificateAuthority *KeySource `json:"certificateAuthority,omitempty"`

	// requestTimeoutSeconds is how long one request may take, in seconds. Default: 10.
	// +optional
	// +default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=60
	RequestTimeoutSeconds int32 `json:"requestTimeoutSeconds,omitempty"`

	// pollIntervalSeconds is how often the Location of a 202 is asked, in seconds, unless a Retry-After says otherwise.
	// Default: 10.
	// +optional
	// +default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	PollIntervalSeconds int32 `json:"pollIntervalSeconds,omitempty"`
}
