// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/time/rate"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"getcakewalk.io/access-operator/internal/limit"
	"getcakewalk.io/access-operator/internal/provisioning"
)

const (
	rbacPath = "/apis/rbac.authorization.k8s.io/v1"
	pageSize = 500
	// maxPages bounds how many bindings of a namespace, or of the cluster, are looked through.
	maxPages = 100
	// maxAnswer is the largest answer that is read, in bytes.
	maxAnswer = 64 << 20
)

// apiServer sends requests to an API server, each once: client-go's own repetitions would hide a rate limit.
type apiServer struct {
	client  *rest.RESTClient
	http    *http.Client
	limiter *rate.Limiter
	timeout time.Duration
}

func newAPIServer(o Options) (*apiServer, error) {
	config := rest.CopyConfig(o.Config)
	config.QPS = -1
	config.UserAgent = "access-operator"
	config.GroupVersion = &rbacv1.SchemeGroupVersion
	config.APIPath = "/apis"
	config.ContentConfig = rest.ContentConfig{
		ContentType: runtime.ContentTypeJSON, AcceptContentTypes: runtime.ContentTypeJSON,
		GroupVersion: &rbacv1.SchemeGroupVersion, NegotiatedSerializer: scheme.Codecs.WithoutConversion(),
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return bounded{next} })
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("the credentials cannot be used: %w", err)
	}
	// Credentials must not travel to another place.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	restClient, err := rest.RESTClientForConfigAndClient(config, client)
	if err != nil {
		return nil, err
	}
	return &apiServer{client: restClient, http: client, limiter: o.Limiter, timeout: o.Timeout}, nil
}

func (a *apiServer) close() { a.http.CloseIdleConnections() }

// bounded bounds the size of answers.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := b.next.RoundTrip(req)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, maxAnswer), res.Body}
	}
	return res, err
}

// do sends a request and returns the answer's JSON.
func (a *apiServer) do(ctx context.Context, request *rest.Request, write bool) ([]byte, error) {
	if err := limit.Wait(ctx, a.limiter); err != nil {
		return nil, err
	}
	call, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	text, err := request.MaxRetries(0).Do(call).Raw()
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, word(err, text, write)
	}
	return text, nil
}

// path is where the bindings of a role are.
func (r role) path(parts ...string) []string {
	if r.namespace == "" {
		return append([]string{rbacPath, "clusterrolebindings"}, parts...)
	}
	return append([]string{rbacPath, "namespaces", r.namespace, "rolebindings"}, parts...)
}

// mustExist looks for a role.
func (a *apiServer) mustExist(ctx context.Context, r role) error {
	path := []string{rbacPath, "clusterroles", r.name}
	if r.kind == kindRole {
		path = []string{rbacPath, "namespaces", r.namespace, "roles", r.name}
	}
	text, err := a.do(ctx, a.client.Get().AbsPath(path...), false)
	if isStatus(err, http.StatusNotFound) {
		return provisioning.Permanent(provisioning.ReasonEntitlementNotFound, fmt.Errorf("the cluster has no role %q", r))
	}
	if err != nil {
		return err
	}
	return read(text, r.kind, &metav1.TypeMeta{})
}

// list returns the bindings of a role, those that the operator did not make with them.
func (a *apiServer) list(ctx context.Context, r role) ([]rbacv1.RoleBinding, error) {
	var found []rbacv1.RoleBinding
	next := ""
	for range maxPages {
		request := a.client.Get().AbsPath(r.path()...).Param("limit", strconv.Itoa(pageSize))
		if next != "" {
			request.Param("continue", next)
		}
		text, err := a.do(ctx, request, false)
		if err != nil {
			return nil, err
		}
		var page rbacv1.RoleBindingList
		if err := read(text, r.bindingKind()+"List", &page); err != nil {
			return nil, err
		}
		for _, b := range page.Items {
			if b.RoleRef == r.ref() {
				found = append(found, b)
			}
		}
		if next = page.Continue; next == "" {
			return found, nil
		}
	}
	return nil, provisioning.Permanent(provisioning.ReasonRefused, fmt.Errorf("there are more than %d %ss to look through", maxPages*pageSize, r.bindingKind()))
}

func (a *apiServer) get(ctx context.Context, r role, name string) (*rbacv1.RoleBinding, error) {
	text, err := a.do(ctx, a.client.Get().AbsPath(r.path(name)...), false)
	if isStatus(err, http.StatusNotFound) {
		return nil, provisioning.Retryable(fmt.Errorf("the %s vanished meanwhile", r.bindingKind()))
	}
	if err != nil {
		return nil, err
	}
	b := &rbacv1.RoleBinding{}
	return b, read(text, r.bindingKind(), b)
}

func (a *apiServer) create(ctx context.Context, r role, b *rbacv1.RoleBinding) error {
	return a.write(ctx, a.client.Post().AbsPath(r.path()...), b)
}

