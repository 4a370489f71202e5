// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RequestType is a request type that a Connector can serve.
// +kubebuilder:validation:Enum=GrantAccessRequest;RemoveAccessRequest;ChangePermissionLevelRequest;ArchiveWorkAppRequest;AddNewManagedWorkAppRequest
type RequestType string

// OnRemove says what a removal does to an account that holds none of the Connector's entitlements any more.
// +kubebuilder:validation:Enum=RemoveEntitlements;DeactivateAccount;DeleteAccount
type OnRemove string

const (
	// OnRemoveEntitlements leaves the account as it is.
	OnRemoveEntitlements OnRemove = "RemoveEntitlements"
	// OnRemoveDeactivate deactivates the account.
	OnRemoveDeactivate OnRemove = "DeactivateAccount"
	// OnRemoveDelete deletes the account.
	OnRemoveDelete OnRemove = "DeleteAccount"
)

// WorkAppMatch matches an application of Cakewalk, by its id or by its name. A match by id beats one by name.
// +kubebuilder:validation:ExactlyOneOf=id;name
type WorkAppMatch struct {
	// id is the work app's id in Cakewalk, a UUID; upper and lower case are equal.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	ID string `json:"id,omitempty"`

	// name is the work app's name in Cakewalk, exactly as it is written there.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Name string `json:"name,omitempty"`
}

// ConnectorMatch says which tasks a Connector serves: a task matches if any of the work apps does and every other list does.
type ConnectorMatch struct {
	// workApps lists the applications, by id or by name.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	WorkApps []WorkAppMatch `json:"workApps,omitempty"`

	// requestTypes lists the request types. Default: GrantAccessRequest, RemoveAccessRequest and
	// ChangePermissionLevelRequest. ArchiveWorkAppRequest and AddNewManagedWorkAppRequest are served only where listed.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=5
	// +default=["GrantAccessRequest","RemoveAccessRequest","ChangePermissionLevelRequest"]
	RequestTypes []RequestType `json:"requestTypes,omitempty"`

	// receivers lists the WebhookReceivers whose tasks are served. Absent: every receiver of the namespace.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Receivers []WebhookReceiverReference `json:"receivers,omitempty"`

	// acceptHandMadeTasks serves also tasks that no receiver stored. Such a task was approved by nobody: who may create
	// an AccessTask in the namespace can then hand out access. Default: false.
	// +optional
	AcceptHandMadeTasks *bool `json:"acceptHandMadeTasks,omitempty"`
}

// ConnectorIdentity says who a person is in the target system. The expressions are CEL over `user` (id, email, fullName
// of the target user, empty strings where Cakewalk names none) and `request` (type, targetWorkApp, permissionLevel,
// requestedBy, triggeredByUsersGroup), with the string functions lowerAscii, upperAscii, split, replace, substring and
// the like.
type ConnectorIdentity struct {
	// subject is a CEL expression that yields the identity, a string. Default: `user.email`.
	// +optional
	// +default="user.email"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Subject string `json:"subject,omitempty"`

	// attributes are CEL expressions that yield the attributes of an account that is created, by the attribute's name in
	// the target system, for example `displayName: user.fullName`. An attribute whose expression yields an empty string
	// is left out. Ignored for accounts that exist.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.matches('^[A-Za-z][A-Za-z0-9]*([.][A-Za-z][A-Za-z0-9]*)?$'))",message="the name of an attribute must be a word, or two joined by a dot, for example displayName or name.givenName"
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 128 && size(self[k]) >= 1 && size(self[k]) <= 1024)",message="an attribute's expression must have from 1 to 1024 characters"
	Attributes map[string]CELExpression `json:"attributes,omitempty"`
}

// CELExpression is an expression of the Common Expression Language that yields a string.
// +kubebuilder:validation:MaxLength=1024
type CELExpression string

// PermissionLevelMapping says what a permission level of Cakewalk means in the target system.
// +kubebuilder:validation:AtLeastOneOf=id;name;default
type PermissionLevelMapping struct {
	// id is the permission level's id in Cakewalk, a UUID; upper and lower case are equal.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	ID string `json:"id,omitempty"`

	// name is the permission level's name in Cakewalk, exactly as it is written there.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name,omitempty"`

	// default makes this the level of a request that names none. At most one level can be the default.
	// +optional
	Default *bool `json:"default,omitempty"`

	// entitlements are the groups, roles or teams of the target system that make up the level.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	Entitlements []string `json:"entitlements,omitempty"`
}

// ConnectorLifecycle says what happens to accounts in the target system.
type ConnectorLifecycle struct {
	// createAccount creates an account for a person who has none. False: a missing account is an error that says so.
	// Default: false.
	// +optional
	CreateAccount *bool `json:"createAccount,omitempty"`

	// onRemove says what a removal does, beyond taking the entitlements, to an account that then holds none of the
	// Connector's entitlements. Default: RemoveEntitlements, which is nothing more.
	// +optional
	// +default="RemoveEntitlements"
	OnRemove OnRemove `json:"onRemove,omitempty"`
}

