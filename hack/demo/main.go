// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command demo shows the operator at work on this machine: a control plane, a SCIM 2.0 server, a fake Cakewalk, the
// manager, signed deliveries, and what becomes of them. It is run by `make demo`, in the repository's root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// namespace holds the demo's objects.
	namespace = "demo"
	// secret signs the demo's deliveries.
	secret = "demo-webhook-secret-of-32-bytes!"
	// apiKey and apiSecret are the demo's credentials at the fake Cakewalk's Open API.
	apiKey    = "demo-api-key"
	apiSecret = "demo-api-secret"
	// token is the demo's bearer token at the SCIM server.
	token = "demo-scim-token"
	// patience bounds every wait.
	patience = time.Minute
)

// payloads are the deliveries, in their order.
var payloads = []string{"test.json", "batch.json", "grant-2025-single-object.json"}

// payloadDir holds the sample bodies.
const payloadDir = "webhookreceiver/testdata"

func main() {
	assets := flag.String("assets", "", "folder with etcd, kube-apiserver and kubectl")
	keep := flag.Bool("keep", false, "stay up until interrupted")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *assets, *keep)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo failed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, assets string, keep bool) (err error) {
	dir, err := os.MkdirTemp("", "access-operator-demo-")
	if err != nil {
		return err
	}
	d := &demo{dir: dir, assets: assets}
	defer func() {
		d.stop()
		if err != nil {
			fmt.Fprintf(os.Stderr, "\nlogs are in %s\n", dir)
			return
		}
		_ = os.RemoveAll(dir)
	}()
	for _, step := range []struct {
		title string
		do    func(context.Context) error
	}{
		{"Starting etcd and kube-apiserver", d.startControlPlane},
		{"Starting a SCIM 2.0 server with the groups members and editors", d.startSCIM},
		{"Starting a fake Cakewalk with an Open API and webhooks", d.startCakewalk},
		{"Installing the CRDs, and a WebhookReceiver, a Connector and their Secrets", d.install},
		{"Starting the operator", d.startManager},
		{"Waiting until the Connector and the WebhookReceiver are Ready", d.awaitReady},
		{"The groups before", d.printMembers},
		{"Sending signed deliveries", d.send},
		{"What became of them", d.watch},
		{"The groups after", d.printMembers},
		{"The tasks at Cakewalk", d.printCakewalk},
		{"Checking", d.check},
	} {
		fmt.Printf("\n== %s\n", step.title)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", strings.ToLower(step.title[:1])+step.title[1:], err)
		}
	}
	if keep {
		d.lookAround(ctx)
	}
	return nil
}

// install makes the objects that a user would keep in Git.
func (d *demo) install(ctx context.Context) error {
	if err := d.kubectl(ctx, "apply", "--server-side", "-f", "config/crd/bases"); err != nil {
		return err
	}
	if err := d.kubectl(ctx, "wait", "--for=condition=Established", "--timeout=30s", "-f", "config/crd/bases"); err != nil {
		return err
	}
	file := filepath.Join(d.dir, "objects.yaml")
	if err := os.WriteFile(file, []byte(fmt.Sprintf(objects, namespace, secret, token, d.scimURL, apiKey, apiSecret, d.cakewalkURL)), 0o600); err != nil {
		return err
	}
	return d.kubectl(ctx, "apply", "-f", file)
}

// objects are the demo's namespace, Secrets, WebhookReceiver and Connector.
const objects = `apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: v1
kind: Secret
metadata: {name: cakewalk-webhook, namespace: %[1]s}
stringData: {secret: %[2]q}
---
apiVersion: v1
kind: Secret
metadata: {name: cakewalk-api, namespace: %[1]s}
stringData: {apiKey: %[5]q, apiSecret: %[6]q}
---
apiVersion: v1
kind: Secret
metadata: {name: scim, namespace: %[1]s}
stringData: {token: %[3]q}
---
apiVersion: access.getcakewalk.io/v1alpha1
kind: WebhookReceiver
metadata: {name: cakewalk, namespace: %[1]s}
spec:
  verification:
    hmac:
      secretRefs: [{name: cakewalk-webhook, key: secret}]
  cakewalkAPI:
    url: %[7]s/api/v1
    credentialsSecretRef: {name: cakewalk-api}
---
apiVersion: access.getcakewalk.io/v1alpha1
kind: Connector
metadata: {name: google-workspace, namespace: %[1]s}
spec:
  match:
    workApps: [{name: Google Workspace}]
  identity:
    subject: user.email.lowerAscii()
    attributes: {displayName: user.fullName}
  permissionLevels:
  - {default: true, entitlements: [members]}
  - {name: Editor, entitlements: [editors]}
  lifecycle: {createAccount: true}
  scim:
    baseURL: %[4]s
    authentication:
      bearer: {tokenSecretRef: {name: scim, key: token}}
`

