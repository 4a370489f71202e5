// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package crd_test shows that a real API server takes good objects, and refuses bad ones with a message that names the
// field and what would be right.
package crd_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"getcakewalk.io/access-operator/internal/testenv"
)

var env *testenv.Env

func TestMain(m *testing.M) { testenv.Main(m, &env) }

const connector = `
apiVersion: access.getcakewalk.io/v1alpha1
kind: Connector
metadata: {name: c}
spec:
  match: {workApps: [{name: Google Workspace}]}
  permissionLevels: [{default: true, entitlements: [members]}]
  scim:
    baseURL: https://scim.example.com/v2
    authentication: {bearer: {tokenSecretRef: {name: scim, key: token}}}
`

const receiver = `
apiVersion: access.getcakewalk.io/v1alpha1
kind: WebhookReceiver
metadata: {name: r}
spec:
  verification: {hmac: {secretRefs: [{name: hook, key: secret}]}}
`

const task = `
apiVersion: access.getcakewalk.io/v1alpha1
kind: AccessTask
metadata: {name: 7ac60a4b-4b4d-4fc1-988c-f95254591f06}
spec:
  taskID: 7ac60a4b-4b4d-4fc1-988c-f95254591f06
  receivedTime: "2026-11-23T07:44:03.123456Z"
  receiverRef: {name: cakewalk}
  assignedTo: [{email: jane@example.com}]
  request:
    type: GrantAccessRequest
    targetUser: {email: ann@example.com}
`

