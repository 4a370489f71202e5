// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package crd_test

import (
	"testing"
)

// with is a patch that gives the connector another backend than scim.
func with(backend string) string { return "spec: {scim: null, " + backend + "}" }

func TestPostgreSQLAndMySQL(t *testing.T) {
	for name, tests := range map[string]map[string]row{
		"postgresql": {
			"a server":                 {connector, with("postgresql: {host: db.example.com, secretRef: {name: x}}"), nil},
			"no host":                  {connector, with("postgresql: {secretRef: {name: x}}"), []string{"spec.postgresql.host", "Required"}},
			"a host with a port":       {connector, with("postgresql: {host: 'db:5432/x', secretRef: {name: x}}"), []string{"spec.postgresql.host", "without a port"}},
			"no credentials":           {connector, with("postgresql: {host: db}"), []string{"spec.postgresql.secretRef", "Required"}},
			"a mode of another world":  {connector, with("postgresql: {host: db, secretRef: {name: x}, tls: {mode: prefer}}"), []string{"spec.postgresql.tls.mode", "VerifyFull", "Disabled"}},
			"accounts are not deleted": {connector, with("postgresql: {host: db, secretRef: {name: x}}, lifecycle: {onRemove: DeleteAccount}"), []string{"spec.lifecycle.onRemove", "DeactivateAccount"}},
			"a port that is none":      {connector, with("postgresql: {host: db, port: 70000, secretRef: {name: x}}"), []string{"spec.postgresql.port", "65535"}},
			"levels are needed":        {connector, with("permissionLevels: null, postgresql: {host: db, secretRef: {name: x}}"), []string{"spec.permissionLevels"}},
		},
		"mysql": {
			"a server":                 {connector, with("mysql: {host: 10.0.0.1, accountHost: '10.%', secretRef: {name: x}, accounts: {passwordSecretRef: {name: z}}}"), nil},
			"accounts are not deleted": {connector, with("mysql: {host: db, secretRef: {name: x}}, lifecycle: {onRemove: DeleteAccount}"), []string{"spec.lifecycle.onRemove", "locked instead"}},
			"no host":                  {connector, with("mysql: {secretRef: {name: x}}"), []string{"spec.mysql.host", "Required"}},
		},
	} {
		t.Run(name, func(t *testing.T) { try(t, tests) })
	}
}

func TestKubernetes(t *testing.T) {
	try(t, map[string]row{
		"this cluster":             {connector, with("kubernetes: {serviceAccountName: binder}"), nil},
		"another cluster":          {connector, with("kubernetes: {kubeconfigSecretRef: {name: x, key: kubeconfig}, subjectKind: Group}"), nil},
		"neither":                  {connector, with("kubernetes: {}"), []string{"spec.kubernetes", "exactly one", "serviceAccountName kubeconfigSecretRef"}},
		"both":                     {connector, with("kubernetes: {serviceAccountName: b, kubeconfigSecretRef: {name: x, key: z}}"), []string{"spec.kubernetes", "exactly one"}},
		"a name that is none":      {connector, with("kubernetes: {serviceAccountName: 'a b'}"), []string{"spec.kubernetes.serviceAccountName", "the name of a service account"}},
		"a kind that is none":      {connector, with("kubernetes: {serviceAccountName: b, subjectKind: Robot}"), []string{"spec.kubernetes.subjectKind", "User", "Group"}},
		"there are no accounts":    {connector, with("kubernetes: {serviceAccountName: b}, lifecycle: {onRemove: DeactivateAccount}"), []string{"spec.lifecycle.onRemove", "Kubernetes has no accounts"}},
		"a timeout of an eternity": {connector, with("kubernetes: {serviceAccountName: b, requestTimeoutSeconds: 3600}"), []string{"requestTimeoutSeconds", "60"}},
	})
}

