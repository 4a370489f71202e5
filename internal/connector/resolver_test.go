// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
	"getcakewalk.io/access-operator/internal/testenv"
)

var env *testenv.Env

func TestMain(m *testing.M) { testenv.Main(m, &env) }

func ann() *accessv1alpha1.AccessRequest {
	return &accessv1alpha1.AccessRequest{
		Type:            accessv1alpha1.RequestTypeGrantAccess,
		TargetUser:      &accessv1alpha1.User{ID: "1", Email: "Ann@Example.com", FullName: `Ann "A" O'Neil 😀`},
		RequestedBy:     &accessv1alpha1.User{Email: "boss@example.com"},
		TargetWorkApp:   &accessv1alpha1.NamedObject{Name: "Slack"},
		PermissionLevel: &accessv1alpha1.NamedObject{Name: "Editor"},
	}
}

func TestIdentity(t *testing.T) {
	tests := map[string]struct {
		expression string
		request    func(*accessv1alpha1.AccessRequest)
		want       string
		wantBad    string // of compiling
		wantWrong  string // of evaluating
	}{
		"the default is the email":       {expression: "", want: "Ann@Example.com"},
		"in lower case":                  {expression: "user.email.lowerAscii()", want: "ann@example.com"},
		"the local part":                 {expression: `user.email.split("@")[0]`, want: "Ann"},
		"another domain":                 {expression: `user.email.lowerAscii().replace("@example.com", "@corp.example.com")`, want: "ann@corp.example.com"},
		"of the request":                 {expression: `request.targetWorkApp.name + "/" + request.permissionLevel.name + "/" + request.requestedBy.email + "/" + request.type`, want: "Slack/Editor/boss@example.com/GrantAccessRequest"},
		"what is missing is empty":       {expression: `request.triggeredByUsersGroup.name + user.id`, want: "1"},
		"CEL in an email stays an email": {expression: "user.email", request: func(r *accessv1alpha1.AccessRequest) { r.TargetUser.Email = `"+user.id+"@x` }, want: `"+user.id+"@x`},
		"a name with quotes and emoji":   {expression: "user.fullName", want: `Ann "A" O'Neil 😀`},
		"a misspelt member":              {expression: "user.emial", wantBad: "identity.subject: line 1, column 5: undefined field 'emial'"},
		"a syntax error":                 {expression: "user.email +", wantBad: "identity.subject: line 1, column"},
		"not a string":                   {expression: "1 + 1", wantBad: "must yield a string, not int"},
		"not a string after all":         {expression: "dyn(1)", wantBad: "must yield a string, not dyn"},
		"an index that is not there":     {expression: `user.email.split("@")[7]`, wantWrong: "fails for this request"},
		"no email":                       {expression: "user.email", request: func(r *accessv1alpha1.AccessRequest) { r.TargetUser.Email = "" }, wantWrong: "empty string"},
		"nobody":                         {expression: "user.email", request: func(r *accessv1alpha1.AccessRequest) { r.TargetUser = nil }, wantWrong: "empty string"},
		"white space around it":          {expression: `user.email + " "`, wantWrong: "white space"},
		"a control character":            {expression: `user.email + "\u0007x"`, wantWrong: "control characters"},
		"too long":                       {expression: "user.email", request: func(r *accessv1alpha1.AccessRequest) { r.TargetUser.Email = strings.Repeat("x", 1025) }, wantWrong: "more than 1024"},
		"an expression that takes for ever": {
			expression: `[1,2,3,4,5,6,7,8,9,0].all(a,[1,2,3,4,5,6,7,8,9,0].all(b,[1,2,3,4,5,6,7,8,9,0].all(c,[1,2,3,4,5,6,7,8,9,0].all(d,[1,2,3,4,5,6,7,8,9,0].all(e,[1,2,3,4,5,6,7,8,9,0].all(f,[1,2,3,4,5,6,7,8,9,0].all(g,a+b+c+d+e+f+g<99))))))) ? "x" : "y"`,
			wantWrong:  "fails for this request",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			i, err := compileIdentity(accessv1alpha1.ConnectorIdentity{Subject: tc.expression})
			if tc.wantBad != "" {
				var bad *provisioning.UnavailableError
				if !errors.As(err, &bad) || bad.Reason != accessv1alpha1.ReasonInvalidConfiguration || !strings.Contains(err.Error(), tc.wantBad) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			request := ann()
			if tc.request != nil {
				tc.request(request)
			}
			s, err := i.subject(t.Context(), request)
			if tc.wantWrong != "" {
				if provisioning.Word(err) != "permanent" || !strings.Contains(err.Error(), tc.wantWrong) || !strings.Contains(err.Error(), "identity.subject") {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || s.ID != tc.want {
				t.Errorf("%q, %v", s.ID, err)
			}
		})
	}
}

func TestAttributes(t *testing.T) {
	i, err := compileIdentity(accessv1alpha1.ConnectorIdentity{Subject: "user.email", Attributes: map[string]accessv1alpha1.CELExpression{
		"displayName": "user.fullName", "nickName": "request.triggeredByUsersGroup.name",
	}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := i.subject(t.Context(), ann())
	if diff := cmp.Diff(map[string]string{"displayName": `Ann "A" O'Neil 😀`}, s.Attributes); err != nil || diff != "" {
		t.Error(err, diff)
	}
	_, err = compileIdentity(accessv1alpha1.ConnectorIdentity{Attributes: map[string]accessv1alpha1.CELExpression{"title": "user.title"}})
	if err == nil || !strings.Contains(err.Error(), "identity.attributes[title]") {
		t.Error(err)
	}
}

// target is a SCIM server that takes one token and has no users.
func target(t *testing.T, token *atomic.Value) *httptest.Server {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != token.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if _, err := w.Write([]byte(`{"totalResults":0,"Resources":[]}`)); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestEngine(t *testing.T) {
	var token atomic.Value
	token.Store("Bearer good")
	server := target(t, &token)
	c := env.Client(t)
	namespace := env.Namespace(t)
	secret := func(name string, data map[string]string) {
		t.Helper()
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, StringData: data}
		if err := c.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	secret("good", map[string]string{"token": "good\n", "username": "ann", "password": "p"})
	secret("bad", map[string]string{"token": "bad", "empty": " \n", "binary": "a\nb", "username": "ann", "clientID": "x"})
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := c.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "ca"}, Data: map[string]string{"ca.crt": string(ca), "junk": "junk"}}); err != nil {
		t.Fatal(err)
	}
	authority := func(key string) *accessv1alpha1.KeySource {
		return &accessv1alpha1.KeySource{ConfigMapRef: &accessv1alpha1.ConfigMapKeyReference{Name: "ca", Key: key}}
	}
	bearer := func(name, key string) accessv1alpha1.HTTPAuthentication {
		return accessv1alpha1.HTTPAuthentication{Bearer: &accessv1alpha1.BearerAuthentication{TokenSecretRef: accessv1alpha1.SecretKeyReference{Name: name, Key: key}}}
	}
	tests := map[string]struct {
		scim       accessv1alpha1.SCIMBackend
		identity   string
		wantReason string // of making the engine, or of its check
		wantText   string
	}{
		"all is well":               {scim: accessv1alpha1.SCIMBackend{Authentication: bearer("good", "token"), CertificateAuthority: authority("ca.crt")}},
		"a wrong token":             {scim: accessv1alpha1.SCIMBackend{Authentication: bearer("bad", "token"), CertificateAuthority: authority("ca.crt")}, wantReason: "Unauthorized", wantText: "401"},
		"no secret":                 {scim: accessv1alpha1.SCIMBackend{Authentication: bearer("none", "token")}, wantReason: "SecretNotFound", wantText: `scim.authentication.bearer.tokenSecretRef: secret "none" does not exist`},
		"no key":                    {scim: accessv1alpha1.SCIMBackend{Authentication: bearer("good", "none")}, wantReason: "SecretNotFound", wantText: `has no key "none"`},
		"an empty key":              {scim: accessv1alpha1.SCIMBackend{Authentication: bearer("bad", "empty")}, wantReason: "SecretNotFound", wantText: "is empty"},
		"a key of two lines":        {scim: accessv1alpha1.SCIMBackend{Authentication: bearer("bad", "binary")}, wantReason: "InvalidConfiguration", wantText: "one line of text"},
		"no password":               {scim: accessv1alpha1.SCIMBackend{Authentication: accessv1alpha1.HTTPAuthentication{Basic: &accessv1alpha1.BasicAuthentication{SecretRef: accessv1alpha1.SecretReference{Name: "bad"}}}}, wantReason: "SecretNotFound", wantText: `no key "password"`},
		"no client secret":          {scim: accessv1alpha1.SCIMBackend{Authentication: accessv1alpha1.HTTPAuthentication{OAuth2: &accessv1alpha1.OAuth2Authentication{TokenURL: "https://x", SecretRef: accessv1alpha1.SecretReference{Name: "bad"}}}}, wantReason: "SecretNotFound", wantText: `no key "clientSecret"`},
		"a wrong user":              {scim: accessv1alpha1.SCIMBackend{Authentication: accessv1alpha1.HTTPAuthentication{Basic: &accessv1alpha1.BasicAuthentication{SecretRef: accessv1alpha1.SecretReference{Name: "good"}}}, CertificateAuthority: authority("ca.crt")}, wantReason: "Unauthorized"},
		"no authority":              {scim: accessv1alpha1.SCIMBackend{Authentication: bearer("good", "token"), CertificateAuthority: authority("none")}, wantReason: "SecretNotFound", wantText: "scim.certificateAuthority"},
		"an authority that is none": {scim: accessv1alpha1.SCIMBackend{Authentication: bearer("good", "token"), CertificateAuthority: authority("junk")}, wantReason: "InvalidConfiguration", wantText: "no certificate in PEM"},
		"a wrong expression":        {scim: accessv1alpha1.SCIMBackend{Authentication: bearer("good", "token")}, identity: "user.nobody", wantReason: "InvalidConfiguration", wantText: "identity.subject"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := NewResolver(c, env.Config, prometheus.NewRegistry())
			if err != nil {
				t.Fatal(err)
			}
			tc.scim.BaseURL = server.URL
			connector := newConnector(namespace, tc.scim)
			connector.Spec.Identity.Subject = tc.identity
			engine, err := r.Engine(t.Context(), connector)
			if err == nil {
				err = engine.Check(t.Context())
			}
			if tc.wantReason == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var unavailable *provisioning.UnavailableError
			if !errors.As(err, &unavailable) || unavailable.Reason != tc.wantReason || !strings.Contains(err.Error(), tc.wantText) {
				t.Errorf("%v", err)
			}
		})
	}

	t.Run("a secret that is corrected makes another engine", func(t *testing.T) {
		r, err := NewResolver(c, env.Config, prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		r.now = func() time.Time { return now }
		connector := newConnector(namespace, accessv1alpha1.SCIMBackend{BaseURL: server.URL, Authentication: bearer("bad", "token"), CertificateAuthority: authority("ca.crt")})
		first, err := r.Engine(t.Context(), connector)
		if err != nil {
			t.Fatal(err)
		}
		before, err := r.Revision(t.Context(), connector)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := r.Engine(t.Context(), connector); err != nil || same != first {
			t.Error("nothing was changed, and the engine is another", err)
		}
		patch := client.RawPatch(types.MergePatchType, []byte(`{"stringData":{"token":"good"}}`))
		if err := c.Patch(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "bad"}}, patch); err != nil {
			t.Fatal(err)
		}
		now = now.Add(freshFor)
		second, err := r.Engine(t.Context(), connector)
		if err != nil || second == first {
			t.Fatal("the secret was changed, and the engine is the same", err)
		}
		if err := second.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if after, err := r.Revision(t.Context(), connector); err != nil || after == before {
			t.Error("the revision is the same", err)
		}
		if second.Ledger != first.Ledger {
			t.Error("what was removed a moment ago is forgotten")
		}
	})
}

func newConnector(namespace string, s accessv1alpha1.SCIMBackend) *accessv1alpha1.Connector {
	return &accessv1alpha1.Connector{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "c", UID: "u", Generation: 1},
		Spec: accessv1alpha1.ConnectorSpec{
			Limits: accessv1alpha1.ConnectorLimits{RequestsPerSecond: 1000, Burst: 1000, MaxConcurrent: 1},
			SCIM:   &s,
		},
	}
}
