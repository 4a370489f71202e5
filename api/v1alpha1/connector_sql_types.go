// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// DatabaseTLSMode says how the connection to a database is protected.
// +kubebuilder:validation:Enum=VerifyFull;VerifyCA;Disabled
type DatabaseTLSMode string

const (
	// DatabaseTLSVerifyFull verifies the server's certificate and its name.
	DatabaseTLSVerifyFull DatabaseTLSMode = "VerifyFull"
	// DatabaseTLSVerifyCA verifies the server's certificate and not its name.
	DatabaseTLSVerifyCA DatabaseTLSMode = "VerifyCA"
	// DatabaseTLSDisabled does not encrypt: for servers in a protected network.
	DatabaseTLSDisabled DatabaseTLSMode = "Disabled"
)

// DatabaseTLS says how the connection to a database is protected.
type DatabaseTLS struct {
	// mode is VerifyFull, VerifyCA (the certificate's name is not looked at) or Disabled (not encrypted). Default: VerifyFull.
	// +optional
	// +default="VerifyFull"
	Mode DatabaseTLSMode `json:"mode,omitempty"`

	// certificateAuthority holds the PEM certificates that the server's certificate is verified with. Absent: the
	// certificates of the operator's image.
	// +optional
	CertificateAuthority *KeySource `json:"certificateAuthority,omitempty"`
}

// DatabaseAccounts says how accounts are created in a database.
type DatabaseAccounts struct {
	// passwordSecretRef names a Secret of the Connector's namespace that the password of each account that is created is
	// written to before, under a key that begins with the account's name. The operator needs the verbs get, create and
	// update on it. Absent: accounts get no password that anybody knows, for servers that ask another system for it.
	// +optional
	PasswordSecretRef *SecretReference `json:"passwordSecretRef,omitempty"`
}

// PostgreSQLBackend provisions the membership of roles in a PostgreSQL server. A subject is a role that may log in, an
// entitlement is a role; names have a case, as in the catalogue. Deactivating takes the right to log in.
type PostgreSQLBackend struct {
	// host is the server's name or address.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9._:-]+$')",message="must be a host name or an address, without a port: that is the field `port`"
	Host string `json:"host,omitempty"`

	// port is the server's port. Default: 5432.
	// +optional
	// +default=5432
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// database is the database to connect to. Roles are the whole server's. Default: postgres.
	// +optional
	// +default="postgres"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Database string `json:"database,omitempty"`

	// secretRef names a Secret with the keys username and password, such as one of the type kubernetes.io/basic-auth.
	// +required
	SecretRef SecretReference `json:"secretRef,omitzero"`

	// tls says how the connection is protected. Default: the server's certificate and its name are verified.
	// +optional
	// +default={}
	TLS DatabaseTLS `json:"tls,omitzero"`

	// accounts says how accounts are created.
	// +optional
	// +default={}
	Accounts DatabaseAccounts `json:"accounts,omitzero"`

	// requestTimeoutSeconds is how long one request may take, in seconds. Default: 10.
	// +optional
	// +default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=60
	RequestTimeoutSeconds int32 `json:"requestTimeoutSeconds,omitempty"`
}

// MySQLBackend provisions the membership of roles in a MariaDB server, or a MySQL server from version 8 on. A subject is
// the name of a user, an entitlement is a role; names have a case. Deactivating locks the account.
type MySQLBackend struct {
	// host is the server's name or address.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9._:-]+$')",message="must be a host name or an address, without a port: that is the field `port`"
	Host string `json:"host,omitempty"`

	// port is the server's port. Default: 3306.
	// +optional
	// +default=3306
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// secretRef names a Secret with the keys username and password, such as one of the type kubernetes.io/basic-auth.
	// +required
	SecretRef SecretReference `json:"secretRef,omitzero"`

	// tls says how the connection is protected. Default: the server's certificate and its name are verified.
	// +optional
	// +default={}
	TLS DatabaseTLS `json:"tls,omitzero"`

	// accountHost is the host part of the accounts, for example `%` or `10.0.0.%`. Absent: an account is the one user of its
	// name, and one that is created is at `%`.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	AccountHost string `json:"accountHost,omitempty"`

	// accounts says how accounts are created.
	// +optional
	// +default={}
	Accounts DatabaseAccounts `json:"accounts,omitzero"`

	// requestTimeoutSeconds is how long one request may take, in seconds. Default: 10.
	// +optional
	// +default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=60
	RequestTimeoutSeconds int32 `json:"requestTimeoutSeconds,omitempty"`
}
