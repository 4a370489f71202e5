// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e runs the manager's program against a real API server and a SCIM server: real deliveries, real signatures,
// real kills.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/testenv"
)

const hookSecret = "0123456789abcdef0123456789abcdef"

var (
	env *testenv.Env
	// programs is the folder with the built programs.
	programs string
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "access-operator-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programs = dir
	for program, build := range map[string][2]string{"manager": {"../..", "./cmd/manager"}, "scimserver": {"../../hack/scimserver", "."}} {
		cmd := exec.Command("go", "build", "-o", filepath.Join(dir, program), build[1])
		cmd.Dir = build[0]
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building %s: %v\n%s", program, err, out)
			os.Exit(1)
		}
	}
	testenv.Main(m, &env)
}

// rig is a namespace with a WebhookReceiver and a SCIM server with a Connector, and a manager that can be killed.
type rig struct {
	client.WithWatch
	t         *testing.T
	namespace string
	scim      string
	tokenFile string

	config   string
	receiver string
	health   string
	manager  *exec.Cmd
	// log is the log of the manager that was started last. It may be read when that has ended.
	log *bytes.Buffer
	// ended is closed when the manager has ended.
	ended chan struct{}
}

func newRig(t *testing.T, scimArgs ...string) *rig {
	t.Helper()
	r := &rig{WithWatch: env.Client(t), t: t, namespace: env.Namespace(t)}
	r.config = filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(r.config, env.Kubeconfig, 0o600); err != nil {
		t.Fatal(err)
	}
	r.scim, r.tokenFile = r.startSCIM(scimArgs...)
	r.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "hook"}, StringData: map[string]string{"secret": hookSecret}})
	r.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "scim"}, StringData: map[string]string{"token": "token"}})
	r.create(&accessv1alpha1.WebhookReceiver{
		ObjectMeta: metav1.ObjectMeta{Name: "cakewalk"},
		Spec: accessv1alpha1.WebhookReceiverSpec{Verification: accessv1alpha1.WebhookVerification{HMAC: &accessv1alpha1.HMACVerification{
			SecretRefs: []accessv1alpha1.SecretKeyReference{{Name: "hook", Key: "secret"}},
		}}},
	})
	ports := []string{freeAddress(t), freeAddress(t)}
	r.receiver, r.health = ports[0], ports[1]
	return r
}

func (r *rig) create(o client.Object) {
	r.t.Helper()
	o.SetNamespace(r.namespace)
	if err := r.Create(r.t.Context(), o); err != nil {
		r.t.Fatal(err)
	}
}

// connector makes a Connector for an application at a SCIM server.
func (r *rig) connector(app, scim, secret string) *accessv1alpha1.Connector {
	r.t.Helper()
	c := &accessv1alpha1.Connector{
		ObjectMeta: metav1.ObjectMeta{Name: strings.ToLower(app)},
		Spec: accessv1alpha1.ConnectorSpec{
			Match:            accessv1alpha1.ConnectorMatch{WorkApps: []accessv1alpha1.WorkAppMatch{{Name: app}}},
			PermissionLevels: []accessv1alpha1.PermissionLevelMapping{{Default: new(true), Entitlements: []string{"one", "two", "three"}}},
			Lifecycle:        accessv1alpha1.ConnectorLifecycle{CreateAccount: new(true)},
			Limits:           accessv1alpha1.ConnectorLimits{RequestsPerSecond: 1000, Burst: 1000},
			SCIM: &accessv1alpha1.SCIMBackend{BaseURL: scim, Authentication: accessv1alpha1.HTTPAuthentication{
				Bearer: &accessv1alpha1.BearerAuthentication{TokenSecretRef: accessv1alpha1.SecretKeyReference{Name: secret, Key: "token"}},
			}},
		},
	}
	r.create(c)
	return c
}

