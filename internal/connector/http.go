// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"time"

	"golang.org/x/time/rate"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning/httpapi"
)

func newHTTP(spec *accessv1alpha1.ConnectorSpec, refs *references, limiter *rate.Limiter) (*backend, error) {
	s := spec.HTTP
	authentication, err := newAuthentication("http.authentication", s.Authentication, refs)
	if err != nil {
		return nil, err
	}
	roots, err := refs.Roots("http.certificateAuthority", s.CertificateAuthority)
	if err != nil {
		return nil, err
	}
	c := httpclient.New(httpclient.Options{
		Authentication:   authentication,
		RootCAs:          roots,
		Timeout:          time.Duration(s.RequestTimeoutSeconds) * time.Second,
		Limiter:          limiter,
		MaxResponseBytes: int64(s.MaxResponseBytes),
	})
	b, err := httpapi.New(httpapi.Options{BaseURL: s.BaseURL, Client: c, Operations: HTTPOperations(&s.Operations)})
	if err != nil {
		return nil, invalid("http.%w", err)
	}
	return &backend{Backend: b, close: c.Close}, nil
}

// HTTPOperations are a Connector's operations in the backend's words.
func HTTPOperations(o *accessv1alpha1.HTTPOperations) httpapi.Operations {
	out := httpapi.Operations{
		CreateAccount:     httpRequests(o.CreateAccount),
		ActivateAccount:   httpRequests(o.ActivateAccount),
		DeactivateAccount: httpRequests(o.DeactivateAccount),
		DeleteAccount:     httpRequests(o.DeleteAccount),
		AddEntitlement:    httpRequests(o.AddEntitlement),
		RemoveEntitlement: httpRequests(o.RemoveEntitlement),
	}
	if o.Check != nil {
		out.Check = new(httpRequest(o.Check))
	}
	if a := o.Observe.Account; a != nil {
		out.Observe.Account = httpLookup(&a.HTTPLookup)
		out.Observe.Account.Active = string(a.Active)
	}
	if e := o.Observe.Entitlement; e != nil {
		out.Observe.Entitlement = httpLookup(e)
	}
	out.Observe.Holders = httpMembers(o.Observe.Holders)
	out.Observe.Membership = httpMembers(o.Observe.Membership)
	return out
}

func httpMembers(l *accessv1alpha1.HTTPMemberLookup) *httpapi.Lookup {
	if l == nil {
		return nil
	}
	out := httpLookup(&l.HTTPLookup)
	out.Pending = string(l.Pending)
	return out
}

func httpLookup(l *accessv1alpha1.HTTPLookup) *httpapi.Lookup {
	out := &httpapi.Lookup{Request: httpRequest(&l.HTTPRequest), Items: string(l.Items), Match: string(l.Match), ID: string(l.ID)}
	if p := l.Pagination; p != nil {
		out.Pagination = &httpapi.Pagination{Link: p.Link != nil, NextURL: string(p.NextURL), MaxPages: int(p.MaxPages)}
		if c := p.Cursor; c != nil {
			out.Pagination.Cursor, out.Pagination.CursorParameter = string(c.Next), c.Parameter
		}
		if n := p.Page; n != nil {
			out.Pagination.Page = httpPage(n)
		}
	}
	return out
}

func httpPage(n *accessv1alpha1.HTTPPageNumbers) *httpapi.Page {
	page := &httpapi.Page{
		Parameter: n.Parameter, ByItems: n.By == accessv1alpha1.HTTPItems, First: 1,
		SizeParameter: n.SizeParameter, Size: int(n.Size),
	}
	if page.ByItems {
		page.First = 0
	}
	if n.First != nil {
		page.First = int(*n.First)
	}
	return page
}

func httpRequests(all []accessv1alpha1.HTTPRequest) []httpapi.Request {
	out := make([]httpapi.Request, len(all))
	for i := range all {
		out[i] = httpRequest(&all[i])
	}
	return out
}

func httpRequest(r *accessv1alpha1.HTTPRequest) httpapi.Request {
	out := httpapi.Request{
		When: string(r.When), Method: string(r.Method), Path: r.Path,
		Query: httpTexts(r.Query), Headers: httpTexts(r.Headers), Body: string(r.Body),
	}
	if a := r.Answers; a != nil {
		out.Answers = httpapi.Answers{
			Unauthorized: string(a.Unauthorized), RateLimited: string(a.RateLimited), Retryable: string(a.Retryable),
			Pending: string(a.Pending), NotFound: string(a.NotFound), AlreadyDone: string(a.AlreadyDone),
			Done: string(a.Done), Message: string(a.Message),
		}
	}
	return out
}

func httpTexts(all map[string]accessv1alpha1.HTTPExpression) map[string]string {
	out := make(map[string]string, len(all))
	for name, text := range all {
		out[name] = string(text)
	}
	return out
}