// ConnectorRetry says how often and how long a task is tried again after an error that may pass.
// +kubebuilder:validation:XValidation:rule="!has(self.minDelaySeconds) || !has(self.maxDelaySeconds) || self.minDelaySeconds <= self.maxDelaySeconds",fieldPath=".minDelaySeconds",message="must not be greater than `maxDelaySeconds`"
type ConnectorRetry struct {
	// maxAttempts is how often a task is tried. A removal is tried on at the longest delay. Default: 12.
	// +optional
	// +default=12
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	MaxAttempts int32 `json:"maxAttempts,omitempty"`

	// minDelaySeconds is the delay after the first failed attempt, in seconds. It doubles with each, with a random part.
	// Default: 5.
	// +optional
	// +default=5
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3600
	MinDelaySeconds int32 `json:"minDelaySeconds,omitempty"`

	// maxDelaySeconds is the longest delay between two attempts, in seconds. Default: 900.
	// +optional
	// +default=900
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	MaxDelaySeconds int32 `json:"maxDelaySeconds,omitempty"`

	// deadlineSeconds is how long after its first attempt a task is given up, in seconds. A removal is never given up:
	// past the deadline it turns Stalled and is tried on. Default: 86400.
	// +optional
	// +default=86400
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2592000
	DeadlineSeconds int32 `json:"deadlineSeconds,omitempty"`
}

// ConnectorLimits bounds what the target system is asked to bear.
type ConnectorLimits struct {
	// requestsPerSecond is the steady rate of requests to the target system. Default: 10.
	// +optional
	// +default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	RequestsPerSecond int32 `json:"requestsPerSecond,omitempty"`

	// burst is how many requests may be made at once after a pause. Default: 20.
	// +optional
	// +default=20
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	Burst int32 `json:"burst,omitempty"`

	// maxConcurrent is how many tasks of this Connector are worked on at the same time. Default: 4.
	// +optional
	// +default=4
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=32
	MaxConcurrent int32 `json:"maxConcurrent,omitempty"`
}

// ManualBackend leaves every task to a person.
type ManualBackend struct {
	// instructions tell the person what to do. They are shown in the task's status, and must hold no secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Instructions string `json:"instructions,omitempty"`
}

// SCIMGroupIdentifier says what the entitlements of a SCIM Connector are.
// +kubebuilder:validation:Enum=DisplayName;ID
type SCIMGroupIdentifier string

const (
	// SCIMGroupDisplayName means that an entitlement is a group's displayName.
	SCIMGroupDisplayName SCIMGroupIdentifier = "DisplayName"
	// SCIMGroupID means that an entitlement is a group's id.
	SCIMGroupID SCIMGroupIdentifier = "ID"
)

// SCIMBackend provisions accounts and group memberships in a SCIM 2.0 service provider (RFC 7643, RFC 7644). A subject
// is a User's userName; an entitlement is a Group.
// +kubebuilder:validation:XValidation:rule="url(self.baseURL).getScheme() == 'https' || (has(self.allowInsecureHTTP) && self.allowInsecureHTTP) || url(self.baseURL).getHostname() in ['localhost', '127.0.0.1', '::1']",fieldPath=".baseURL",message="must be an https URL: credentials travel with every request. For plain http inside a protected network set `allowInsecureHTTP: true`"
type SCIMBackend struct {
	// baseURL is the base of the service provider's endpoints, without the resource type, for example
	// https://example.com/scim/v2.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['https', 'http'] && url(self).getHost() != ''",message="must be an https URL, for example https://example.com/scim/v2"
	// +kubebuilder:validation:XValidation:rule="!self.contains('@') && !self.contains('?') && !self.contains('#')",message="must not contain user information, a query or a fragment"
	BaseURL string `json:"baseURL,omitempty"`

	// allowInsecureHTTP allows a baseURL with http, so that credentials travel unencrypted. Default: false.
	// +optional
	AllowInsecureHTTP *bool `json:"allowInsecureHTTP,omitempty"`

	// authentication says how requests are authenticated: exactly one member.
	// +required
	Authentication HTTPAuthentication `json:"authentication,omitzero"`

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

	// groupIdentifier says what entitlements are: a group's DisplayName or its ID. Default: DisplayName.
	// +optional
	// +default="DisplayName"
	GroupIdentifier SCIMGroupIdentifier `json:"groupIdentifier,omitempty"`
}

