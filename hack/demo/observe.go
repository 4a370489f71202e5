// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// task is what the demo needs to know of an AccessTask.
type task struct{ name, request, succeeded, reason, reported string }

func (d *demo) tasks(ctx context.Context) ([]task, error) {
	out, err := d.output(ctx, "get", "accesstasks", "-n", namespace, "--no-headers", "-o",
		`custom-columns=N:.metadata.name,R:.spec.request.type,S:.status.conditions[?(@.type=="Succeeded")].status,E:.status.conditions[?(@.type=="Succeeded")].reason,P:.status.conditions[?(@.type=="Reported")].status`)
	if err != nil {
		return nil, err
	}
	var tasks []task
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) != 5 {
			continue // "No resources found"
		}
		if f[1] == "<none>" {
			f[1] = ""
		}
		tasks = append(tasks, task{f[0], f[1], f[2], f[3], f[4]})
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

// sendFile lets the fake Cakewalk announce what a file holds, and prints what it was answered.
func (d *demo) sendFile(ctx context.Context, path string) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.cakewalkURL+"/events", bytes.NewReader(body))
	if err != nil {
		return err
	}
	start := time.Now()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	var told struct {
		Delivered struct {
			Status int
			Answer json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &told); err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: the fake Cakewalk answered %s: %s", filepath.Base(path), res.Status, strings.TrimSpace(string(text)))
	}
	var line bytes.Buffer
	if err := json.Compact(&line, told.Delivered.Answer); err != nil {
		return err
	}
	fmt.Printf("   POST %s (%d bytes): %d in %s\n     %s\n", filepath.Base(path), len(body), told.Delivered.Status, time.Since(start).Round(time.Millisecond), &line)
	if told.Delivered.Status != http.StatusOK {
		return fmt.Errorf("%s was answered %d", filepath.Base(path), told.Delivered.Status)
	}
	return nil
}

// tasksAtCakewalk returns each task's status at Cakewalk, with who closed it.
func (d *demo) tasksAtCakewalk(ctx context.Context) (map[string]string, error) {
	var tasks []struct{ TaskID, Status, ClosedBy string }
	err := get(ctx, d.cakewalkURL+"/tasks", nil, func(r io.Reader) error { return json.NewDecoder(r).Decode(&tasks) })
	statuses := map[string]string{}
	for _, t := range tasks {
		statuses[t.TaskID] = t.Status
		if t.ClosedBy != "" {
			statuses[t.TaskID] += " by " + t.ClosedBy
		}
	}
	return statuses, err
}

func (d *demo) printCakewalk(ctx context.Context) error {
	statuses, err := d.tasksAtCakewalk(ctx)
	for _, id := range slices.Sorted(maps.Keys(statuses)) {
		fmt.Printf("   %s: %s\n", id, statuses[id])
	}
	return err
}