// update fails where anybody changed the binding since it was read.
func (a *apiServer) update(ctx context.Context, r role, b *rbacv1.RoleBinding) error {
	b.APIVersion, b.Kind = rbacv1.SchemeGroupVersion.String(), r.bindingKind()
	return a.write(ctx, a.client.Put().AbsPath(r.path(b.Name)...), b)
}

// delete deletes exactly the binding that was read.
func (a *apiServer) delete(ctx context.Context, r role, b *rbacv1.RoleBinding) error {
	err := a.write(ctx, a.client.Delete().AbsPath(r.path(b.Name)...), &metav1.DeleteOptions{
		TypeMeta:      metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"},
		Preconditions: &metav1.Preconditions{UID: &b.UID, ResourceVersion: &b.ResourceVersion},
	})
	if isStatus(err, http.StatusNotFound) {
		return nil
	}
	return err
}

func (a *apiServer) write(ctx context.Context, request *rest.Request, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return provisioning.Permanent(provisioning.ReasonRefused, err)
	}
	_, err = a.do(ctx, request.SetHeader("Content-Type", runtime.ContentTypeJSON).Body(text), true)
	return err
}

// whoAmI asks for the name that the credentials stand for (authentication.k8s.io/v1 SelfSubjectReview), which everybody
// may ask who is known.
func (a *apiServer) whoAmI(ctx context.Context) error {
	body := []byte(`{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`)
	_, err := a.do(ctx, a.client.Post().AbsPath("/apis/authentication.k8s.io/v1/selfsubjectreviews").
		SetHeader("Content-Type", runtime.ContentTypeJSON).Body(body), false)
	if isStatus(err, http.StatusNotFound) {
		return provisioning.Unavailable(provisioning.ReasonEndpointNotFound, errors.New("the address answers, and not as a Kubernetes API server does"))
	}
	return err
}

// read reads an object of a kind. What else there is at the address, a proxy's page of JSON, is never taken for an object
// without members.
func read(text []byte, kind string, into schema.ObjectKind) error {
	err := json.Unmarshal(text, into)
	if got := into.GroupVersionKind(); err == nil && got.Kind != kind {
		err = fmt.Errorf("a %s was asked for, and the answer is none", kind)
	}
	if err != nil {
		return unreadable(err)
	}
	return nil
}

func unreadable(err error) error {
	return provisioning.Unavailable(provisioning.ReasonEndpointNotFound, fmt.Errorf("the address answers, and not as a Kubernetes API server does: %w", err))
}

// answerError carries the status of an answer beside its word.
type answerError struct {
	status int
	error
}

// Unwrap returns the word.
func (e *answerError) Unwrap() error { return e.error }

func isStatus(err error, status int) bool {
	a, ok := errors.AsType[*answerError](err)
	return ok && a.status == status
}

// maxDetail is how much of what the API server says is repeated, in bytes.
const maxDetail = 400

// word turns an error of client-go into one of ours. It is the one table of statuses.
func word(err error, answer []byte, write bool) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return &provisioning.RetryableError{Unreachable: true, Err: transport(err)}
	}
	code := int(status.Status().Code)
	detail := fmt.Errorf("the API server answered %d", code)
	// Only what is a Status says something for people: another's page is not repeated.
	var said metav1.Status
	if json.Unmarshal(answer, &said) == nil && said.Kind == "Status" && said.Message != "" {
		text := said.Message
		if len(text) > maxDetail {
			text = text[:maxDetail] + "..."
		}
		detail = fmt.Errorf("the API server answered %d: %q", code, text)
	}
	after := time.Duration(0)
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
		after = time.Duration(min(seconds, 3600)) * time.Second
	}
	a := &answerError{status: code}
	switch {
	case code == http.StatusUnauthorized:
		a.error = provisioning.Unavailable(provisioning.ReasonUnauthorized, fmt.Errorf("the API server refuses the credentials: %w", detail))
	case code == http.StatusForbidden && write:
		a.error = provisioning.Permanent(provisioning.ReasonForbidden, fmt.Errorf("the credentials may not make this change; they need the verb bind on the role: %w", detail))
	case code == http.StatusForbidden:
		a.error = provisioning.Unavailable(provisioning.ReasonAccessForbidden, fmt.Errorf("the credentials may not read: %w", detail))
	case code == http.StatusTooManyRequests:
		a.error = &provisioning.RetryableError{After: after, RateLimited: true, Err: detail}
	case code >= 500, code == http.StatusConflict, code == http.StatusNotFound, code == http.StatusGone, code == http.StatusRequestTimeout:
		a.error = &provisioning.RetryableError{After: after, Err: detail}
	case code >= 300 && code < 400:
		a.error = provisioning.Unavailable(provisioning.ReasonEndpointNotFound, errors.New("the server redirects, and redirects are not followed"))
	default:
		a.error = provisioning.Permanent(provisioning.ReasonRefused, detail)
	}
	return a
}

// transport says why there was no answer, without the address.
func transport(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("the API server did not answer in time")
	default:
		return fmt.Errorf("the API server did not answer: %w", withoutURL(err))
	}
}