func TestJobAndWebhook(t *testing.T) {
	try(t, map[string]row{
		"a job needs no levels":       {connector, with("permissionLevels: null, job: {template: {spec: {containers: [{name: a, image: b}]}}}"), nil},
		"a job with levels":           {connector, with("job: {serviceAccountName: x, template: {spec: {containers: [{name: a, image: b}]}}}"), nil},
		"a job without a template":    {connector, with("job: {serviceAccountName: x}"), []string{"spec.job.template", "Required"}},
		"a template that is a text":   {connector, with("job: {template: x}"), []string{"spec.job.template", "object"}},
		"a job that goes in a minute": {connector, with("job: {ttlSecondsAfterFinished: 60, template: {spec: {}}}"), []string{"ttlSecondsAfterFinished", "300"}},
		"a webhook needs no levels":   {connector, with("permissionLevels: null, webhook: {url: 'https://example.com/x?a=b', secretRefs: [{name: x, key: z}]}"), nil},
		"a webhook without a secret":  {connector, with("webhook: {url: 'https://example.com', secretRefs: []}"), []string{"spec.webhook.secretRefs", "at least 1"}},
		"a webhook over plain http":   {connector, with("webhook: {url: 'http://example.com', secretRefs: [{name: x, key: z}]}"), []string{"spec.webhook.url", "allowInsecureHTTP: true"}},
		"a webhook with a password":   {connector, with("webhook: {url: 'https://u:p@example.com', secretRefs: [{name: x, key: z}]}"), []string{"spec.webhook.url", "user information"}},
		"plain http where allowed":    {connector, with("webhook: {url: 'http://n8n.n8n', allowInsecureHTTP: true, secretRefs: [{name: x, key: z}]}"), nil},
		"a job and a webhook":         {connector, with("job: {template: {spec: {}}}, webhook: {url: 'https://example.com', secretRefs: [{name: x, key: z}]}"), []string{"spec", "exactly one"}},
	})
}

func TestLDAP(t *testing.T) {
	ldap := func(text string) string {
		return with("ldap: {url: 'ldaps://dc1', bindDN: 'cn=o', passwordSecretRef: {name: x, key: z}, users: {baseDN: 'dc=x', filter: '(mail={subject})'}, " + text + "}")
	}
	at := func(url, more string) string {
		return with("ldap: {url: '" + url + "', bindDN: 'cn=o', passwordSecretRef: {name: x, key: z}, users: {baseDN: 'dc=x', filter: '(mail={subject})'}" + more + "}")
	}
	try(t, map[string]row{
		"ldaps":                      {connector, at("ldaps://dc1.example.com:636", ""), nil},
		"ldap with StartTLS":         {connector, at("ldap://dc1.example.com", ", startTLS: true"), nil},
		"ldap on loopback":           {connector, at("ldap://127.0.0.1:389", ""), nil},
		"plain ldap":                 {connector, at("ldap://dc1.example.com", ""), []string{"spec.ldap.url", "startTLS: true", "allowInsecure: true"}},
		"plain ldap where allowed":   {connector, at("ldap://dc1.example.com", ", allowInsecure: true"), nil},
		"StartTLS over TLS":          {connector, at("ldaps://dc1.example.com", ", startTLS: true"), []string{"spec.ldap.startTLS", "protected from the start"}},
		"a web address":              {connector, at("https://dc1.example.com", ""), []string{"spec.ldap.url", "an ldaps or ldap URL"}},
		"a base in the address":      {connector, at("ldaps://dc1/dc=example", ""), []string{"spec.ldap.url", "an ldaps or ldap URL"}},
		"a filter without a subject": {connector, ldap("users: {baseDN: x, filter: '(mail=x)'}"), []string{"spec.ldap.users.filter", "{subject} exactly once"}},
		"a filter with two":          {connector, ldap("users: {baseDN: x, filter: '(|(a={subject})(b={subject}))'}"), []string{"spec.ldap.users.filter", "exactly once"}},
		"a filter that is none":      {connector, ldap("users: {baseDN: x, filter: 'mail={subject}'}"), []string{"spec.ldap.users.filter", "in parentheses"}},
		"no users":                   {connector, ldap("users: null"), []string{"spec.ldap.users", "Required"}},
		"new accounts":               {connector, ldap("newAccounts: {baseDN: x, objectClasses: [user], attributes: [{name: mail, value: '{subject}'}]}"), nil},
		"an attribute twice":         {connector, ldap("newAccounts: {baseDN: x, objectClasses: [user], attributes: [{name: mail, value: a}, {name: mail, value: b}]}"), []string{"attributes[1]", "Duplicate"}},
		"disabling in AD":            {connector, ldap("disabling: {method: UserAccountControl}"), nil},
		"disabling by an attribute":  {connector, ldap("disabling: {method: Attribute, attribute: nsAccountLock, inactiveValue: 'TRUE'}"), nil},
		"an attribute without value": {connector, ldap("disabling: {method: Attribute, attribute: nsAccountLock}"), []string{"spec.ldap.disabling", "inactiveValue must be given"}},
		"a value for another method": {connector, ldap("disabling: {method: PasswordPolicy, inactiveValue: x}"), []string{"spec.ldap.disabling", "for no other"}},
		"a class of groups":          {connector, ldap("groups: {objectClass: posixGroup}"), []string{"spec.ldap.groups.objectClass", "groupOfNames"}},
	})
}
