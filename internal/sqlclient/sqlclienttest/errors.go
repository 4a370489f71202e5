// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package sqlclienttest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// ErrUnclear is what a test wants of answers that are errors themselves or cannot be read.
var ErrUnclear = errors.New("the answers are unclear")

// maxText is more than a backend says besides 256 characters of the server's.
const maxText = 512

// CheckError holds an error of a backend that only looked against what said, the answers that it had, give reason for:
// nil, ErrUnclear, or a *provisioning.PermanentError, of which the reason counts.
func CheckError(tb testing.TB, err, want error, said ...Answer) {
	tb.Helper()
	if (err != nil) != (want != nil) {
		tb.Errorf("error %v, want %v", err, want)
	}
	if err == nil || want == nil {
		return
	}
	text := err.Error()
	if strings.Contains(text, Secret) {
		tb.Errorf("it shows the password: %s", text)
	}
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxText || strings.ContainsFunc(text, unicode.IsControl) {
		tb.Errorf("it is not one short line of text: %q", text)
	}
	cut, refused := false, false
	for _, a := range said {
		cut = cut || errors.Is(a.Err, ErrCut)
		refused = refused || a.Err != nil && !errors.Is(a.Err, ErrCut)
	}
	wanted, permanent := errors.AsType[*provisioning.PermanentError](want)
	switch err := err.(type) { //nolint:errorlint // A backend returns the error itself.
	case *provisioning.PermanentError:
		if permanent && err.Reason != wanted.Reason || !permanent && (!refused || err.Reason != provisioning.ReasonRefused) {
			tb.Errorf("it is for a person to mend, by the reason %s: %s", err.Reason, text)
		}
		return
	case *provisioning.UnavailableError:
		if !refused || !slices.Contains([]string{provisioning.ReasonUnauthorized, provisioning.ReasonAccessForbidden, provisioning.ReasonEndpointNotFound}, err.Reason) {
			tb.Errorf("the server did not say %s: %s", err.Reason, text)
		}
	case *provisioning.RetryableError:
		if err.Unreachable && !cut || err.RateLimited && !refused {
			tb.Errorf("the server did not say %+v", *err)
		}
	default:
		tb.Errorf("a %T is no word of provisioning's", err)
	}
	if permanent {
		tb.Errorf("it is not for a person to mend, and is %s: %s", wanted.Reason, text)
	}
}
