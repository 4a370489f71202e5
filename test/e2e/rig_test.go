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

	// config is the kubeconfig of a service account with the installed rights, and no others.
	config   string
	receiver string
	// sender delivers to the receiver, at url.
	sender *http.Client
	url    string
	health string
	// process is the manager that was started last.
	*process
	// auditLogs are those of all managers. One may be read when its manager has ended.
	auditLogs []*bytes.Buffer
}

// process is a running manager.
type process struct {
	manager *exec.Cmd
	// log is its log. It may be read when the process has ended.
	log *bytes.Buffer
	// ended is closed when the process has ended.
	ended chan struct{}
}

func newRig(t *testing.T, scimArgs ...string) *rig {
	t.Helper()
	r := &rig{WithWatch: env.Client(t), t: t, namespace: env.Namespace(t)}
	for role, wholeCluster := range map[string]bool{managerRole: true, receiverRole: true, metricsAuthRole: true, jobsRole: false} {
		r.bind("manager", role, wholeCluster)
	}
	r.config = r.kubeconfig("manager")
	// The tests that come later have the API server, and the controllers in all namespaces, to themselves.
	t.Cleanup(func() {
		for _, o := range []client.Object{&accessv1alpha1.AccessTask{}, &accessv1alpha1.Connector{}, &accessv1alpha1.WebhookReceiver{}} {
			if err := r.DeleteAllOf(context.Background(), o, client.InNamespace(r.namespace)); err != nil {
				t.Error(err)
			}
		}
	})
	r.scim, r.tokenFile = r.startSCIM(scimArgs...)
	r.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "hook"}, StringData: map[string]string{"secret": hookSecret}})
	r.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "scim"}, StringData: map[string]string{"token": "token"}})
	r.create(&accessv1alpha1.WebhookReceiver{
		ObjectMeta: metav1.ObjectMeta{Name: "cakewalk"},
		Spec: accessv1alpha1.WebhookReceiverSpec{Verification: accessv1alpha1.WebhookVerification{HMAC: &accessv1alpha1.HMACVerification{
			SecretRefs: []accessv1alpha1.SecretKeyReference{{Name: "hook", Key: "secret"}},
		}}},
	})
	ports := []string{testenv.FreeAddress(t), testenv.FreeAddress(t)}
	r.receiver, r.health = ports[0], ports[1]
	r.sender, r.url = http.DefaultClient, "http://"+r.receiver
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

// start starts the manager with both halves, and waits until it is ready. A flag of args wins over the rig's.
func (r *rig) start(args ...string) {
	r.t.Helper()
	all := append([]string{"--kubeconfig", r.config, "--receiver-bind-address", r.receiver, "--metrics-bind-address", "0"}, args...)
	r.process = r.startManager(nil, append(all, "--health-probe-bind-address", r.health)...)
}

// startManager starts a manager with additional environment, and waits until it is ready. The arguments name its
// --health-probe-bind-address last.
func (r *rig) startManager(environment []string, args ...string) *process {
	r.t.Helper()
	p := &process{log: &bytes.Buffer{}, ended: make(chan struct{})}
	p.manager = exec.Command(filepath.Join(programs, "manager"), append([]string{"--zap-log-level", "debug"}, args...)...)
	p.manager.Env = append(os.Environ(), environment...)
	audited := &bytes.Buffer{}
	r.auditLogs = append(r.auditLogs, audited)
	p.manager.Stdout, p.manager.Stderr = audited, p.log
	if err := p.manager.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.manager.Wait()
	}()
	r.t.Cleanup(func() {
		_ = p.manager.Process.Kill()
		<-p.ended
		auditLines(r.t, audited)
		if r.t.Failed() {
			r.t.Logf("the manager's log: %s", tail(p.log.String(), 8000))
		}
	})
	r.eventually("the manager is ready", func() error {
		select {
		case <-p.ended:
			r.t.Fatal("the manager ended: ", p.manager.ProcessState)
		default:
		}
		res, err := http.Get("http://" + args[len(args)-1] + "/readyz")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return errors.New(res.Status)
		}
		return nil
	})
	return p
}

// kill ends the manager at once, as a power cut does.
func (r *rig) kill() {
	r.t.Helper()
	r.end(r.t, syscall.SIGKILL)
}

// end sends a signal and waits until the process has ended.
func (p *process) end(t *testing.T, signal os.Signal) {
	t.Helper()
	if err := p.manager.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	<-p.ended
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

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
	if code, answer := r.send(r.namespace+"/cakewalk", nil, events...); code != http.StatusOK {
		r.t.Fatal(code, answer)
	}
}

// send sends signed events to the receiver at a path, with additional header fields, and returns the answer.
func (r *rig) send(path string, header map[string]string, events ...map[string]any) (code int, answer string) {
	r.t.Helper()
	body, err := json.Marshal(events)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.post(path, header, body, hookSecret)
}

// post sends a body that is signed with a secret.
func (r *rig) post(path string, header map[string]string, body []byte, secret string) (code int, answer string) {
	r.t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+"/webhooks/"+path, bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("X-SIGNATURE", hex.EncodeToString(mac.Sum(nil)))
	for name, value := range header {
		req.Header.Set(name, value)
	}
	res, err := r.sender.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode, readAll(r.t, res.Body)
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

// scimRequest sends a request to the SCIM server and returns the answer's body.
func (r *rig) scimRequest(method, path, body string) []byte {
	r.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, r.scim+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	token, err := os.ReadFile(r.tokenFile)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+string(token))
	req.Header.Set("Content-Type", "application/scim+json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text := readAll(r.t, res.Body)
	if res.StatusCode >= http.StatusBadRequest {
		r.t.Fatalf("%s %s: %s %s", method, path, res.Status, text)
	}
	return []byte(text)
}

// removeFromGroups takes somebody out of all groups, past the operator.
func (r *rig) removeFromGroups(email string) {
	r.t.Helper()
	var users, groups struct{ Resources []struct{ ID string } }
	for path, into := range map[string]any{"/Users?filter=" + url.QueryEscape("userName eq \""+email+"\""): &users, "/Groups": &groups} {
		if err := json.Unmarshal(r.scimRequest(http.MethodGet, path, ""), into); err != nil {
			r.t.Fatal(err)
		}
	}
	for _, g := range groups.Resources {
		r.scimRequest(http.MethodPatch, "/Groups/"+g.ID, fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
			"Operations":[{"op":"remove","path":"members[value eq \"%s\"]"}]}`, users.Resources[0].ID))
	}
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
		if err := json.Unmarshal(r.scimRequest(http.MethodGet, query, ""), into); err != nil {
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
