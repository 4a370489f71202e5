// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package httpclient

import (
	"context"
	"net/http"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// requestIDHeaders are the fields in which servers name a request, the most specific first.
var requestIDHeaders = []string{
	"X-Okta-Request-Id", "X-GitHub-Request-Id", "X-Amzn-RequestId", "X-Amz-Request-Id", "X-Ms-Request-Id", "X-Request-Id",
	"Request-Id", "X-Correlation-Id", "Client-Request-Id",
}

// noteRequestID notes what the server names the request. One that repeats a secret in use is not noted.
func (c *Client) noteRequestID(ctx context.Context, header http.Header) {
	for _, name := range requestIDHeaders {
		if id := header.Get(name); id != "" {
			if c.Redact(id) == id {
				provisioning.NoteRequestID(ctx, id)
			}
			return
		}
	}
}
