// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// LDAPBackend provisions the membership of groups in a directory: OpenLDAP, Active Directory and others that speak LDAP
// version 3 (RFC 4511). A subject is the one entry that users.filter finds. An entitlement is a group, by its distinguished name or
// by its name under groups.baseDN.
// +kubebuilder:validation:XValidation:rule="self.url.startsWith('ldaps://') || (has(self.startTLS) && self.startTLS) || (has(self.allowInsecure) && self.allowInsecure) || url(self.url).getHostname() in ['localhost', '127.0.0.1', '::1']",fieldPath=".url",message="must be an ldaps URL, or ldap with `startTLS: true`: the password travels over it. For plain ldap inside a protected network set `allowInsecure: true`"
// +kubebuilder:validation:XValidation:rule="!(self.url.startsWith('ldaps://') && has(self.startTLS) && self.startTLS)",fieldPath=".startTLS",message="must not be true with an ldaps URL, which is protected from the start"
type LDAPBackend struct {
	// url is the server's address, for example ldaps://dc1.example.com or ldap://ldap.example.com:389.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^ldaps?://[A-Za-z0-9._:\\\\[\\\\]-]+$')",message="must be an ldaps or ldap URL with a host and perhaps a port, for example ldaps://dc1.example.com"
	URL string `json:"url,omitempty"`

	// startTLS protects a connection of the scheme ldap before anything is sent over it. Default: false.
	// +optional
	StartTLS *bool `json:"startTLS,omitempty"`

	// allowInsecure allows ldap without startTLS, so that the password travels unencrypted. Default: false.
	// +optional
	AllowInsecure *bool `json:"allowInsecure,omitempty"`

	// certificateAuthority holds the PEM certificates that the server's certificate is verified with. Absent: the
	// certificates of the operator's image.
	// +optional
	CertificateAuthority *KeySource `json:"certificateAuthority,omitempty"`

	// bindDN is whom the operator binds as: a distinguished name, or what the directory takes for one, such as a
	// userPrincipalName of Active Directory.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	BindDN string `json:"bindDN,omitempty"`

	// passwordSecretRef names the key of a Secret that holds the password of bindDN.
	// +required
	PasswordSecretRef SecretKeyReference `json:"passwordSecretRef,omitzero"`

	// users says where people are found.
	// +required
	Users LDAPUsers `json:"users,omitzero"`

	// groups says where groups are found.
	// +optional
	// +default={}
	Groups LDAPGroups `json:"groups,omitzero"`

	// newAccounts says how an account is created. Absent: none is, also where lifecycle.createAccount is true.
	// +optional
	NewAccounts *LDAPNewAccounts `json:"newAccounts,omitempty"`

	// disabling says how an account is disabled. Absent: none is.
	// +optional
	Disabling *LDAPDisabling `json:"disabling,omitempty"`

	// requestTimeoutSeconds is how long one request may take, in seconds. Default: 10.
	// +optional
	// +default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=60
	RequestTimeoutSeconds int32 `json:"requestTimeoutSeconds,omitempty"`
}

// LDAPUsers says where people are found.
type LDAPUsers struct {
	// baseDN is the entry under which people are looked for, at any depth.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	BaseDN string `json:"baseDN,omitempty"`

	// filter is an LDAP filter (RFC 4515) that finds one person. `{subject}` in it stands for the identity, escaped.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.split('{subject}').size() == 2",message="must hold {subject} exactly once, for example (mail={subject})"
	// +kubebuilder:validation:XValidation:rule="self.startsWith('(') && self.endsWith(')')",message="must be an LDAP filter in parentheses, for example (mail={subject})"
	Filter string `json:"filter,omitempty"`
}

