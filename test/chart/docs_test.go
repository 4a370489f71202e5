// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"getcakewalk.io/access-operator/internal/cakewalk"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
)

var block = regexp.MustCompile("(?s)\n```sh\n(.*?)```\n")

// commands returns what a document says to paste.
func commands(t *testing.T, document string, want int) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/" + document)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range block.FindAllStringSubmatch(string(page), -1) {
		all = append(all, m[1])
	}
	if len(all) != want {
		t.Fatalf("there are %d commands in %s", len(all), document)
	}
	return all
}

// reader is somebody who pastes what the documents say. There are no nodes here, so nothing waits for pods: the manager runs
// beside, with its service account's token, and listens where the port would be forwarded to.
type reader struct {
	*cluster
	// bin has what is found on the reader's PATH before all else.
	bin string
	// work is the folder that they are in.
	work string
	// input is what they type.
	input string
}

func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{cluster: server(t), bin: t.TempDir(), work: t.TempDir()}
	r.clean(t)
	kubectl := fmt.Sprintf("#!/bin/sh\ncase \" $* \" in *' port-forward '*) exec sleep 60;; esac\nexec %s/kubectl \"$@\"\n", os.Getenv(assetsVariable))
	if err := os.WriteFile(filepath.Join(r.bin, "kubectl"), []byte(kubectl), 0o755); err != nil {
		t.Fatal(err)
	}
	charts, err := filepath.Abs("../../charts")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(charts, filepath.Join(r.work, "charts")); err != nil {
		t.Fatal(err)
	}
	return r
}

// paste runs a command, which must end well, and returns what it prints.
func (r *reader) paste(t *testing.T, command string) string {
	t.Helper()
	cmd := exec.Command("bash", "-c", "set -m\n"+command)
	cmd.Dir = r.work
	cmd.Env = append(os.Environ(), "KUBECONFIG="+r.kubeconfig, "PATH="+r.bin+":"+filepath.Dir(helm)+":"+os.Getenv("PATH"))
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(r.input), &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out.String())
	}
	return out.String()
}

// install pastes the command that installs, and starts the manager.
func (r *reader) install(t *testing.T, command string) {
	t.Helper()
	manager := filepath.Join(r.bin, "manager")
	if out, err := exec.Command("go", "build", "-o", manager, "../../cmd/manager").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r.paste(t, strings.Replace(command, " --wait", "", 1))
	r.startManager(t, manager)
}

// shows pastes a command until it prints what is wanted.
func (r *reader) shows(t *testing.T, command, want string) {
	t.Helper()
	eventually(t, func() error {
		if out := r.paste(t, command); !regexp.MustCompile(want).MatchString(out) {
			return fmt.Errorf("%s prints %s, not %s", command, out, want)
		}
		return nil
	})
}

func TestTheSevenCommandsOfTheDocs(t *testing.T) {
	r := newReader(t)
	for i, command := range commands(t, "install.md", 7) {
		switch i {
		case 0:
			r.install(t, command)
		case 5:
			r.shows(t, command, `"stored":1`)
		case 6:
			r.shows(t, command, `True +Provisioned`)
		default:
			r.paste(t, command)
		}
	}
	if out := r.must(t, "kubectl", "", "-n", "team-a", "auth", "can-i", "patch", "deployments", "--as", "ann@example.com"); strings.TrimSpace(out) != "yes" {
		t.Error("Ann may not: ", out)
	}
}

// TestFromAnEmptyTenantToTheFirstTask pastes what docs/cakewalk.md says, with a Cakewalk in memory.
func TestFromAnEmptyTenantToTheFirstTask(t *testing.T) {
	const secret = "the secret that Cakewalk signs with"
	fake := cakewalktest.Start(t, cakewalktest.Options{HMACSecret: secret})
	r := newReader(t)
	r.input = fake.Key + "\n" + fake.Secret + "\n"
	install := commands(t, "install.md", 7)
	here := strings.NewReplacer(
		"team-a", "tenant",
		"https://open-api.getcakewalk.io/api/v1", fake.URL,
		"$(openssl rand -hex 32)", secret,
		"  cakewalkAPI:\n", "  cakewalkAPI:\n    url: "+fake.URL+"\n",
	)
	var all []string
	for _, command := range commands(t, "cakewalk.md", 11) {
		all = append(all, here.Replace(command))
	}
	hook := "http://127.0.0.1:19080/webhooks/tenant/cakewalk"
	r.install(t, install[0])
	r.paste(t, all[0])
	if out := r.paste(t, all[1]+all[2]); !strings.HasSuffix(out, "\n404\n") {
		t.Fatal("the key is not good: ", out)
	}
	r.paste(t, all[3])
	r.paste(t, all[4])
	r.shows(t, all[5], `(?s)True +True.*Ready=True Serving.*Connected=True Answering`)
	if out := r.paste(t, all[6]); out != "/webhooks/tenant/cakewalk\n"+secret+"\n" {
		t.Error(out)
	}
	eventually(t, func() error { return delivered(fake.Send(t.Context(), hook, cakewalktest.TestBody())) })
	r.paste(t, all[7])

	r.paste(t, here.Replace(install[4]))
	r.paste(t, all[8])
	id := fake.AddTask(cakewalktest.Task{Request: &cakewalktest.Request{
		TargetUser: &cakewalk.User{Email: "ann@example.com", FullName: "Ann"},
		WorkApp:    &cakewalk.NamedObject{Name: "Production Cluster"},
	}})
	if err := delivered(fake.Deliver(t.Context(), hook, id)); err != nil {
		t.Fatal(err)
	}
	r.shows(t, all[9], `Unknown +DryRun`)
	r.paste(t, all[10])
	if known, _ := fake.Task(id); known.Status != cakewalktest.StatusApproved {
		t.Errorf("in Cakewalk it is %s", known.Status)
	}
	r.shows(t, all[9], `True +Provisioned`)
}

// delivered is the error of a delivery that was not taken.
func delivered(got cakewalktest.Delivered, err error) error {
	if err == nil && got.Status != http.StatusOK {
		err = fmt.Errorf("the delivery is answered %d: %s", got.Status, got.Body)
	}
	return err
}

// startManager starts the manager with the rights that the install gave it.
func (c *cluster) startManager(t *testing.T, program string) {
	t.Helper()
	token := strings.TrimSpace(c.must(t, "kubectl", "", "-n", namespace, "create", "token", "access-operator-manager"))
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],\nclusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}], users: [{name: u, user: {token: %s}}]}",
		c.config.Host, base64.StdEncoding.EncodeToString(c.config.CAData), token)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(program, "--kubeconfig", file, "--receiver-bind-address=127.0.0.1:19080", "--metrics-bind-address=0", "--health-probe-bind-address=127.0.0.1:19081")
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(tail(log.Bytes()))
		}
	})
	eventually(t, func() error {
		res, err := http.Get("http://127.0.0.1:19081/readyz")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("the manager is not ready: %s", res.Status)
		}
		return nil
	})
}
