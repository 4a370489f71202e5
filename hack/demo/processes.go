// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// demo is what is running.
type demo struct {
	dir, assets string

	kubeconfig  string
	scimURL     string
	cakewalkURL string
	// receiver is the address that the operator takes deliveries at, receiverURL that of the demo's receiver there.
	receiver, receiverURL string
	processes             []*process
}

// process is a program that was started; ended is closed when it ended.
type process struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{}
}

// start starts a program that logs into the demo's folder. With a pipe, its standard output goes there.
func (d *demo) start(name string, stdout io.Writer, path string, args ...string) (*process, error) {
	log, err := os.Create(filepath.Join(d.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Stderr, cmd.Stdout = log, log
	if stdout != nil {
		cmd.Stdout = stdout
	}
	// A group of its own, so that Ctrl-C reaches the demo alone, which then stops them in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		defer log.Close()
		_ = cmd.Wait()
	}()
	d.processes = append(d.processes, p)
	return p, nil
}

// stop ends all programs, the last one first.
func (d *demo) stop() {
	for _, p := range slices.Backward(d.processes) {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(20 * time.Second):
			_ = p.cmd.Process.Kill()
			<-p.ended
		}
	}
}

func (d *demo) startControlPlane(ctx context.Context) error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	key := filepath.Join(d.dir, "service-account.key")
	if err := writeKey(key); err != nil {
		return err
	}
	tokens := filepath.Join(d.dir, "tokens.csv")
	if err := os.WriteFile(tokens, []byte("demo,demo,demo,system:masters\n"), 0o600); err != nil {
		return err
	}
	client := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	if _, err := d.start("etcd", nil, filepath.Join(d.assets, "etcd"), "--data-dir", filepath.Join(d.dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", fmt.Sprintf("http://127.0.0.1:%d", ports[1])); err != nil {
		return err
	}
	api, err := d.start("kube-apiserver", nil, filepath.Join(d.assets, "kube-apiserver"), "--etcd-servers", client,
		"--secure-port", fmt.Sprint(ports[2]), "--bind-address", "127.0.0.1", "--cert-dir", filepath.Join(d.dir, "certs"),
		"--token-auth-file", tokens, "--authorization-mode", "RBAC", "--service-cluster-ip-range", "10.96.0.0/16",
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", key, "--service-account-signing-key-file", key)
	if err != nil {
		return err
	}
	d.kubeconfig = filepath.Join(d.dir, "kubeconfig")
	config := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: demo, cluster: {server: "https://127.0.0.1:%d", insecure-skip-tls-verify: true}}]
users: [{name: demo, user: {token: demo}}]
contexts: [{name: demo, context: {cluster: demo, user: demo, namespace: %s}}]
current-context: demo
`, ports[2], namespace)
	if err := os.WriteFile(d.kubeconfig, []byte(config), 0o600); err != nil {
		return err
	}
	return await(ctx, api, func(ctx context.Context) error {
		_, err := d.output(ctx, "get", "--raw", "/readyz")
		return err
	})
}

func (d *demo) startSCIM(ctx context.Context) error {
	file := filepath.Join(d.dir, "scim-token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		return err
	}
	line, err := d.startServer(ctx, "scimserver", "--token-file", file,
		"--user", "grace@example.com", "--group", "members=grace@example.com", "--group", "editors=grace@example.com")
	d.scimURL = line
	return err
}

// startCakewalk starts a fake Cakewalk that delivers to the operator, which is started later.
func (d *demo) startCakewalk(ctx context.Context) error {
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	d.receiver = fmt.Sprintf("127.0.0.1:%d", ports[0])
	d.receiverURL = "http://" + d.receiver + "/webhooks/" + namespace + "/cakewalk"
	file := filepath.Join(d.dir, "webhook-secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		return err
	}
	d.cakewalkURL, err = d.startServer(ctx, "fakecakewalk", "--api-key", apiKey, "--api-secret", apiSecret,
		"--hmac-secret-file", file, "--webhook-url", d.receiverURL)
	return err
}

// startServer starts a program of bin that prints where it listens, and returns that.
func (d *demo) startServer(ctx context.Context, name string, args ...string) (url string, err error) {
	r, w := io.Pipe()
	p, err := d.start(name, w, "bin/"+name, append([]string{"--listen", "127.0.0.1:0"}, args...)...)
	if err != nil {
		return "", err
	}
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(r).ReadString('\n')
		lines <- line
		_, _ = io.Copy(io.Discard, r)
	}()
	select {
	case line := <-lines:
		_, url, _ = strings.Cut(strings.TrimSpace(line), "listening on ")
	case <-p.ended:
	case <-ctx.Done():
	case <-time.After(patience):
	}
	if url == "" {
		return "", fmt.Errorf("%s did not say where it listens", name)
	}
	fmt.Println("   at", url)
	return url, nil
}

func (d *demo) startManager(ctx context.Context) error {
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	health := fmt.Sprintf("127.0.0.1:%d", ports[0])
	p, err := d.start("manager", nil, "bin/manager", "--kubeconfig", d.kubeconfig,
		"--receiver-bind-address", d.receiver, "--metrics-bind-address", "0", "--health-probe-bind-address", health)
	if err != nil {
		return err
	}
	fmt.Println("   deliveries are taken at", d.receiverURL)
	return await(ctx, p, func(ctx context.Context) error {
		return get(ctx, "http://"+health+"/readyz", nil, nil)
	})
}

// await repeats ready until it succeeds; it gives up when the program ends or patience does.
func await(ctx context.Context, p *process, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended: %s", p.name, p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s: %w", p.name, patience, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// kubectl runs kubectl and shows what it prints.
func (d *demo) kubectl(ctx context.Context, args ...string) error {
	out, err := d.output(ctx, args...)
	if out != "" {
		fmt.Println("   " + strings.ReplaceAll(strings.TrimRight(out, "\n"), "\n", "\n   "))
	}
	return err
}

// output runs kubectl and returns what it prints.
func (d *demo) output(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(d.assets, "kubectl"), append([]string{"--kubeconfig", d.kubeconfig}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// freePorts returns ports of loopback that nobody listens on.
func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		if ports[i], err = strconv.Atoi(port); err != nil {
			return nil, err
		}
	}
	return ports, nil
}

func writeKey(path string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600)
}

// get fetches a URL; into, if not nil, reads the body.
func get(ctx context.Context, url string, header http.Header, into func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header = header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, res.Status)
	}
	if into == nil {
		return nil
	}
	return into(io.LimitReader(res.Body, 16<<20))
}
