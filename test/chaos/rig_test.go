// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build chaos

// Package chaos floods the manager's program and takes things away from it, on a real API server.
package chaos

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
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
	seed     = flag.Uint64("seed", 0, "what chance is made of; 0: anything")
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "access-operator-chaos-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programs = dir
	for name, from := range map[string][2]string{"manager": {"../..", "./cmd/manager"}, "scimserver": {"../../hack/scimserver", "."}} {
		build := exec.CommandContext(context.Background(), "go", "build", "-o", program(name), from[1])
		build.Dir = from[0]
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building %s: %v\n%s", name, err, out)
			os.Exit(1)
		}
	}
	testenv.Main(m, &env)
}

// program is the path of a built program.
func program(name string) string { return filepath.Join(programs, name) }

// chance returns what a test does at random, and says how to do the same again.
func chance(t *testing.T) *rand.Rand {
	t.Helper()
	from := *seed
	if from == 0 {
		from = rand.Uint64()
	}
	t.Logf("for the same again: go test ... -args -seed=%d", from)
	return rand.New(rand.NewPCG(from, 0))
}

// between is a time at random.
func between(random *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(random.Int64N(int64(high-low)))
}

// rig is a namespace with WebhookReceivers, and a manager.
type rig struct {
	client.WithWatch
	t         *testing.T
	namespace string
	// receiver and health are the manager's addresses.
	receiver, health string
	// kubeconfig is the file that the manager connects with.
	kubeconfig string
	// log and audit are the files that all managers write to.
	log, audit *os.File
	// manager was started last.
	manager *process
}

// process is a running manager.
type process struct {
	*exec.Cmd
	// ended is closed when it has ended.
	ended chan struct{}
}

// newRig makes WebhookReceivers with these names, all with hookSecret.
func newRig(t *testing.T, receivers ...string) *rig {
	t.Helper()
	r := &rig{WithWatch: env.Client(t), t: t, namespace: env.Namespace(t), receiver: testenv.FreeAddress(t), health: testenv.FreeAddress(t)}
	r.connectBy(env.Kubeconfig)
	r.log, r.audit = r.file("manager.log"), r.file("audit.log")
	r.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "hook"}, StringData: map[string]string{"secret": hookSecret}})
	for _, name := range receivers {
		receiver := &accessv1alpha1.WebhookReceiver{ObjectMeta: metav1.ObjectMeta{Name: name}}
		receiver.Spec.Verification.HMAC = &accessv1alpha1.HMACVerification{SecretRefs: []accessv1alpha1.SecretKeyReference{{Name: "hook", Key: "secret"}}}
		r.create(receiver)
	}
	return r
}

func (r *rig) create(o client.Object) {
	r.t.Helper()
	o.SetNamespace(r.namespace)
	if err := r.Create(r.t.Context(), o); err != nil {
		r.t.Fatal(err)
	}
}

// connectBy has managers that are started from now on connect with a kubeconfig.
func (r *rig) connectBy(kubeconfig []byte) {
	r.t.Helper()
	r.kubeconfig = filepath.Join(r.t.TempDir(), "kubeconfig")
	if err := os.WriteFile(r.kubeconfig, kubeconfig, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// file makes a file that several processes can append to. It outlives the test where go test has -artifacts.
func (r *rig) file(name string) *os.File {
	r.t.Helper()
	f, err := os.OpenFile(filepath.Join(r.t.ArtifactDir(), name), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if r.t.Failed() {
			text, err := os.ReadFile(f.Name())
			r.t.Logf("the end of %s: %s %v", name, text[max(0, len(text)-8000):], err)
		}
		f.Close()
	})
	return f
}

// launch starts a manager with both halves.
func (r *rig) launch(program string, args ...string) *process {
	r.t.Helper()
	p, err := r.tryLaunch(program, args...)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

func (r *rig) tryLaunch(program string, args ...string) (*process, error) {
	p := &process{ended: make(chan struct{})}
	p.Cmd = exec.CommandContext(context.Background(), program, append([]string{
		"--kubeconfig", r.kubeconfig, "--receiver-bind-address", r.receiver, "--health-probe-bind-address", r.health,
		"--metrics-bind-address", "0", "--watch-namespaces", r.namespace,
	}, args...)...)
	p.Stdout, p.Stderr = r.audit, r.log
	if err := p.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.ended)
		_ = p.Wait()
	}()
	r.t.Cleanup(p.kill)
	return p, nil
}

// kill ends the process at once, as a power cut does.
func (p *process) kill() {
	_ = p.Process.Kill()
	<-p.ended
}

// start starts the manager, and waits until it is ready.
func (r *rig) start(args ...string) {
	r.t.Helper()
	r.manager = r.launch(program("manager"), args...)
	r.ready(r.health)
}

// ready waits until a manager is ready.
func (r *rig) ready(health string) {
	r.t.Helper()
	env.Eventually(r.t, func() error {
		request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+health+"/readyz", http.NoBody)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz says %s", response.Status)
		}
		return nil
	})
}

// memory returns a line of the manager's /proc/<pid>/status in bytes: VmRSS is what is resident now, VmHWM what was at most.
func (r *rig) memory(line string) int64 {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(r.manager.Process.Pid), "status"))
	if err != nil {
		r.t.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		if fields := strings.Fields(l); len(fields) == 3 && fields[0] == line+":" {
			n, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				r.t.Fatal(err)
			}
			return n << 10
		}
	}
	r.t.Fatalf("there is no %s", line)
	return 0
}

// tasks returns the names of the namespace's tasks.
func (r *rig) tasks() map[string]bool {
	r.t.Helper()
	var list accessv1alpha1.AccessTaskList
	if err := r.List(r.t.Context(), &list, client.InNamespace(r.namespace)); err != nil {
		r.t.Fatal(err)
	}
	names := map[string]bool{}
	for i := range list.Items {
		names[list.Items[i].Name] = true
	}
	return names
}

// grantOf is a delivery of one new task, and the task's name.
func grantOf(email string) (body []byte, id string) {
	id = uuid.NewString()
	return fmt.Appendf(nil, `[{"eventType":"action_task.actionable","data":{"taskId":%q,"assignedTo":[],"requestMetadata":{`+
		`"requestType":"GrantAccessRequest","reviewedBy":[],"targetWorkApp":{"name":"Slack"},"targetUser":{"email":%q}}}}]`, id, email), id
}

func sign(body []byte) string {
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// post sends a body to a receiver at a manager's address, and returns the answer's status code.
func (r *rig) post(ctx context.Context, c *http.Client, address, receiver string, body io.Reader, signature string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/webhooks/"+r.namespace+"/"+receiver, body)
	if err != nil {
		return 0, err
	}
	request.Header.Set("X-SIGNATURE", signature)
	response, err := c.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// stall opens a connection and sends a delivery that never ends.
func (r *rig) stall(ctx context.Context, receiver string) (net.Conn, error) {
	connection, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", r.receiver)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(connection, "POST /webhooks/%s/%s HTTP/1.1\r\nHost: hooks\r\nX-SIGNATURE: x\r\nContent-Length: 100000\r\n\r\n[", r.namespace, receiver)
	return connection, err
}
