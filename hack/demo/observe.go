// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// task is what the demo needs to know of an AccessTask.
type task struct{ name, request, succeeded, reason string }

func (d *demo) tasks(ctx context.Context) ([]task, error) {
	out, err := d.output(ctx, "get", "accesstasks", "-n", namespace, "--no-headers", "-o",
		`custom-columns=N:.metadata.name,R:.spec.request.type,S:.status.conditions[?(@.type=="Succeeded")].status,E:.status.conditions[?(@.type=="Succeeded")].reason`)
	if err != nil {
		return nil, err
	}
	var tasks []task
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) != 4 {
			continue // "No resources found"
		}
		if f[1] == "<none>" {
			f[1] = ""
		}
		tasks = append(tasks, task{f[0], f[1], f[2], f[3]})
	}
	return tasks, nil
}

// members reads the groups and their members from the SCIM server.
func (d *demo) members(ctx context.Context) (map[string][]string, error) {
	var users, groups struct {
		Resources []struct {
			ID, UserName, DisplayName string
			Members                   []struct{ Value string }
		}
	}
	header := http.Header{"Authorization": {"Bearer " + token}}
	for path, into := range map[string]any{"/Users": &users, "/Groups": &groups} {
		if err := get(ctx, d.scimURL+path+"?count=100", header, func(r io.Reader) error { return json.NewDecoder(r).Decode(into) }); err != nil {
			return nil, err
		}
	}
	names := map[string]string{}
	for _, u := range users.Resources {
		names[u.ID] = u.UserName
	}
	members := map[string][]string{}
	for _, g := range groups.Resources {
		members[g.DisplayName] = []string{}
		for _, m := range g.Members {
			members[g.DisplayName] = append(members[g.DisplayName], names[m.Value])
		}
		slices.Sort(members[g.DisplayName])
	}
	return members, nil
}

func (d *demo) printMembers(ctx context.Context) error {
	members, err := d.members(ctx)
	if err != nil {
		return err
	}
	for _, group := range []string{"members", "editors"} {
		fmt.Printf("   %s: %s\n", group, strings.Join(members[group], ", "))
	}
	return nil
}

// sendFile signs a file's bytes, sends them and prints what was sent and answered.
func sendFile(ctx context.Context, url, path string) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-SIGNATURE", hex.EncodeToString(mac.Sum(nil)))
	start := time.Now()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	fmt.Printf("   POST %s (%d bytes): %s in %s\n     %s\n", filepath.Base(path), len(body), res.Status, time.Since(start).Round(time.Millisecond), strings.TrimSpace(string(answer)))
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s was answered %s", filepath.Base(path), res.Status)
	}
	return nil
}
