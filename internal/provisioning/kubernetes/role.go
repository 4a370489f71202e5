// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"getcakewalk.io/access-operator/internal/provisioning"
)

const (
	kindRole        = "Role"
	kindClusterRole = "ClusterRole"

	labelManagedBy = "app.kubernetes.io/managed-by"
	managedBy      = "access-operator"
	// labelRole selects the bindings of one role that the operator made.
	labelRole         = "access.getcakewalk.io/role-hash"
	annotationSubject = "access.getcakewalk.io/subject"
	annotationRole    = "access.getcakewalk.io/entitlement"
)

// role is what an entitlement means: a role, and where it is bound.
type role struct {
	// kind is Role or ClusterRole.
	kind string
	name string
	// namespace is where the role is bound; empty for everywhere.
	namespace string
}

// parseRole reads an entitlement: ClusterRole/<name>, ClusterRole/<namespace>/<name> or Role/<namespace>/<name>.
func parseRole(entitlement string) (role, error) {
	parts := strings.Split(entitlement, "/")
	if !slices.Contains(parts, "") && !slices.Contains(parts, ".") && !slices.Contains(parts, "..") {
		switch {
		case len(parts) == 2 && parts[0] == kindClusterRole:
			return role{kind: parts[0], name: parts[1]}, nil
		case len(parts) == 3 && (parts[0] == kindClusterRole || parts[0] == kindRole):
			return role{kind: parts[0], namespace: parts[1], name: parts[2]}, nil
		}
	}
	return role{}, provisioning.Permanent(provisioning.ReasonEntitlementNotFound, fmt.Errorf(
		"the entitlement %q is no role: it must be ClusterRole/<name>, ClusterRole/<namespace>/<name> or Role/<namespace>/<name>", entitlement))
}

func (r role) String() string {
	if r.namespace == "" {
		return r.kind + "/" + r.name
	}
	return r.kind + "/" + r.namespace + "/" + r.name
}

// ref is the role as a binding names it.
func (r role) ref() rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: r.kind, Name: r.name}
}

func (r role) bindingKind() string {
	if r.namespace == "" {
		return "ClusterRoleBinding"
	}
	return "RoleBinding"
}

// binding is the subject's binding of a role. Its name and labels follow from both, so that two operators, or one that
// was restarted, make the same.
func (b *Backend) binding(subject string, r role) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		TypeMeta: metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: r.bindingKind()},
		ObjectMeta: metav1.ObjectMeta{
			Name:        BindingName(b.subjectKind, subject, r.String()),
			Namespace:   r.namespace,
			Labels:      map[string]string{labelManagedBy: managedBy, labelRole: hash(r.String())},
			Annotations: map[string]string{annotationSubject: subject, annotationRole: r.String()},
		},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: b.subjectKind, Name: subject}},
		RoleRef:  r.ref(),
	}
}

// BindingName is the name of the binding that gives a subject an entitlement.
func BindingName(subjectKind, subject, entitlement string) string {
	return managedBy + "-" + hash(subjectKind+"\x00"+subject+"\x00"+entitlement)
}

// hash is short enough for a label and long enough that nobody finds two of the same.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// made tells whether the operator made a binding.
func made(b *rbacv1.RoleBinding) bool {
	return b.Labels[labelManagedBy] == managedBy && strings.HasPrefix(b.Name, managedBy+"-")
}

func name(b *rbacv1.RoleBinding) string {
	if b.Namespace == "" {
		return b.Name
	}
	return b.Namespace + "/" + b.Name
}