// HTTPAuthentication says how requests to an HTTP API are authenticated: exactly one member.
// +kubebuilder:validation:ExactlyOneOf=bearer;basic;header;oauth2;jwtBearer;githubApp
type HTTPAuthentication struct {
	// bearer sends a token from a Secret (RFC 6750).
	// +optional
	Bearer *BearerAuthentication `json:"bearer,omitempty"`

	// basic sends a user name and a password from a Secret (RFC 7617).
	// +optional
	Basic *BasicAuthentication `json:"basic,omitempty"`

	// oauth2 gets a token by the client credentials grant of OAuth 2 (RFC 6749 section 4.4).
	// +optional
	OAuth2 *OAuth2Authentication `json:"oauth2,omitempty"`

	// header sends a header field with a value from a Secret, as for API keys.
	// +optional
	Header *HeaderAuthentication `json:"header,omitempty"`

	// jwtBearer gets a token for a signed assertion (RFC 7523 section 2.1), as Google's service accounts do.
	// +optional
	JWTBearer *JWTBearerAuthentication `json:"jwtBearer,omitempty"`

	// githubApp gets a token as an installation of a GitHub App.
	// +optional
	GitHubApp *GitHubAppAuthentication `json:"githubApp,omitempty"`
}

// BearerAuthentication is authentication by a bearer token.
type BearerAuthentication struct {
	// tokenSecretRef names the key of a Secret that holds the token.
	// +required
	TokenSecretRef SecretKeyReference `json:"tokenSecretRef,omitzero"`
}

// BasicAuthentication is authentication by user name and password.
type BasicAuthentication struct {
	// secretRef names a Secret with the keys username and password, such as one of the type kubernetes.io/basic-auth.
	// +required
	SecretRef SecretReference `json:"secretRef,omitzero"`
}

// OAuth2Authentication is authentication by a token that is got with client credentials.
type OAuth2Authentication struct {
	// tokenURL is the token endpoint of the authorization server, an https URL.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && (url(self).getScheme() == 'https' || (url(self).getScheme() == 'http' && url(self).getHostname() in ['localhost', '127.0.0.1', '::1']))",message="must be an https URL: the client's secret is sent there"
	// +kubebuilder:validation:XValidation:rule="!self.contains('@') && !self.contains('#')",message="must not contain user information or a fragment"
	TokenURL string `json:"tokenURL,omitempty"`

	// secretRef names a Secret with the keys clientID and clientSecret.
	// +required
	SecretRef SecretReference `json:"secretRef,omitzero"`

	// scopes are the scopes that are asked for. Absent: those that the authorization server gives by itself.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Scopes []string `json:"scopes,omitempty"`
}

