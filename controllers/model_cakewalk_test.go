// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// modelPreflights are the ways to ask Cakewalk before the first change.
var modelPreflights = []accessv1alpha1.CakewalkPreflight{
	accessv1alpha1.PreflightDisabled, accessv1alpha1.PreflightRequired, accessv1alpha1.PreflightBestEffort,
}

// modelID is a UUID.
func modelID(kind string, i int) string {
	return fmt.Sprintf("00000000-0000-4000-8%03x-%012d", kind[0], i)
}

// modelReceiver is the WebhookReceiver that says how Cakewalk is asked.
func modelReceiver(preflight accessv1alpha1.CakewalkPreflight) *accessv1alpha1.WebhookReceiver {
	return &accessv1alpha1.WebhookReceiver{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "cakewalk"},
		Spec:       accessv1alpha1.WebhookReceiverSpec{CakewalkAPI: &accessv1alpha1.CakewalkAPI{Preflight: preflight}},
	}
}

// modelCakewalk gives a process its client of Cakewalk.
type modelCakewalk struct {
	world  *world
	client *cakewalk.Client
}

func newModelCakewalk(w *world) *modelCakewalk {
	c := &modelCakewalk{world: w}
	if w.receiver == nil {
		return c
	}
	var err error
	c.client, err = cakewalk.NewClient(cakewalk.ClientOptions{
		BaseURL: "https://cakewalk.example", Key: "k", Secret: "s", Gate: cakewalk.NewGate(w.clock.Now), Transport: c,
	})
	if err != nil {
		panic(err)
	}
	return c
}

func (c *modelCakewalk) Client(context.Context, *accessv1alpha1.WebhookReceiver) (*cakewalk.Client, error) {
	return c.client, nil
}

func (*modelCakewalk) Condition(types.NamespacedName) (status, reason, message string, at time.Time, ok bool) {
	return "", "", "", time.Time{}, false
}

func (*modelCakewalk) Forget(types.NamespacedName) {}

// RoundTrip answers a request about a task, or about what tasks are about.
func (c *modelCakewalk) RoundTrip(r *http.Request) (*http.Response, error) {
	if known := modelNames(r.URL.Path); known != nil {
		if err := c.world.call(r.Context(), "ask", func() error { return nil }); err != nil {
			return nil, err
		}
		return modelAnswer(r, known)
	}
	var f facts
	read := func() error {
		for _, known := range c.world.facts {
			if known.taskID == path.Base(r.URL.Path) {
				f = *known
			}
		}
		return nil
	}
	if visitOf(r.Context()) == nil {
		// The lookout's, which changes nothing by itself.
		_ = read()
	} else if err := c.world.call(r.Context(), "ask", read); err != nil {
		return nil, err
	}
	request := map[string]any{"requestType": f.requestType, "workAppId": modelID("app", slices.Index(modelApps, f.app))}
	if f.kind != provisioning.Archive {
		request["targetUserId"] = modelID("person", f.person)
	}
	if f.named {
		request["permissionLevelId"] = modelID("level", f.level)
	}
	task := map[string]any{"id": f.taskID, "status": f.status, "createdAt": f.created.UTC().Format(time.RFC3339Nano), "request": request}
	return modelAnswer(r, task)
}

// modelNames is what Cakewalk calls what tasks are about; nil where the path is that of a task.
func modelNames(of string) any {
	for i, email := range modelPeople {
		if strings.HasSuffix(of, "/Users/"+modelID("person", i)) {
			return map[string]any{"id": modelID("person", i), "name": email, "email": email}
		}
	}
	levels := make([]map[string]any, len(modelLevels))
	for i, l := range modelLevels {
		levels[i] = map[string]any{"id": modelID("level", i), "name": l.Name}
	}
	for i, app := range modelApps {
		switch {
		case strings.HasSuffix(of, "/WorkApps/"+modelID("app", i)):
			return map[string]any{"id": modelID("app", i), "name": app}
		case strings.HasSuffix(of, "/WorkApps/"+modelID("app", i)+"/PermissionLevels"):
			return levels
		}
	}
	return nil
}

func modelAnswer(r *http.Request, data any) (*http.Response, error) {
	text, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(string(text))), Request: r,
	}, nil
}
