// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// After how long a sender should try again: when something passes by itself, and when a person or much work is needed.
const (
	retrySoon  = 5 * time.Second
	retryLater = 60 * time.Second
)

// answer is what a sender is told.
type answer struct {
	code int
	// refused is why a delivery was not taken whole; empty where it was.
	refused refusal
	header  map[string]string
	// detail explains a refusal to the sender.
	detail string
	result result
	// errors are what is wrong with single events.
	errors []eventError
	// reason is for the owner's log, never for the sender. It holds nothing of the body.
	reason error
}

// result counts the events of a delivery by their outcomes.
type result struct {
	Received   int           `json:"received"`
	Stored     int           `json:"stored"`
	Duplicates int           `json:"duplicates"`
	Ignored    int           `json:"ignored"`
	Conflicts  int           `json:"conflicts,omitempty"`
	Invalid    int           `json:"invalid,omitempty"`
	Spooled    int           `json:"spooled,omitempty"`
	Events     []eventAnswer `json:"events"`
}

// eventAnswer is what became of one event.
type eventAnswer struct {
	Index   int     `json:"index"`
	TaskID  string  `json:"taskID,omitempty"`
	Outcome outcome `json:"outcome"`
}

// eventError is what is wrong with one event.
type eventError struct {
	Index  int    `json:"index"`
	Field  string `json:"field,omitempty"`
	Detail string `json:"detail"`
}

// problem is an error as RFC 9457 writes it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Errors and the result's members are extensions.
	Errors []eventError `json:"errors,omitempty"`
	*result
}

// refuse answers with a problem. The detail goes to the sender, the reason to the owner's log.
func refuse(why refusal, code int, detail string, reason error) answer {
	if reason == nil && detail != "" {
		reason = errors.New(detail)
	}
	return answer{code: code, refused: why, detail: detail, reason: reason}
}

// unavailable answers 503 with Retry-After (RFC 9110).
func unavailable(why refusal, after time.Duration, detail string, reason error) *answer {
	a := refuse(why, http.StatusServiceUnavailable, detail, reason)
	a.header = map[string]string{"Retry-After": strconv.Itoa(int(after / time.Second))}
	return &a
}

// answerFor is the answer for the results of a delivery's events. A task that could not be stored outweighs malformed
// events: the sender has to send the delivery again either way.
func answerFor(results []eventResult) answer {
	counts := result{Received: len(results), Events: []eventAnswer{}}
	var faults []eventError
	var failed error
	for i, r := range results {
		switch r.outcome {
		case outcomeStored:
			counts.Stored++
		case outcomeDuplicate:
			counts.Duplicates++
		case outcomeConflict:
			counts.Conflicts++
		case outcomeIgnored:
			counts.Ignored++
		case outcomeInvalid:
			counts.Invalid++
			faults = append(faults, eventError{Index: i, Field: r.field, Detail: r.detail})
		case outcomeSpooled:
			counts.Spooled++
		case outcomeFailed:
			if failed == nil || errors.Is(failed, errNotTried) {
				failed = r.err
			}
			continue
		}
		counts.Events = append(counts.Events, eventAnswer{Index: i, TaskID: r.taskID, Outcome: r.outcome})
	}
	a := answer{code: http.StatusOK}
	switch {
	case failed != nil:
		a = *unavailable(refusedNotStored, retrySoon, "not every task could be stored; send the delivery again", failed)
	case len(faults) > 0 && counts.Spooled > 0:
		a = refuse(refusedInvalidEvents, http.StatusUnprocessableEntity, "some events are malformed; the others are stored, or will be", nil)
	case len(faults) > 0:
		a = refuse(refusedInvalidEvents, http.StatusUnprocessableEntity, "some events are malformed; the others are stored", nil)
	case counts.Spooled > 0:
		a.code = http.StatusAccepted
	}
	a.result, a.errors = counts, faults
	return a
}

// write writes the answer: the result, or a problem.
func (a answer) write(w http.ResponseWriter) {
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	var body any = a.result
	contentType := "application/json"
	if a.refused != "" {
		contentType = "application/problem+json"
		p := problem{Type: "about:blank", Title: http.StatusText(a.code), Status: a.code, Detail: a.detail, Errors: a.errors}
		if a.result.Events != nil {
			p.result = &a.result
		}
		body = p
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(a.code)
	// A sender that is gone cannot be told so.
	_ = json.NewEncoder(w).Encode(body) //nolint:errchkjson // see above
}
