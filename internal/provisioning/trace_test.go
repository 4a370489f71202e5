// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package provisioning

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRequestIDsAreBoundedAndPlain(t *testing.T) {
	NoteRequestID(t.Context(), "nobody listens")
	ctx, ids := collectRequestIDs(t.Context())
	for _, id := range []string{"", "a", "a", "with space", "line\nbreak", "\x1b[31m", "\u00e9", strings.Repeat("x", maxRequestID+1), "b"} {
		NoteRequestID(ctx, id)
	}
	if diff := cmp.Diff([]string{"a", "b"}, ids()); diff != "" {
		t.Error(diff)
	}
	for i := range 100 {
		NoteRequestID(ctx, fmt.Sprint(i))
	}
	if n := len(ids()); n != maxRequestIDs {
		t.Errorf("%d are kept", n)
	}
}