// parse reads one object, with a JSON merge patch (RFC 7386) in YAML on it.
func parse(t *testing.T, text, patch string) *unstructured.Unstructured {
	t.Helper()
	object, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if patch != "" {
		change, err := yaml.YAMLToJSON([]byte(patch))
		if err != nil {
			t.Fatal(err)
		}
		if object, err = jsonpatch.MergePatch(object, change); err != nil {
			t.Fatal(err)
		}
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(object); err != nil {
		t.Fatal(err)
	}
	return u
}

type row struct {
	base, patch string
	// want is what the refusal says; empty: the object is taken.
	want []string
}

func TestObjects(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	api := func(text string) string {
		return "spec: {cakewalkAPI: {credentialsSecretRef: {name: api}, " + text + "}}"
	}
	fetch := func(text string) string {
		return "spec: {cakewalkAPI: {credentialsSecretRef: {name: api}}, verification: {hmac: null, rsa: {" + text + "}}}"
	}
	backfill := func(text string) string {
		return "spec: {cakewalkAPI: {credentialsSecretRef: {name: api}}, backfill: {" + text + "}}"
	}
	scim := func(text string) string { return "spec: {scim: {" + text + "}}" }
	auth := func(text string) string { return scim("authentication: {bearer: null, " + text + "}") }
	tests := map[string]row{
		"a minimal connector": {connector, "", nil},
		"a minimal receiver":  {receiver, "", nil},
		"a task":              {task, "", nil},

		// Connector
		"no backend":                                    {connector, "spec: {scim: null}", []string{"spec", "exactly one", "scim", "manual"}},
		"two backends":                                  {connector, "spec: {manual: {instructions: x}}", []string{"spec", "exactly one", "scim", "manual"}},
		"a manual backend needs no levels":              {connector, "spec: {scim: null, permissionLevels: null, manual: {instructions: call Jane}}", nil},
		"a manual backend without instructions":         {connector, "spec: {scim: null, manual: {instructions: ''}}", []string{"spec.manual.instructions", "at least 1"}},
		"scim without levels":                           {connector, "spec: {permissionLevels: null}", []string{"spec.permissionLevels", "must say what the permission levels mean"}},
		"no work app":                                   {connector, "spec: {match: {workApps: []}}", []string{"spec.match.workApps", "at least 1"}},
		"a work app by id and name":                     {connector, "spec: {match: {workApps: [{id: x, name: z}]}}", []string{"spec.match.workApps[0]", "exactly one", "id name"}},
		"a work app by neither":                         {connector, "spec: {match: {workApps: [{}]}}", []string{"spec.match.workApps[0]", "exactly one"}},
		"an unknown request type":                       {connector, "spec: {match: {requestTypes: [Grant]}}", []string{"spec.match.requestTypes[0]", "GrantAccessRequest"}},
		"a request type twice":                          {connector, "spec: {match: {requestTypes: [GrantAccessRequest, GrantAccessRequest]}}", []string{"spec.match.requestTypes[1]", "Duplicate"}},
		"every request type":                            {connector, "spec: {match: {requestTypes: [GrantAccessRequest, RemoveAccessRequest, ChangePermissionLevelRequest, ArchiveWorkAppRequest, AddNewManagedWorkAppRequest]}}", nil},
		"a level without a name, an id or default":      {connector, "spec: {permissionLevels: [{entitlements: [x]}]}", []string{"spec.permissionLevels[0]", "at least one of", "id name default"}},
		"a level without entitlements":                  {connector, "spec: {permissionLevels: [{name: x}]}", []string{"spec.permissionLevels[0].entitlements", "Required"}},
		"an empty entitlement":                          {connector, "spec: {permissionLevels: [{name: x, entitlements: ['']}]}", []string{"spec.permissionLevels[0].entitlements[0]", "at least 1"}},
		"two default levels":                            {connector, "spec: {permissionLevels: [{default: true, entitlements: [x]}, {default: true, entitlements: [z]}]}", []string{"spec.permissionLevels", "at most one permission level must have `default: true`"}},
		"one default level of two":                      {connector, "spec: {permissionLevels: [{default: false, name: a, entitlements: [x]}, {default: true, entitlements: [z]}]}", nil},
		"a level's name twice":                          {connector, "spec: {permissionLevels: [{name: a, entitlements: [x]}, {name: a, entitlements: [z]}]}", []string{"spec.permissionLevels", "a `name` must not be listed twice"}},
		"a level's id twice":                            {connector, "spec: {permissionLevels: [{id: a, entitlements: [x]}, {id: a, entitlements: [z]}]}", []string{"spec.permissionLevels", "an `id` must not be listed twice"}},
		"an attribute with a bad name":                  {connector, "spec: {identity: {attributes: {'display name': user.fullName}}}", []string{"spec.identity.attributes", "a word, or two joined by a dot"}},
		"an attribute without an expression":            {connector, "spec: {identity: {attributes: {displayName: ''}}}", []string{"spec.identity.attributes", "from 1 to 1024 characters"}},
		"attributes":                                    {connector, "spec: {identity: {attributes: {displayName: user.fullName, name.givenName: user.fullName}}}", nil},
		"an expression that is too long":                {connector, "spec: {identity: {subject: '" + long(1025) + "'}}", []string{"spec.identity.subject", "1024"}},
		"an unknown onRemove":                           {connector, "spec: {lifecycle: {onRemove: Burn}}", []string{"spec.lifecycle.onRemove", "DeactivateAccount"}},
		"delays the wrong way round":                    {connector, "spec: {retry: {minDelaySeconds: 60, maxDelaySeconds: 5}}", []string{"spec.retry.minDelaySeconds", "must not be greater than `maxDelaySeconds`"}},
		"a shortest delay over the default longest one": {connector, "spec: {retry: {minDelaySeconds: 1000}}", []string{"spec.retry.minDelaySeconds"}},
		"no attempts":                                   {connector, "spec: {retry: {maxAttempts: 0}}", []string{"spec.retry.maxAttempts", "greater than or equal to 1"}},
		"too many at once":                              {connector, "spec: {limits: {maxConcurrent: 33}}", []string{"spec.limits.maxConcurrent", "less than or equal to 32"}},
		"a probe every second":                          {connector, "spec: {probeIntervalSeconds: 1}", []string{"spec.probeIntervalSeconds", "greater than or equal to 5"}},
		"an address that is no URL":                     {connector, scim("baseURL: example.com"), []string{"spec.scim.baseURL", "must be an https URL"}},
		"an address with another scheme":                {connector, scim("baseURL: ldap://example.com"), []string{"spec.scim.baseURL", "must be an https URL"}},
		"an address with plain http":                    {connector, scim("baseURL: http://example.com"), []string{"spec.scim.baseURL", "allowInsecureHTTP: true"}},
		"plain http where it is allowed":                {connector, scim("baseURL: http://example.com, allowInsecureHTTP: true"), nil},
		"plain http on loopback":                        {connector, scim("baseURL: http://127.0.0.1:8080"), nil},
		"a password in the address":                     {connector, scim("baseURL: https://u:p@example.com"), []string{"spec.scim.baseURL", "user information"}},
		"a query in the address":                        {connector, scim("baseURL: 'https://example.com?x=z'"), []string{"spec.scim.baseURL", "a query"}},
		"no authentication":                             {connector, scim("authentication: null"), []string{"spec.scim.authentication", "Required"}},
		"two authentications":                           {connector, scim("authentication: {basic: {secretRef: {name: x}}}"), []string{"spec.scim.authentication", "exactly one"}},
		"basic authentication":                          {connector, auth("basic: {secretRef: {name: x}}"), nil},
		"oauth2":                                        {connector, auth("oauth2: {tokenURL: 'https://example.com/token', secretRef: {name: x}, scopes: [scim]}"), nil},
		"oauth2 over plain http":                        {connector, auth("oauth2: {tokenURL: 'http://example.com/token', secretRef: {name: x}}"), []string{"tokenURL", "must be an https URL"}},
		"oauth2 with a password in the address":         {connector, auth("oauth2: {tokenURL: 'https://u:p@example.com/token', secretRef: {name: x}}"), []string{"tokenURL", "user information"}},
		"a key that is no key":                          {connector, scim("authentication: {bearer: {tokenSecretRef: {name: x, key: 'a b'}}}"), []string{"key", "letters, digits"}},
		"a certificate authority from two places":       {connector, scim("certificateAuthority: {secretRef: {name: x, key: z}, configMapRef: {name: x, key: z}}"), []string{"certificateAuthority", "exactly one"}},
		"a certificate authority":                       {connector, scim("certificateAuthority: {configMapRef: {name: x, key: ca.crt}}"), nil},
		"a timeout of an hour":                          {connector, scim("requestTimeoutSeconds: 3600"), []string{"spec.scim.requestTimeoutSeconds", "60"}},
		"an unknown group identifier":                   {connector, scim("groupIdentifier: Name"), []string{"spec.scim.groupIdentifier", "DisplayName"}},

		// WebhookReceiver
		"no verification":               {receiver, "spec: {verification: {hmac: null}}", []string{"spec.verification", "exactly one"}},
		"two verifications":             {receiver, "spec: {verification: {rsa: {keys: {secretRef: {name: x, key: z}}}}}", []string{"spec.verification", "exactly one", "hmac rsa"}},
		"rsa":                           {receiver, "spec: {verification: {hmac: null, rsa: {keys: {configMapRef: {name: x, key: z}}}}}", nil},
		"no secret":                     {receiver, "spec: {verification: {hmac: {secretRefs: []}}}", []string{"secretRefs", "at least 1"}},
		"sha1":                          {receiver, "spec: {verification: {hmac: {algorithm: SHA1}}}", []string{"algorithm", "SHA256"}},
		"a header that is none":         {receiver, "spec: {verification: {hmac: {header: 'X SIGNATURE'}}}", []string{"header", "the name of an HTTP header"}},
		"an rsa header that is none":    {receiver, "spec: {verification: {hmac: null, rsa: {header: 'a:b', keys: {configMapRef: {name: x, key: z}}}}}", []string{"header", "the name of an HTTP header"}},
		"a name that cannot be a label": {receiver, "metadata: {name: " + long(64) + "}", []string{"metadata.name", "at most 63"}},
		"no unfinished tasks":           {receiver, "spec: {limits: {maxUnfinishedTasks: 0}}", []string{"spec.limits.maxUnfinishedTasks", "greater than or equal to 1"}},

		"a whole cakewalkAPI":                   {receiver, api("preflight: BestEffort, onSuccess: None, onFailure: Decline, openStatuses: [Ready], approveBody: {comment: done, n: 1}, declineBody: {}"), nil},
		"an API without credentials":            {receiver, "spec: {cakewalkAPI: {}}", []string{"spec.cakewalkAPI.credentialsSecretRef", "Required"}},
		"an API with plain http":                {receiver, api("url: 'http://example.com/api/v1'"), []string{"spec.cakewalkAPI.url", "must be an https URL", "allowInsecureHTTP: true"}},
		"an API with plain http, allowed":       {receiver, api("url: 'http://example.com/api/v1', allowInsecureHTTP: true"), nil},
		"an API on loopback":                    {receiver, api("url: 'http://127.0.0.1:8080/api/v1'"), nil},
		"an API at no URL":                      {receiver, api("url: open-api.getcakewalk.io"), []string{"spec.cakewalkAPI.url", "must be an https URL, for example https://open-api.getcakewalk.io/api/v1"}},
		"an API's authority from two places":    {receiver, api("certificateAuthority: {secretRef: {name: x, key: z}, configMapRef: {name: x, key: z}}"), []string{"spec.cakewalkAPI.certificateAuthority", "exactly one"}},
		"an unknown preflight":                  {receiver, api("preflight: Sometimes"), []string{"spec.cakewalkAPI.preflight", "Required", "BestEffort", "Disabled"}},
		"an unknown onSuccess":                  {receiver, api("onSuccess: Cheer"), []string{"spec.cakewalkAPI.onSuccess", "Approve"}},
		"an unknown onFailure":                  {receiver, api("onFailure: Cry"), []string{"spec.cakewalkAPI.onFailure", "LeaveOpen"}},
		"no status that is open":                {receiver, api("openStatuses: []"), []string{"spec.cakewalkAPI.openStatuses", "at least 1"}},
		"an open status twice":                  {receiver, api("openStatuses: [a, a]"), []string{"spec.cakewalkAPI.openStatuses[1]", "Duplicate"}},
		"an empty open status":                  {receiver, api("openStatuses: ['']"), []string{"spec.cakewalkAPI.openStatuses[0]", "at least 1"}},
		"a body that is no object":              {receiver, api("approveBody: text"), []string{"spec.cakewalkAPI.approveBody", "object"}},
		"a body that declines and is no object": {receiver, api("declineBody: [1]"), []string{"spec.cakewalkAPI.declineBody", "object"}},

		"keys that are fetched":            {receiver, fetch("fetchFrom: 'https://example.com/api/Keys'"), nil},
		"keys that are fetched and pinned": {receiver, fetch("fetchFrom: 'https://example.com/api/Keys', keys: {secretRef: {name: x, key: z}}"), nil},
		"no keys at all":                   {receiver, fetch("header: X-SIGNATURE"), []string{"spec.verification.rsa", "at least one of", "keys fetchFrom"}},
		"keys at no URL":                   {receiver, fetch("fetchFrom: example.com"), []string{"spec.verification.rsa.fetchFrom", "must be an https URL, for example https://open-api.getcakewalk.io/api/Keys"}},
		"keys with plain http":             {receiver, fetch("fetchFrom: 'http://example.com/api/Keys'"), []string{"spec.verification.rsa.fetchFrom", "must be an https URL", "allowInsecureHTTP: true"}},
		"keys on loopback":                 {receiver, fetch("fetchFrom: 'http://127.0.0.1/api/Keys'"), nil},
		"keys with plain http, allowed": {
			receiver, "spec: {cakewalkAPI: {allowInsecureHTTP: true, credentialsSecretRef: {name: api}}, verification: {hmac: null, rsa: {fetchFrom: 'http://example.com/api/Keys'}}}", nil,
		},
		"keys that nobody can fetch": {
			receiver, "spec: {verification: {hmac: null, rsa: {fetchFrom: 'https://example.com/api/Keys'}}}",
			[]string{"spec.verification.rsa.fetchFrom", "needs spec.cakewalkAPI"},
		},

		"a backfill":                         {receiver, backfill("userIDs: [7AC60A4B-4b4d-4fc1-988c-f95254591f06]"), nil},
		"a backfill that nobody can do":      {receiver, "spec: {backfill: {userIDs: [7ac60a4b-4b4d-4fc1-988c-f95254591f06]}}", []string{"spec.backfill", "needs spec.cakewalkAPI"}},
		"a backfill for nobody":              {receiver, backfill("userIDs: []"), []string{"spec.backfill.userIDs", "at least 1"}},
		"a backfill for an address":          {receiver, backfill("userIDs: [ann@example.com]"), []string{"spec.backfill.userIDs[0]", "[0-9a-fA-F]{8}"}},
		"a backfill for somebody twice":      {receiver, backfill("userIDs: [7ac60a4b-4b4d-4fc1-988c-f95254591f06, 7ac60a4b-4b4d-4fc1-988c-f95254591f06]"), []string{"spec.backfill.userIDs[1]", "Duplicate"}},
		"a backfill every second":            {receiver, backfill("intervalSeconds: 1, userIDs: [7ac60a4b-4b4d-4fc1-988c-f95254591f06]"), []string{"spec.backfill.intervalSeconds", "greater than or equal to 60"}},
		"tasks that are deleted":             {receiver, "spec: {taskTTLSecondsAfterFinished: 0, cakewalkAPI: {credentialsSecretRef: {name: api}}}", nil},
		"tasks that are deleted before":      {receiver, "spec: {taskTTLSecondsAfterFinished: -1, cakewalkAPI: {credentialsSecretRef: {name: api}}}", []string{"spec.taskTTLSecondsAfterFinished", "greater than or equal to 0"}},
		"tasks that are deleted unasked":     {receiver, "spec: {taskTTLSecondsAfterFinished: 60}", []string{"spec.taskTTLSecondsAfterFinished", "preflight Required"}},
		"tasks that are deleted and guessed": {receiver, "spec: {taskTTLSecondsAfterFinished: 60, cakewalkAPI: {preflight: BestEffort, credentialsSecretRef: {name: api}}}", []string{"spec.taskTTLSecondsAfterFinished", "preflight Required"}},

		// AccessTask
		"a task of another name":     {task, "metadata: {name: other}", []string{"metadata.name must be the taskID"}},
		"a task id in upper case":    {task, "{metadata: {name: x}, spec: {taskID: 7AC60A4B-4b4d-4fc1-988c-f95254591f06}}", []string{"spec.taskID", "a UUID in lower case"}},
		"a task id that is no UUID":  {task, "{metadata: {name: x}, spec: {taskID: x}}", []string{"spec.taskID", "36"}},
		"no task id":                 {task, "spec: {taskID: null}", []string{"spec.taskID", "Required"}},
		"no request":                 {task, "spec: {request: null}", nil},
		"a request without a type":   {task, "spec: {request: {type: null}}", []string{"spec.request.type", "Required"}},
		"a new request type is kept": {task, "spec: {request: {type: TeleportRequest}}", nil},
		"a name that is too long":    {task, "spec: {request: {targetUser: {fullName: " + long(16385) + "}}}", []string{"spec.request.targetUser.fullName", "16384"}},
		"a long name":                {task, "spec: {request: {targetUser: {fullName: " + long(16384) + "}}}", nil},
		"a negative ttl":             {task, "spec: {ttlSecondsAfterFinished: -1}", []string{"spec.ttlSecondsAfterFinished", "greater than or equal to 0"}},
	}
	try(t, tests)
}

// try creates objects, and judges how each is taken.
func try(t *testing.T, tests map[string]row) {
	t.Helper()
	c := env.Client(t)
	namespace := env.Namespace(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			o := parse(t, tc.base, tc.patch)
			o.SetNamespace(namespace)
			err := c.Create(t.Context(), o, client.DryRunAll)
			if len(tc.want) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !apierrors.IsInvalid(err) {
				t.Fatalf("not refused as invalid: %v", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the refusal does not say %q: %v", want, err)
				}
			}
		})
	}
}