// ConnectorSpec says which tasks a Connector serves, and how one application's access is provisioned.
// +kubebuilder:validation:ExactlyOneOf=scim;ldap;postgresql;mysql;kubernetes;http;job;webhook;manual
// +kubebuilder:validation:XValidation:rule="has(self.manual) || has(self.job) || has(self.webhook) || has(self.permissionLevels)",fieldPath=".permissionLevels",message="must say what the permission levels mean in the target system: without it nothing can be granted or removed"
// +kubebuilder:validation:XValidation:rule="!(has(self.postgresql) || has(self.mysql)) || !has(self.lifecycle) || !has(self.lifecycle.onRemove) || self.lifecycle.onRemove != 'DeleteAccount'",fieldPath=".lifecycle.onRemove",message="must not be DeleteAccount: accounts of databases own things, and are locked instead: DeactivateAccount"
// +kubebuilder:validation:XValidation:rule="!has(self.kubernetes) || !has(self.lifecycle) || !has(self.lifecycle.onRemove) || self.lifecycle.onRemove == 'RemoveEntitlements'",fieldPath=".lifecycle.onRemove",message="must be RemoveEntitlements: Kubernetes has no accounts"
type ConnectorSpec struct {
	// suspend stops provisioning: tasks that are routed here wait. Default: false.
	// +optional
	Suspend *bool `json:"suspend,omitempty"`

	// dryRun plans and shows the changes in the task's status, and makes none. Default: false.
	// +optional
	DryRun *bool `json:"dryRun,omitempty"`

	// priority decides between Connectors that match the same task: the highest is chosen. Default: 0.
	// +optional
	// +kubebuilder:validation:Minimum=-1000000
	// +kubebuilder:validation:Maximum=1000000
	Priority *int32 `json:"priority,omitempty"`

	// match says which tasks are served.
	// +required
	Match ConnectorMatch `json:"match,omitzero"`

	// identity says who a person is in the target system.
	// +optional
	// +default={}
	Identity ConnectorIdentity `json:"identity,omitzero"`

	// permissionLevels say what each level means in the target system, from the least powerful to the most. Required
	// for every backend but job, webhook and manual. Entitlements that are not listed here are never touched.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.filter(l, has(l.default) && l.default).size() <= 1",message="at most one permission level must have `default: true`"
	// +kubebuilder:validation:XValidation:rule="self.all(a, !has(a.name) || self.filter(b, has(b.name) && b.name == a.name).size() == 1)",message="a `name` must not be listed twice"
	// +kubebuilder:validation:XValidation:rule="self.all(a, !has(a.id) || self.filter(b, has(b.id) && b.id == a.id).size() == 1)",message="an `id` must not be listed twice"
	PermissionLevels []PermissionLevelMapping `json:"permissionLevels,omitempty"`

	// lifecycle says what happens to accounts.
	// +optional
	// +default={}
	Lifecycle ConnectorLifecycle `json:"lifecycle,omitzero"`

	// retry says how often and how long a task is tried again.
	// +optional
	// +default={}
	Retry ConnectorRetry `json:"retry,omitzero"`

	// limits bounds what the target system is asked to bear.
	// +optional
	// +default={}
	Limits ConnectorLimits `json:"limits,omitzero"`

	// probeIntervalSeconds is how often credentials and reachability are checked, in seconds. Default: 300.
	// +optional
	// +default=300
	// +kubebuilder:validation:Minimum=5
	// +kubebuilder:validation:Maximum=86400
	ProbeIntervalSeconds int32 `json:"probeIntervalSeconds,omitempty"`

	// scim provisions by SCIM 2.0.
	// +optional
	SCIM *SCIMBackend `json:"scim,omitempty"`

	// ldap provisions the membership of groups in a directory: OpenLDAP, Active Directory and others.
	// +optional
	LDAP *LDAPBackend `json:"ldap,omitempty"`

	// postgresql provisions the membership of roles in a PostgreSQL server.
	// +optional
	PostgreSQL *PostgreSQLBackend `json:"postgresql,omitempty"`

	// mysql provisions the membership of roles in a MariaDB or MySQL server.
	// +optional
	MySQL *MySQLBackend `json:"mysql,omitempty"`

	// kubernetes provisions RoleBindings and ClusterRoleBindings.
	// +optional
	Kubernetes *KubernetesBackend `json:"kubernetes,omitempty"`

	// http provisions through a REST API that is described here.
	// +optional
	HTTP *HTTPBackend `json:"http,omitempty"`

	// job runs every task as a batch/v1 Job.
	// +optional
	Job *JobBackend `json:"job,omitempty"`

	// webhook hands every task to another system, by a signed request.
	// +optional
	Webhook *WebhookBackend `json:"webhook,omitempty"`

	// manual leaves every task to a person, with instructions.
	// +optional
	Manual *ManualBackend `json:"manual,omitempty"`
}

// ConnectorTaskCounts counts the tasks that were routed to a Connector. It follows with a delay of seconds.
type ConnectorTaskCounts struct {
	// waiting counts unfinished tasks.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Waiting *int32 `json:"waiting,omitempty"`

	// failed counts tasks that finished without success.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Failed *int32 `json:"failed,omitempty"`

	// succeeded counts tasks that finished with success.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Succeeded *int32 `json:"succeeded,omitempty"`
}

// ConnectorStatus is what the operator knows of a Connector.
// +kubebuilder:validation:MinProperties=1
type ConnectorStatus struct {
	// conditions are Ready: whether the target system can be used; the reason and the message say what is wrong.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that the status speaks of; -1 before the first visit.
	// +optional
	ObservedGeneration *int64 `json:"observedGeneration,omitempty"`

	// lastProbeTime is when the target system was last probed.
	// +optional
	LastProbeTime *metav1.Time `json:"lastProbeTime,omitempty"`

	// backend is the kind of backend, for example scim: the name of its member in the spec.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Backend string `json:"backend,omitempty"`

	// tasks counts the tasks that were routed here.
	// +optional
	Tasks *ConnectorTaskCounts `json:"tasks,omitempty"`
}

// Connector says how one application is provisioned: which tasks it serves, in which target system, with which
// credentials, and what a permission level means there.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=acn,categories=access
// +kubebuilder:printcolumn:name="Backend",type=string,JSONPath=`.status.backend`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Waiting",type=integer,JSONPath=`.status.tasks.waiting`,description="Unfinished tasks"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Failed",type=integer,priority=1,JSONPath=`.status.tasks.failed`
// +kubebuilder:printcolumn:name="Succeeded",type=integer,priority=1,JSONPath=`.status.tasks.succeeded`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type Connector struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec says which tasks are served and how.
	// +required
	Spec ConnectorSpec `json:"spec,omitzero"`

	// status is what the operator knows of the Connector.
	// +optional
	// +default={"observedGeneration":-1}
	Status ConnectorStatus `json:"status,omitzero"`
}

// ConnectorList is a list of Connectors.
//
// +kubebuilder:object:root=true
type ConnectorList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []Connector `json:"items"`
}
