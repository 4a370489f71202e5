// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// KubernetesSubjectKind is what an identity is in the RoleBindings of a cluster.
// +kubebuilder:validation:Enum=User;Group
type KubernetesSubjectKind string

const (
	// KubernetesUser means that the identity is a user's name.
	KubernetesUser KubernetesSubjectKind = "User"
	// KubernetesGroup means that the identity is a group's name.
	KubernetesGroup KubernetesSubjectKind = "Group"
)

// KubernetesBackend provisions RoleBindings and ClusterRoleBindings, one per subject and role. An entitlement is
// ClusterRole/<name> (everywhere), ClusterRole/<namespace>/<name> (a ClusterRole in one namespace) or
// Role/<namespace>/<name>. Bindings that the operator did not make are never touched. The operator itself has no right to
// bind roles: it acts as the service account, or by the kubeconfig, that is named here.
// +kubebuilder:validation:ExactlyOneOf=serviceAccountName;kubeconfigSecretRef
type KubernetesBackend struct {
	// serviceAccountName is the service account of the Connector's namespace that the operator acts as, in its own cluster.
	// It needs the verbs get on the roles, get, list, create, update and delete on the bindings, and bind on the roles; and
	// the operator needs the verb impersonate on this service account.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="must be the name of a service account"
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// kubeconfigSecretRef names the key of a Secret that holds a kubeconfig, for another cluster. Its credentials must be in
	// the file itself: programs (exec) and paths of files are refused.
	// +optional
	KubeconfigSecretRef *SecretKeyReference `json:"kubeconfigSecretRef,omitempty"`

	// subjectKind says what the identity is: a User or a Group. Default: User.
	// +optional
	// +default="User"
	SubjectKind KubernetesSubjectKind `json:"subjectKind,omitempty"`

	// requestTimeoutSeconds is how long one request may take, in seconds. Default: 10.
	// +optional
	// +default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=60
	RequestTimeoutSeconds int32 `json:"requestTimeoutSeconds,omitempty"`
}