func TestATaskCannotBeChangedButForSuspendAndTTL(t *testing.T) {
	c := env.Client(t)
	o := parse(t, task, "")
	o.SetNamespace(env.Namespace(t))
	if err := c.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	bare := parse(t, task, "spec: {receivedTime: null, receiverRef: null, assignedTo: null, request: null}")
	bare.SetNamespace(o.GetNamespace())
	id := uuid.NewString()
	bare.SetName(id)
	if err := unstructured.SetNestedField(bare.Object, id, "spec", "taskID"); err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), bare); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ full, bare, want string }{
		"taskID":                  {full: `{"taskID":"00000000-4b4d-4fc1-988c-f95254591f06"}`, want: "spec.taskID"},
		"receivedTime":            {`{"receivedTime":"2026-11-23T07:44:03.123457Z"}`, `{"receivedTime":"2026-11-23T07:44:03.123457Z"}`, "spec.receivedTime"},
		"receiverRef":             {`{"receiverRef":{"name":"other"}}`, `{"receiverRef":{"name":"other"}}`, "spec.receiverRef"},
		"no receiverRef":          {full: `{"receiverRef":null}`, want: "spec.receiverRef"},
		"assignedTo":              {`{"assignedTo":[]}`, `{"assignedTo":[{"email":"x"}]}`, "spec.assignedTo"},
		"the target user":         {full: `{"request":{"targetUser":{"email":"eve@example.com"}}}`, want: "spec.request"},
		"no request":              {`{"request":null}`, `{"request":{"type":"GrantAccessRequest"}}`, "spec.request"},
		"suspend":                 {full: `{"suspend":true}`, bare: `{"suspend":true}`},
		"suspend back":            {full: `{"suspend":null}`, bare: `{"suspend":false}`},
		"ttlSecondsAfterFinished": {full: `{"ttlSecondsAfterFinished":1}`, bare: `{"ttlSecondsAfterFinished":1}`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for object, spec := range map[*unstructured.Unstructured]string{o: tc.full, bare: tc.bare} {
				if spec == "" {
					continue
				}
				err := c.Patch(t.Context(), object.DeepCopy(), client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":%s}`, spec)))
				if tc.want == "" {
					if err != nil {
						t.Error(err)
					}
				} else if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "must not change") {
					t.Errorf("%s: %v", spec, err)
				}
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	c := env.Client(t)
	namespace := env.Namespace(t)
	for _, tc := range []struct{ object, want string }{
		{connector, `{"observedGeneration":-1} [GrantAccessRequest RemoveAccessRequest ChangePermissionLevelRequest] user.email RemoveEntitlements 12 5 900 86400 10 20 4 300 10 DisplayName`},
		{receiver, `{"observedGeneration":-1} X-SIGNATURE SHA256 10000 1000`},
	} {
		o := parse(t, tc.object, "")
		o.SetNamespace(namespace)
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, path := range []string{
			"spec.match.requestTypes", "spec.identity.subject", "spec.lifecycle.onRemove", "spec.retry.maxAttempts", "spec.retry.minDelaySeconds",
			"spec.retry.maxDelaySeconds", "spec.retry.deadlineSeconds", "spec.limits.requestsPerSecond", "spec.limits.burst", "spec.limits.maxConcurrent",
			"spec.probeIntervalSeconds", "spec.scim.requestTimeoutSeconds", "spec.scim.groupIdentifier",
			"spec.verification.hmac.header", "spec.verification.hmac.algorithm", "spec.limits.maxUnfinishedTasks", "spec.limits.maxEventsPerDelivery",
		} {
			if v, ok, _ := unstructured.NestedFieldNoCopy(o.Object, strings.Split(path, ".")...); ok {
				got = append(got, fmt.Sprint(v))
			}
		}
		stored, err := yaml.Marshal(o.Object["status"])
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimPrefix(tc.want, `{"observedGeneration":-1} `); strings.Join(got, " ") != want || string(stored) != "observedGeneration: -1\n" {
			t.Errorf("got %s %s, want %s", stored, strings.Join(got, " "), want)
		}
	}
}

// Before the operator's first visit a task is in progress, as tools that know kstatus read it.
func TestANewTaskIsInProgress(t *testing.T) {
	c := env.Client(t)
	o := parse(t, task, "")
	o.SetNamespace(env.Namespace(t))
	if err := c.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	conditions, _, err := unstructured.NestedSlice(o.Object, "status", "conditions")
	if err != nil || len(conditions) != 1 || !strings.Contains(fmt.Sprint(conditions[0]), "reason:Pending status:Unknown type:Succeeded") {
		t.Error(conditions, err)
	}
	got, err := status.Compute(o)
	if err != nil || got.Status != status.InProgressStatus {
		t.Errorf("kstatus is %+v (%v)", got, err)
	}
}

func TestSamplesApply(t *testing.T) {
	c := env.Client(t)
	namespace := env.Namespace(t)
	files, err := filepath.Glob("../../config/samples/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
		for {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			o := parse(t, string(document), "")
			o.SetNamespace(namespace)
			// Strict, so that a field that does not exist is an error.
			if err := c.Create(t.Context(), o, client.FieldValidation("Strict")); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

func TestSelectableFields(t *testing.T) {
	c := env.Client(t)
	o := parse(t, task, "")
	o.SetNamespace(env.Namespace(t))
	if err := c.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]int{
		"spec.request.type=GrantAccessRequest":             1,
		"spec.request.type=RemoveAccessRequest":            0,
		"spec.request.targetUser.email=ann@example.com":    1,
		"spec.request.targetUser.email=nobody@example.com": 0,
		"status.connectorRef.name=google-workspace":        0,
	} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(o.GroupVersionKind())
		key, value, _ := strings.Cut(field, "=")
		if err := c.List(t.Context(), list, client.InNamespace(o.GetNamespace()), client.MatchingFields{key: value}); err != nil || len(list.Items) != want {
			t.Errorf("%s: %d objects, want %d (%v)", field, len(list.Items), want, err)
		}
	}
}
