// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpclient

import (
	"net/http"
	"strconv"
	"time"
)

// maxRetryAfter bounds what a server may ask to wait.
const maxRetryAfter = time.Hour

// RetryAfter reads the header Retry-After (RFC 9110 section 10.2.3), seconds or a date: how long to wait, at most an hour.
// Zero where it does not say.
func RetryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	var after time.Duration
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		after = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		after = time.Until(date)
	}
	return min(max(after, 0), maxRetryAfter)
}