// startSCIM starts a SCIM server with the groups one, two and three, and bob in all of them.
func (r *rig) startSCIM(args ...string) (address, tokenFile string) {
	r.t.Helper()
	tokenFile = filepath.Join(r.t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte("token"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(programs, "scimserver"), append([]string{
		"--token-file", tokenFile, "--user", "bob@example.com",
		"--group", "one=bob@example.com", "--group", "two=bob@example.com", "--group", "three=bob@example.com",
	}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		r.t.Fatal(err)
	}
	_, address, _ = strings.Cut(strings.TrimSpace(line), "listening on ")
	return address, tokenFile
}

// start starts the manager as the README of the operator says, and waits until it is ready.
func (r *rig) start() {
	r.t.Helper()
	cmd := exec.Command(filepath.Join(programs, "manager"), "--kubeconfig", r.config,
		"--receiver-bind-address", r.receiver, "--metrics-bind-address", "0", "--zap-log-level", "debug", "--health-probe-bind-address", r.health)
	log := &bytes.Buffer{}
	cmd.Stderr, r.log = log, log
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.manager = cmd
	ended := make(chan struct{})
	r.ended = ended
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	r.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if r.t.Failed() {
			r.t.Logf("the manager's log: %s", tail(log.String(), 8000))
		}
	})
	r.eventually("the manager is ready", func() error {
		select {
		case <-ended:
			r.t.Fatal("the manager ended: ", cmd.ProcessState)
		default:
		}
		res, err := http.Get("http://" + r.health + "/readyz")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return errors.New(res.Status)
		}
		return nil
	})
}

// kill ends the manager at once, as a power cut does.
func (r *rig) kill() {
	r.t.Helper()
	if err := r.manager.Process.Signal(syscall.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
	<-r.ended
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// event is an event for a user, and its taskId.
func event(kind, app, email string) (map[string]any, string) {
	id := uuid.NewString()
	return map[string]any{"eventType": "action_task.actionable", "data": map[string]any{"taskId": id, "assignedTo": []any{}, "requestMetadata": map[string]any{
		"requestType": kind, "reviewedBy": []any{}, "targetWorkApp": map[string]any{"name": app}, "permissionLevel": nil,
		"targetUser": map[string]any{"email": email, "fullName": email},
	}}}, id
}

// deliver sends signed events, which must be stored.
func (r *rig) deliver(events ...map[string]any) {
	r.t.Helper()
	body, err := json.Marshal(events)
	if err != nil {
		r.t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write(body)
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, "http://"+r.receiver+"/webhooks/"+r.namespace+"/cakewalk", bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("X-SIGNATURE", hex.EncodeToString(mac.Sum(nil)))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		r.t.Fatalf("%s %s (%v)", res.Status, answer, err)
	}
}

// eventually repeats check until it returns nil.
func (r *rig) eventually(what string, check func() error) {
	r.t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("it never came true that %s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// until waits until a task's Succeeded has a reason.
func (r *rig) until(id, reason string) *accessv1alpha1.AccessTask {
	r.t.Helper()
	task := &accessv1alpha1.AccessTask{}
	r.eventually("the task is "+reason, func() error {
		if err := r.Get(r.t.Context(), client.ObjectKey{Namespace: r.namespace, Name: id}, task); err != nil {
			return err
		}
		if c := meta.FindStatusCondition(task.Status.Conditions, accessv1alpha1.ConditionSucceeded); c.Reason != reason {
			return fmt.Errorf("it is %s: %s", c.Reason, c.Message)
		}
		return nil
	})
	return task
}

// ready waits until a Connector's Ready has a reason.
func (r *rig) ready(c *accessv1alpha1.Connector, reason string) {
	r.t.Helper()
	r.eventually("the connector is "+reason, func() error {
		if err := r.Get(r.t.Context(), client.ObjectKeyFromObject(c), c); err != nil {
			return err
		}
		if ready := meta.FindStatusCondition(c.Status.Conditions, accessv1alpha1.ConditionReady); ready == nil || ready.Reason != reason {
			return fmt.Errorf("it is %+v", ready)
		}
		return nil
	})
}

// members asks the SCIM server for the userNames of a group's members, as often as they are stored.
func (r *rig) members(group string) []string {
	r.t.Helper()
	var users, groups struct {
		Resources []struct {
			ID, UserName string
			Members      []struct{ Value string }
		}
	}
	for query, into := range map[string]any{"/Users?count=1000": &users, "/Groups?filter=" + url.QueryEscape("displayName eq \""+group+"\""): &groups} {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, r.scim+query, nil)
		if err != nil {
			r.t.Fatal(err)
		}
		token, err := os.ReadFile(r.tokenFile)
		if err != nil {
			r.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+string(token))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			r.t.Fatal(err)
		}
		defer res.Body.Close()
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			r.t.Fatal(err)
		}
	}
	names := map[string]string{}
	for _, u := range users.Resources {
		names[u.ID] = u.UserName
	}
	var all []string
	for _, m := range groups.Resources[0].Members {
		all = append(all, names[m.Value])
	}
	slices.Sort(all)
	return all
}
