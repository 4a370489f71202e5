// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalktest

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"time"
)

// Fault is something that goes wrong with requests. Of the faults that match a request, the one that was injected first
// happens.
type Fault struct {
	// Match chooses the requests. Nil: all.
	Match func(*http.Request) bool
	// Times is how often it happens. 0: until it is removed.
	Times int
	// Delay is how long the request waits before anything else happens.
	Delay time.Duration
	// Away ends the connection without an answer, and without an effect.
	Away bool
	// LoseAnswer ends the connection without an answer, after the effect.
	LoseAnswer bool
	// Status is answered in place of what was asked for, without an effect; 0: not.
	Status int
	// RetryAfter is the header Retry-After of such an answer, in seconds; 0: none.
	RetryAfter int
	// Body is the body of such an answer. With a Body and no Status, the status is 200.
	Body string
	// ContentType is that of the body. Default: application/json.
	ContentType string
}

// Inject makes a fault happen until remove is called or it happened as often as it says.
func (f *Fake) Inject(fault Fault) (remove func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &fault
	f.faults = append(f.faults, p)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.faults = slices.DeleteFunc(f.faults, func(other *Fault) bool { return other == p })
	}
}

// On matches requests with a method and a path below the API's base, for example "POST", "/Tasks/<id>/Approve".
func On(method, path string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == method && r.URL.Path == basePath+path }
}

// fault returns what is to go wrong with a request.
func (f *Fake) fault(r *http.Request) *Fault {
	f.mu.Lock()
	known := slices.Clone(f.faults)
	f.mu.Unlock()
	for _, fault := range known {
		// Without the lock, so that Match may ask the Fake.
		if (fault.Match == nil || fault.Match(r)) && f.take(fault) {
			return fault
		}
	}
	return nil
}

// take uses a fault up once, and says whether there was one left.
func (f *Fake) take(fault *Fault) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.Index(f.faults, fault)
	if i < 0 {
		return false
	}
	if fault.Times > 0 {
		if fault.Times--; fault.Times == 0 {
			f.faults = slices.Delete(f.faults, i, i+1)
		}
	}
	return true
}

// before waits, and says whether the request is to be answered.
func (f *Fault) before(r *http.Request) bool {
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return false
		}
	}
	return !f.Away
}

func (f *Fault) answers() bool { return f.Status != 0 || f.Body != "" }

func (f *Fault) answer() answer {
	a := answer{status: f.Status, header: http.Header{}, body: []byte(f.Body)}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if f.Body != "" {
		a.header.Set("Content-Type", f.ContentType)
		if f.ContentType == "" {
			a.header.Set("Content-Type", "application/json")
		}
	}
	if f.RetryAfter > 0 {
		a.header.Set("Retry-After", strconv.Itoa(f.RetryAfter))
	}
	return a
}

// inProcess calls a handler without a network. A handler that aborts is a connection that ended.
type inProcess struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (t inProcess) RoundTrip(r *http.Request) (res *http.Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler { //nolint:errorlint // It is compared as net/http does.
				panic(p)
			}
			res, err = nil, io.ErrUnexpectedEOF
			if r.Context().Err() != nil {
				err = errors.Join(r.Context().Err(), err)
			}
		}
	}()
	r = r.Clone(r.Context())
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	t.handler.ServeHTTP(w, r)
	res = w.Result()
	res.Request = r
	return res, nil
}
