// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioning

import (
	"context"
	"slices"
	"sync"
)

const (
	// maxRequestIDs is how many request ids of one change are kept, and maxRequestID how long each may be, in bytes.
	maxRequestIDs = 16
	maxRequestID  = 128
)

// requestIDs collects a target system's names for requests.
type requestIDs struct {
	mu  sync.Mutex
	ids []string
}

type requestIDsKey struct{}

// collectRequestIDs returns a context in which NoteRequestID is heard, and what returns the ids that were noted.
func collectRequestIDs(ctx context.Context) (context.Context, func() []string) {
	r := &requestIDs{}
	return context.WithValue(ctx, requestIDsKey{}, r), func() []string {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.Clone(r.ids)
	}
}

// NoteRequestID notes a target system's name for a request, which its own logs know it by. What is no plain printable
// text without spaces, or too long, is not noted: it comes from outside.
func NoteRequestID(ctx context.Context, id string) {
	r, ok := ctx.Value(requestIDsKey{}).(*requestIDs)
	if !ok || id == "" || len(id) > maxRequestID {
		return
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ids) < maxRequestIDs && !slices.Contains(r.ids, id) {
		r.ids = append(r.ids, id)
	}
}
