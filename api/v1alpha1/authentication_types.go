// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// HeaderAuthentication is authentication by a header field.
type HeaderAuthentication struct {
	// name is the name of the header field, for example X-API-Key. Default: Authorization.
	// +optional
	// +default="Authorization"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9-]+$') && !(self.lowerAscii() in ['host', 'content-length', 'transfer-encoding', 'connection', 'content-type', 'user-agent'])",message="must be a header field for credentials, such as Authorization or X-API-Key"
	Name string `json:"name,omitempty"`

	// prefix stands before the value, with a space between them, for example SSWS. Absent: the value alone.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[!-~]+$')",message="must be printable ASCII without spaces"
	Prefix string `json:"prefix,omitempty"`

	// valueSecretRef names the key of a Secret that holds the value.
	// +required
	ValueSecretRef SecretKeyReference `json:"valueSecretRef,omitzero"`
}

// JWTAlgorithm is how an assertion is signed (RFC 7518).
// +kubebuilder:validation:Enum=RS256;ES256
type JWTAlgorithm string

// JWTBearerAuthentication is authentication by a token that is got for a signed assertion.
type JWTBearerAuthentication struct {
	// tokenURL is the token endpoint of the authorization server, an https URL.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && (url(self).getScheme() == 'https' || (url(self).getScheme() == 'http' && url(self).getHostname() in ['localhost', '127.0.0.1', '::1']))",message="must be an https URL: the signed assertion is sent there"
	// +kubebuilder:validation:XValidation:rule="!self.contains('@') && !self.contains('#')",message="must not contain user information or a fragment"
	TokenURL string `json:"tokenURL,omitempty"`

	// privateKeySecretRef names the key of a Secret that holds the private key in PEM: RSA for RS256, P-256 for ES256.
	// +required
	PrivateKeySecretRef SecretKeyReference `json:"privateKeySecretRef,omitzero"`

	// keyID is the assertion's kid. Absent: none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	KeyID string `json:"keyID,omitempty"`

	// algorithm is how the assertion is signed. Default: RS256.
	// +optional
	// +default="RS256"
	Algorithm JWTAlgorithm `json:"algorithm,omitempty"`

	// issuer is the assertion's iss, for example a service account's email address.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Issuer string `json:"issuer,omitempty"`

	// subject is the assertion's sub: on whose behalf it is. Default: the issuer.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Subject string `json:"subject,omitempty"`

	// audience is the assertion's aud. Default: the tokenURL.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Audience string `json:"audience,omitempty"`

	// scopes are the scopes that are asked for, in the request and in the assertion.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Scopes []string `json:"scopes,omitempty"`
}

// GitHubAppAuthentication is authentication as an installation of a GitHub App.
type GitHubAppAuthentication struct {
	// apiURL is the base URL of GitHub's API. Default: https://api.github.com.
	// +optional
	// +default="https://api.github.com"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && (url(self).getScheme() == 'https' || (url(self).getScheme() == 'http' && url(self).getHostname() in ['localhost', '127.0.0.1', '::1'])) && !self.contains('@') && !self.contains('?') && !self.contains('#')",message="must be an https URL, for example https://github.example.com/api/v3"
	APIURL string `json:"apiURL,omitempty"`

	// appID is the App's id, or its client id.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	AppID string `json:"appID,omitempty"`

	// installationID is the id of the App's installation in the organisation.
	// +required
	// +kubebuilder:validation:Minimum=1
	InstallationID int64 `json:"installationID,omitempty"`

	// privateKeySecretRef names the key of a Secret that holds the App's private key, RSA in PEM.
	// +required
	PrivateKeySecretRef SecretKeyReference `json:"privateKeySecretRef,omitzero"`
}
