// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"net/http"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
)

// state is what the requests of one receiver found.
type state struct {
	mu sync.Mutex
	// reason and message are those of Connected; empty where nothing is known. at is when that was found.
	reason, message string
	at              time.Time
	// readOnly is the message of the last refused write. It outlives reads, which such a key may do.
	readOnly string
	// refused is true after a 401 until the credentials were read again.
	refused bool
}

// observe takes in what became of a request.
func (s *state) observe(o cakewalk.Observation, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = now
	s.reason, s.message = accessv1alpha1.ReasonAnswering, "Cakewalk's API answers"
	fault := cakewalk.Fault("")
	if o.Err != nil {
		fault = cakewalk.FaultOf(o.Err)
	}
	switch {
	case fault == cakewalk.FaultUnauthorized:
		s.refused = true
		s.reason, s.message = accessv1alpha1.ReasonUnauthorized, o.Err.Error()
	case fault == cakewalk.FaultForbidden && o.Write:
		s.readOnly = o.Err.Error()
	case fault == cakewalk.FaultForbidden:
		s.reason, s.message = accessv1alpha1.ReasonUnauthorized, o.Err.Error()
	case fault == cakewalk.FaultRateLimited:
		s.reason, s.message = accessv1alpha1.ReasonRateLimited, o.Err.Error()
	case fault == cakewalk.FaultAway && (!o.Answered || o.Status == http.StatusNotFound):
		// Such a 404 comes from something that is not the API, for all that is known.
		s.reason, s.message = accessv1alpha1.ReasonUnreachable, o.Err.Error()
	case fault == "" && o.Write:
		s.readOnly = ""
	}
}

// changed takes in that there are other credentials, or none: what was found with the old ones holds no more.
func (s *state) changed(missing error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reason, s.message, s.at, s.readOnly, s.refused = "", "", time.Time{}, "", false
	if missing != nil {
		s.reason, s.message, s.at = unavailableReason(missing), missing.Error(), now
	}
}

// takeRefused says once after each refusal that the credentials were refused.
func (s *state) takeRefused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	refused := s.refused
	s.refused = false
	return refused
}

// condition is the condition Connected. ok is false where nothing is known.
func (s *state) condition() (status, reason, message string, at time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.reason == "":
		return "", "", "", time.Time{}, false
	case s.reason != accessv1alpha1.ReasonAnswering:
		return string(metav1.ConditionFalse), s.reason, s.message, s.at, true
	case s.readOnly != "":
		return string(metav1.ConditionFalse), accessv1alpha1.ReasonReadOnlyKey, s.readOnly, s.at, true
	default:
		return string(metav1.ConditionTrue), s.reason, s.message, s.at, true
	}
}
