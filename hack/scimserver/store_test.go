// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestServer(t *testing.T) {
	s := newStore()
	if err := s.fill([]string{"ann", "bob"}, []string{"editors=bob", "empty"}); err != nil {
		t.Fatal(err)
	}
	h, err := newHandler(s)
	if err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("good\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var changes strings.Builder
	server := httptest.NewServer(guard(tell(h, &changes), token, 0))
	t.Cleanup(server.Close)
	call := func(method, path, with, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/scim/v2"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+with)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(text)
	}
	patch := func(operation string) string {
		return fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[%s]}`, operation)
	}
	editors := "/Groups?filter=" + url.QueryEscape(`displayName eq "editors"`)
	steps := []struct {
		name, method, path, token, body string
		wantCode                        int
		want                            string
	}{
		{"a wrong token", "GET", "/Users", "bad", "", 401, "not known"},
		{"a user by name, whatever its case", "GET", "/Users?filter=" + url.QueryEscape(`userName eq "ANN"`), "good", "", 200, `"id":"1001"`},
		{"nobody", "GET", "/Users?filter=" + url.QueryEscape(`userName eq "cyd"`), "good", "", 200, `"totalResults":0`},
		{"a group with its members", "GET", editors, "good", "", 200, `"members":[{"value":"1002"}]`},
		{"a member is added", "PATCH", "/Groups/1003", "good", patch(`{"op":"add","path":"members","value":[{"value":"1001"}]}`), 200, `"1001"`},
		{"and once", "PATCH", "/Groups/1003", "good", patch(`{"op":"add","path":"members","value":[{"value":"1001"}]}`), 200, `[{"value":"1002"},{"value":"1001"}]`},
		{"a member that is nobody", "PATCH", "/Groups/1003", "good", patch(`{"op":"add","path":"members","value":[{"value":"7"}]}`), 400, "invalidValue"},
		{"a member is removed", "PATCH", "/Groups/1003", "good", patch(`{"op":"remove","path":"members[value eq \"1002\"]"}`), 200, `[{"value":"1001"}]`},
		{"a user twice", "POST", "/Users", "good", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"Ann"}`, 409, "uniqueness"},
		{"a user is deleted, and leaves its groups", "DELETE", "/Users/1001", "good", "", 204, ""},
		{"the group is empty", "GET", editors, "good", "", 200, `"members":[]`},
	}
	for _, st := range steps {
		if code, text := call(st.method, st.path, st.token, st.body); code != st.wantCode || !strings.Contains(text, st.want) {
			t.Errorf("%s: %d %s", st.name, code, text)
		}
	}
	lines := strings.Split(strings.TrimSpace(changes.String()), "\n")
	if len(lines) != 6 || !strings.HasPrefix(lines[0], `PATCH /scim/v2/Groups/1003 200 {"schemas"`) || lines[5] != "DELETE /scim/v2/Users/1001 204" {
		t.Errorf("%q", lines)
	}
}