// LDAPGroups says where groups are found, and what they are.
type LDAPGroups struct {
	// baseDN is the entry under which groups are looked for by name, at any depth. Absent: entitlements must be
	// distinguished names.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	BaseDN string `json:"baseDN,omitempty"`

	// nameAttribute is the attribute that holds a group's name. Default: cn.
	// +optional
	// +default="cn"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z][A-Za-z0-9-]*$')",message="must be the name of an attribute, for example cn"
	NameAttribute string `json:"nameAttribute,omitempty"`

	// filter is an LDAP filter that a group must match besides, for example (objectClass=group). Absent: none.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('(') && self.endsWith(')')",message="must be an LDAP filter in parentheses, for example (objectClass=group)"
	Filter string `json:"filter,omitempty"`

	// memberAttribute is the attribute that holds the members. Absent: uniqueMember for groupOfUniqueNames, memberUid for
	// posixGroup, and member for all others.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z][A-Za-z0-9-]*$')",message="must be the name of an attribute, for example member"
	MemberAttribute string `json:"memberAttribute,omitempty"`

	// objectClass is the object class of groups that are created for AddNewManagedWorkAppRequest. Absent: none are.
	// +optional
	// +kubebuilder:validation:Enum=groupOfNames;groupOfUniqueNames;group
	ObjectClass string `json:"objectClass,omitempty"`

	// placeholderDN stands in a group whose schema wants a member while it has none. It need not exist, and never counts
	// as a member. Default: cn=access-operator-placeholder.
	// +optional
	// +default="cn=access-operator-placeholder"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	PlaceholderDN string `json:"placeholderDN,omitempty"`
}

// LDAPNewAccounts is the template of entries that are created. The attributes of the Connector's identity are set too,
// and go before those of the template.
type LDAPNewAccounts struct {
	// baseDN is the entry under which new entries are made.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	BaseDN string `json:"baseDN,omitempty"`

	// rdnAttribute is the attribute that names a new entry. Its value is the attribute's, else the identity. Default: cn.
	// +optional
	// +default="cn"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z][A-Za-z0-9-]*$')",message="must be the name of an attribute, for example cn or uid"
	RDNAttribute string `json:"rdnAttribute,omitempty"`

	// objectClasses are the object classes of a new entry, for example [inetOrgPerson], or [user] in Active Directory.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	ObjectClasses []string `json:"objectClasses,omitempty"`

	// attributes are the attributes of a new entry. `{subject}` in a value stands for the identity. They must make
	// users.filter find the entry.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Attributes []LDAPAttribute `json:"attributes,omitempty"`
}

// LDAPAttribute is an attribute of one value.
type LDAPAttribute struct {
	// name is the attribute's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z][A-Za-z0-9-]*$')",message="must be the name of an attribute, for example mail"
	Name string `json:"name,omitempty"`

	// value is the attribute's value.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Value string `json:"value,omitempty"`
}

// LDAPDisablingMethod says how an account is disabled.
// +kubebuilder:validation:Enum=UserAccountControl;PasswordPolicy;Attribute
type LDAPDisablingMethod string

const (
	// LDAPUserAccountControl sets the flag ACCOUNTDISABLE of Active Directory.
	LDAPUserAccountControl LDAPDisablingMethod = "UserAccountControl"
	// LDAPPasswordPolicy locks by pwdAccountLockedTime, as OpenLDAP's overlay ppolicy does.
	LDAPPasswordPolicy LDAPDisablingMethod = "PasswordPolicy"
	// LDAPDisablingAttribute sets an attribute of the directory's own.
	LDAPDisablingAttribute LDAPDisablingMethod = "Attribute"
)

// LDAPDisabling says how an account is disabled.
// +kubebuilder:validation:XValidation:rule="self.method == 'Attribute' ? has(self.attribute) && has(self.inactiveValue) : !has(self.attribute) && !has(self.inactiveValue) && !has(self.activeValue)",message="attribute and inactiveValue must be given for the method Attribute, and for no other"
type LDAPDisabling struct {
	// method is UserAccountControl (Active Directory), PasswordPolicy (OpenLDAP with the overlay ppolicy) or Attribute.
	// +required
	Method LDAPDisablingMethod `json:"method,omitempty"`

	// attribute is the attribute that says whether an account is disabled.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z][A-Za-z0-9-]*$')",message="must be the name of an attribute, for example nsAccountLock"
	Attribute string `json:"attribute,omitempty"`

	// inactiveValue is the attribute's value in an account that is disabled.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	InactiveValue string `json:"inactiveValue,omitempty"`

	// activeValue is the attribute's value in an account that is enabled. Absent: the attribute is taken away.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	ActiveValue string `json:"activeValue,omitempty"`
}