// awaitReady waits for the operator's word that it can reach the SCIM server and verify deliveries.
func (d *demo) awaitReady(ctx context.Context) error {
	return d.kubectl(ctx, "wait", "--for=condition=Ready", "--timeout=60s", "-n", namespace, "connector/google-workspace", "webhookreceiver/cakewalk")
}

// send lets Cakewalk announce the tasks of the payloads, and prints what it was answered.
func (d *demo) send(ctx context.Context) error {
	for _, name := range payloads {
		if err := d.sendFile(ctx, filepath.Join(payloadDir, name)); err != nil {
			return err
		}
	}
	return nil
}

// watch waits until every task is finished and the receiver is verified, then prints what a user would look at.
func (d *demo) watch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	last := ""
	for {
		tasks, err := d.tasks(ctx)
		if err != nil {
			return err
		}
		waiting := 0
		var line []string
		for _, t := range tasks {
			if t.succeeded == "Unknown" || t.succeeded == "True" && t.reported != "True" {
				waiting++
			}
			line = append(line, fmt.Sprintf("%s %s %s", t.name[:8], t.succeeded, t.reason))
		}
		if text := strings.Join(line, ", "); text != last {
			fmt.Println("  ", text)
			last = text
		}
		verified, err := d.output(ctx, "get", "webhookreceiver", "cakewalk", "-n", namespace, "-o", `jsonpath={.status.conditions[?(@.type=="Verified")].status}`)
		if err != nil {
			return err
		}
		if len(tasks) == wantTasks && waiting == 0 && verified == "True" {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d tasks are there, %d of them unfinished, receiver verified: %q, after %s: %w", len(tasks), wantTasks, waiting, verified, patience, context.Cause(ctx))
		case <-time.After(200 * time.Millisecond):
		}
	}
	fmt.Println("\n$ kubectl get accesstasks,connectors,webhookreceivers")
	return d.kubectl(ctx, "get", "accesstasks,connectors,webhookreceivers", "-n", namespace)
}

// wantTasks is how many tasks the payloads announce.
const wantTasks = 4

// batchGrant is the grant of the batch whose removal, in the same batch, undoes it.
const batchGrant = "0b0f1e57-4c52-4a0e-9a55-0d7f0b6c2a11"

// check compares the end with what the payloads ask for.
func (d *demo) check(ctx context.Context) error {
	tasks, err := d.tasks(ctx)
	if err != nil {
		return err
	}
	var wrong []error
	for _, t := range tasks {
		want := "True"
		if t.request == "" {
			want = "False" // Without a request there is nothing to provision: it is left to a person.
		}
		// The removal of the same batch supersedes the grant that it finds waiting.
		overtaken := t.name == batchGrant && t.reason == "Superseded"
		if t.succeeded != want && !overtaken {
			wrong = append(wrong, fmt.Errorf("task %s (%s) ended as %s %s, not as %s", t.name, t.request, t.succeeded, t.reason, want))
		}
	}
	atCakewalk, err := d.tasksAtCakewalk(ctx)
	if err != nil {
		return err
	}
	for _, t := range tasks {
		want := "Approved by the API"
		if t.succeeded != "True" {
			want = "Pending"
		}
		if got := atCakewalk[t.name]; got != want {
			wrong = append(wrong, fmt.Errorf("task %s is %q at Cakewalk, not %q", t.name, got, want))
		}
	}
	members, err := d.members(ctx)
	if err != nil {
		return err
	}
	for group, want := range map[string]string{
		"members": "admin@getcakewalk.io, grace@example.com",
		"editors": "grace@example.com",
	} {
		if got := strings.Join(members[group], ", "); got != want {
			wrong = append(wrong, fmt.Errorf("the group %s has the members %q, not %q", group, got, want))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return err
	}
	fmt.Println("   the grant and the removal of one batch cancel out, the 2025 grant is in effect, nobody else was touched, and Cakewalk knows what is done")
	return nil
}

// lookAround tells how to use what is running, and waits for Ctrl-C.
func (d *demo) lookAround(ctx context.Context) {
	fmt.Printf(`
== Everything stays up until Ctrl-C. In another terminal:

   export KUBECONFIG=%[1]s
   %[2]s get accesstasks -n %[3]s -o wide
   %[2]s describe accesstask -n %[3]s
   %[2]s get events -n %[3]s
   cat %[4]s                       # the operator's log, with the audit log in it

   Make another request in Cakewalk, approved already, and see what becomes of it there:
   curl %[5]s/requests -d '{"user": "ann@example.com", "app": "Google Workspace", "level": "Editor"}'
   curl %[5]s/

   Look into the SCIM server:
   curl -H 'Authorization: Bearer %[6]s' %[7]s/Groups
`, d.kubeconfig, filepath.Join(d.assets, "kubectl"), namespace, filepath.Join(d.dir, "manager.log"), d.cakewalkURL, token, d.scimURL)
	<-ctx.Done()
	fmt.Println("\nstopping")
}
