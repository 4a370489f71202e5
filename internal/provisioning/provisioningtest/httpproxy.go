// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioningtest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"testing"
)

// HTTPProxy is a Proxy in front of an HTTP server.
type HTTPProxy struct {
	// URL is the proxy's base URL.
	URL string
	// Kind tells what a request is. Default: GET and HEAD read, everything else writes.
	Kind func(*http.Request) Request
	// Transport reaches the server. Default: http.DefaultTransport.
	Transport http.RoundTripper
	// Swallowed answers a change that is not passed on. Default: 204.
	Swallowed http.HandlerFunc

	faults faults
	server *httptest.Server
}

var _ Proxy = (*HTTPProxy)(nil)

// NewHTTPProxy returns a proxy in front of the server of a base URL, which ends with the test.
func NewHTTPProxy(tb testing.TB, upstream string) *HTTPProxy {
	tb.Helper()
	to, err := url.Parse(upstream)
	if err != nil {
		tb.Fatal(err)
	}
	p := &HTTPProxy{Kind: kindOfMethod, Swallowed: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }}
	pass := &httputil.ReverseProxy{
		Transport: transport(func(r *http.Request) (*http.Response, error) {
			if p.Transport != nil {
				return p.Transport.RoundTrip(r)
			}
			return http.DefaultTransport.RoundTrip(r)
		}),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			// A server may put its own address into answers by this.
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, pass) }))
	tb.Cleanup(func() {
		p.Clear()
		p.server.CloseClientConnections()
		p.server.Close()
	})
	p.URL = p.server.URL
	return p
}

type transport func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

func (p *HTTPProxy) serve(w http.ResponseWriter, r *http.Request, pass http.Handler) {
	// Read whole before it is passed on: a server closes a body when the answer begins, and where the upstream is quicker
	// than the reading of the body's end, that breaks the answer off.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	fault, freed := p.faults.meet(p.Kind(r))
	switch fault {
	case Busy:
		w.WriteHeader(http.StatusTooManyRequests)
	case BusyForSeconds:
		w.Header().Set("Retry-After", strconv.Itoa(RetryAfter))
		w.WriteHeader(http.StatusTooManyRequests)
	case Fail:
		w.WriteHeader(http.StatusServiceUnavailable)
	case FailAfter:
		pass.ServeHTTP(httptest.NewRecorder(), r)
		w.WriteHeader(http.StatusBadGateway)
	case Refuse:
		w.WriteHeader(http.StatusUnauthorized)
	case Swallow:
		p.Swallowed(w, r)
	case Hang:
		select {
		case <-freed:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	default:
		pass.ServeHTTP(w, r)
	}
}

func kindOfMethod(r *http.Request) Request {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return Read
	}
	return Write
}

// Inject implements Proxy.
func (p *HTTPProxy) Inject(f Fault, on Request, skip int) { p.faults.inject(f, on, skip) }

// Clear implements Proxy.
func (p *HTTPProxy) Clear() int { return p.faults.clear() }

// Cut implements Proxy.
func (p *HTTPProxy) Cut() { p.server.CloseClientConnections() }
