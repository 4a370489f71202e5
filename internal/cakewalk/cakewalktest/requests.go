// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package cakewalktest

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	window = time.Minute
	// maxLog bounds the log of requests of a Fake that runs for long. The oldest are dropped.
	maxLog = 100_000
)

// LoggedRequest is a request that came, whatever was answered.
type LoggedRequest struct {
	// Time is when it came, by the Fake's clock.
	Time time.Time
	// Method is the method.
	Method string
	// Path is the path with the query.
	Path string
	// Body is the body.
	Body string
	// Status is what was answered; 0 for no answer.
	Status int
}

// log is what came in.
type log struct {
	entries []*LoggedRequest
	// recent are the times of the last minute, and most is how many there were at the most.
	recent []time.Time
	most   int
	// counted are the times of the last minute of requests that were not answered 429.
	counted []time.Time
}

// Requests lists the requests that came, in their order: the last 100,000.
func (f *Fake) Requests() []LoggedRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]LoggedRequest, len(f.requests.entries))
	for i, r := range f.requests.entries {
		all[i] = *r
	}
	return all
}

// MaxPerMinute is the largest number of requests that came in any 60 seconds, those answered 429 among them.
func (f *Fake) MaxPerMinute() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests.most
}

// note writes a request down. Where it exceeds the limit, it returns the answer for that.
func (f *Fake) note(r *http.Request, body []byte) (*LoggedRequest, *answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	l := &f.requests
	entry := &LoggedRequest{Time: now, Method: r.Method, Path: r.URL.RequestURI(), Body: string(body)}
	if len(l.entries) == maxLog {
		l.entries = slices.Clone(l.entries[maxLog/10:])
	}
	l.entries = append(l.entries, entry)
	l.recent = append(lastMinute(l.recent, now), now)
	l.most = max(l.most, len(l.recent))
	l.counted = lastMinute(l.counted, now)
	if limit := f.options.MaxPerMinute; limit > 0 && len(l.counted) >= limit {
		wait := window - now.Sub(l.counted[0])
		a := problem(http.StatusTooManyRequests, "Too Many Requests", "")
		a.header.Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
		return entry, &a
	}
	l.counted = append(l.counted, now)
	return entry, nil
}

// lastMinute drops the times that are more than a minute old.
func lastMinute(times []time.Time, now time.Time) []time.Time {
	old := 0
	for old < len(times) && now.Sub(times[old]) > window {
		old++
	}
	return times[old:]
}
