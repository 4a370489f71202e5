// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package crd_test

import (
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

const httpConnector = `
apiVersion: access.getcakewalk.io/v1alpha1
kind: Connector
metadata: {name: c}
spec:
  match: {workApps: [{name: Grafana}]}
  permissionLevels: [{default: true, entitlements: [members]}]
  http:
    baseURL: https://api.example.com/v1
    authentication: {bearer: {tokenSecretRef: {name: x, key: token}}}
    operations:
      observe:
        account: {method: GET, path: "/users/{subject.id}"}
        holders: {method: GET, path: "/groups/{entitlement}/members"}
      addEntitlement: [{method: PUT, path: "/groups/{entitlement}/members/{user.id}"}]
`

// in is a patch of the http backend.
func in(patch string) string { return "spec: {http: {" + patch + "}}" }

// operating is a patch of the operations.
func operating(patch string) string { return in("operations: {" + patch + "}") }

// authenticated is a patch of the authentication.
func authenticated(patch string) string { return in("authentication: {bearer: null, " + patch + "}") }

func TestHTTP(t *testing.T) {
	for name, tests := range map[string]map[string]row{
		"backend": {
			"the least":           {httpConnector, "", nil},
			"plain http":          {httpConnector, in("baseURL: 'http://api.example.com'"), []string{"spec.http.baseURL", "allowInsecureHTTP: true"}},
			"plain http, allowed": {httpConnector, in("baseURL: 'http://api.internal', allowInsecureHTTP: true"), nil},
			"plain http here":     {httpConnector, in("baseURL: 'http://127.0.0.1:15672/api'"), nil},
			"a password in it":    {httpConnector, in("baseURL: 'https://u:p@api.example.com'"), []string{"spec.http.baseURL", "user information"}},
			"a query in it":       {httpConnector, in("baseURL: 'https://api.example.com?a=b'"), []string{"spec.http.baseURL", "a query"}},
			"not a URL":           {httpConnector, in("baseURL: api.example.com"), []string{"spec.http.baseURL", "https://example.com/api/v1"}},
			"answers without end": {httpConnector, in("maxResponseBytes: 1000000000"), []string{"spec.http.maxResponseBytes", "33554432"}},
			"no operations":       {httpConnector, in("operations: null"), []string{"spec.http.operations", "Required"}},
			"two backends":        {httpConnector, "spec: {manual: {instructions: x}}", []string{"spec", "exactly one"}},
			"no levels":           {httpConnector, "spec: {permissionLevels: null}", []string{"spec.permissionLevels"}},
		},
		"authentication": {
			"header":               {httpConnector, authenticated("header: {name: X-API-Key, valueSecretRef: {name: x, key: k}}"), nil},
			"a prefix":             {httpConnector, authenticated("header: {prefix: SSWS, valueSecretRef: {name: x, key: k}}"), nil},
			"Host":                 {httpConnector, authenticated("header: {name: Host, valueSecretRef: {name: x, key: k}}"), []string{"header.name", "X-API-Key"}},
			"a prefix of two":      {httpConnector, authenticated("header: {prefix: 'a b', valueSecretRef: {name: x, key: k}}"), []string{"header.prefix", "without spaces"}},
			"jwtBearer":            {httpConnector, authenticated("jwtBearer: {tokenURL: 'https://oauth2.googleapis.com/token', issuer: me, algorithm: ES256, privateKeySecretRef: {name: x, key: k}}"), nil},
			"jwtBearer over http":  {httpConnector, authenticated("jwtBearer: {tokenURL: 'http://example.com', issuer: me, privateKeySecretRef: {name: x, key: k}}"), []string{"jwtBearer.tokenURL", "https"}},
			"jwtBearer with HS256": {httpConnector, authenticated("jwtBearer: {tokenURL: 'https://example.com', issuer: me, algorithm: HS256, privateKeySecretRef: {name: x, key: k}}"), []string{"jwtBearer.algorithm", "RS256"}},
			"githubApp":            {httpConnector, authenticated("githubApp: {appID: Iv1, installationID: 1, privateKeySecretRef: {name: x, key: k}}"), nil},
			"githubApp without":    {httpConnector, authenticated("githubApp: {appID: '1', privateKeySecretRef: {name: x, key: k}}"), []string{"githubApp.installationID", "Required"}},
			"two":                  {httpConnector, in("authentication: {header: {valueSecretRef: {name: x, key: k}}}"), []string{"spec.http.authentication", "exactly one"}},
			"none":                 {httpConnector, in("authentication: {bearer: null}"), []string{"spec.http.authentication", "exactly one"}},
		},
		"operations": {
			"no observe":                {httpConnector, operating("observe: null"), []string{"operations.observe", "Required"}},
			"neither holders nor alone": {httpConnector, operating("observe: {holders: null}"), []string{"operations.observe", "exactly one"}},
			"both":                      {httpConnector, operating("observe: {membership: {method: GET, path: /x}}"), []string{"operations.observe", "exactly one"}},
			"no account and no check":   {httpConnector, operating("observe: {account: null}"), []string{"operations.check", "cannot be checked"}},
			"no account and a check":    {httpConnector, operating("check: {method: GET, path: /x}, observe: {account: null}"), nil},
			"a method that is none":     {httpConnector, operating("check: {method: FETCH, path: /x}"), []string{"operations.check.method", "GET"}},
			"no method":                 {httpConnector, operating("check: {path: /x}"), []string{"operations.check.method", "Required"}},
			"a path without a slash":    {httpConnector, operating("check: {method: GET, path: 'https://elsewhere'}"), []string{"operations.check.path", "begin with a slash"}},
			"credentials in a header":   {httpConnector, operating("check: {method: GET, path: /x, headers: {Authorization: '\"x\"'}}"), []string{"operations.check.headers", "belong in `authentication`"}},
			"a header that is none":     {httpConnector, operating("check: {method: GET, path: /x, headers: {'a b': '\"x\"'}}"), []string{"operations.check.headers", "letters, digits"}},
			"an answer without a rule":  {httpConnector, operating("check: {method: GET, path: /x, answers: {}}"), []string{"operations.check.answers", "at least 1"}},
			"pages and a cursor":        {httpConnector, operating("observe: {holders: {pagination: {link: {}, nextURL: x}}}"), []string{"holders.pagination", "exactly one"}},
			"pages without end":         {httpConnector, operating("observe: {holders: {pagination: {link: {}, maxPages: 100000}}}"), []string{"pagination.maxPages", "1000"}},
			"five requests":             {httpConnector, operating("removeEntitlement: [{method: PUT, path: /1}, {method: PUT, path: /2}, {method: PUT, path: /3}, {method: PUT, path: /4}, {method: PUT, path: /5}]"), []string{"operations.removeEntitlement", "4"}},
		},
	} {
		t.Run(name, func(t *testing.T) { try(t, tests) })
	}
}

func TestHTTPSamplesApply(t *testing.T) {
	c, namespace := env.Client(t), env.Namespace(t)
	files, err := filepath.Glob("../../config/samples/http/*.yaml")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if base := filepath.Base(file); base == "kustomization.yaml" || base == "secrets.yaml" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &o.Object); err != nil {
			t.Fatal(err)
		}
		o.SetNamespace(namespace)
		// Strict, so that a field that does not exist is an error.
		if err := c.Create(t.Context(), o, client.FieldValidation("Strict")); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
