// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/connector"
	"getcakewalk.io/access-operator/internal/httpclient"
	"getcakewalk.io/access-operator/internal/provisioning/httpapi"
)

// child is a server that runs as a child process, with all that it starts.
type child struct {
	tb  testing.TB
	cmd *exec.Cmd
	log string
}

// startChild starts a server, which ends with the test at the latest.
func startChild(tb testing.TB, cmd *exec.Cmd) *child {
	tb.Helper()
	c := &child{tb: tb, cmd: cmd, log: filepath.Join(tb.TempDir(), filepath.Base(cmd.Path)+".log")}
	log, err := os.Create(c.log)
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.stop)
	return c
}

// stop ends the process group.
func (c *child) stop() {
	if c.cmd.ProcessState != nil {
		return
	}
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGTERM)
	timer := time.AfterFunc(20*time.Second, func() { _ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	_ = c.cmd.Wait()
}

// ready waits until an address answers at all.
func (c *child) ready(address string) {
	c.tb.Helper()
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		res, err := http.Get(address)
		if err == nil {
			res.Body.Close()
			if res.StatusCode < 500 {
				return
			}
		}
		if err := syscall.Kill(c.cmd.Process.Pid, 0); err != nil {
			break
		}
	}
	log, _ := os.ReadFile(c.log)
	c.tb.Fatalf("%s does not answer at %s:\n%s", c.cmd.Path, address, log)
}

// api speaks to a server directly, and not by the backend.
type api struct {
	url       string
	authorize func(*http.Request)
}

// call sends JSON and reads JSON. It returns the status, and fails the test where that is not 2xx or one of the allowed.
func (a *api) call(tb testing.TB, method, path string, body, into any, allowed ...int) int {
	tb.Helper()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			tb.Fatal(err)
		}
	}
	// Not tb.Context: it has ended when a test cleans up.
	req, err := http.NewRequest(method, a.url+path, bytes.NewReader(text))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	a.authorize(req)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	for _, status := range allowed {
		if res.StatusCode == status {
			return status
		}
	}
	if res.StatusCode >= 300 {
		tb.Fatalf("%s %s: %d %s", method, path, res.StatusCode, answer)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			tb.Fatalf("%s %s: %v\n%s", method, path, err, answer)
		}
	}
	return res.StatusCode
}

// shipped reads the operations of a connector that is shipped as a sample, so that what is proven is what people get.
func shipped(tb testing.TB, name string) httpapi.Operations {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "samples", "http", name+".yaml"))
	if err != nil {
		tb.Fatal(err)
	}
	var c accessv1alpha1.Connector
	if err := yaml.UnmarshalStrict(text, &c); err != nil {
		tb.Fatal(err)
	}
	return connector.HTTPOperations(&c.Spec.HTTP.Operations)
}

// newHTTPAPI makes a backend.
func newHTTPAPI(tb testing.TB, url string, ops httpapi.Operations, a httpclient.Authentication) *httpapi.Backend {
	tb.Helper()
	client := httpclient.New(httpclient.Options{Authentication: a, Timeout: 2 * time.Second})
	tb.Cleanup(client.Close)
	b, err := httpapi.New(httpapi.Options{BaseURL: url, Client: client, Operations: ops})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// startRabbitMQ starts RabbitMQ with its management API for an administrator, and returns the API's base URL.
func startRabbitMQ(tb testing.TB, user, password string) string {
	tb.Helper()
	server := program(tb, "/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server")
	dir := tb.TempDir()
	epmdPort, distPort, port := strconv.Itoa(freePort(tb)), strconv.Itoa(freePort(tb)), strconv.Itoa(freePort(tb))
	address := "127.0.0.1:" + port
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
		return path
	}
	config := write("rabbitmq.conf", fmt.Sprintf("listeners.tcp = none\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = %s\ndefault_user = %s\ndefault_pass = %s\nlog.file = false\nlog.console = true\n", port, user, password))
	plugins := write("enabled_plugins", "[rabbitmq_management].")
	write(".erlang.cookie", "accessoperatorintegration")
	if err := os.Chmod(filepath.Join(dir, ".erlang.cookie"), 0o400); err != nil {
		tb.Fatal(err)
	}
	env := append(os.Environ(), "HOME="+dir, "ERL_EPMD_PORT="+epmdPort, "ERL_EPMD_ADDRESS=127.0.0.1")
	epmd := exec.Command(program(tb, "epmd", "erlang-base"), "-address", "127.0.0.1", "-port", epmdPort)
	epmd.Env = env
	startChild(tb, epmd)
	cmd := exec.Command(server)
	cmd.Dir = dir
	cmd.Env = slices.Concat(env, []string{
		"RABBITMQ_NODENAME=r" + port + "@localhost", "RABBITMQ_DIST_PORT=" + distPort,
		"RABBITMQ_CONFIG_FILE=" + strings.TrimSuffix(config, ".conf"), "RABBITMQ_ENABLED_PLUGINS_FILE=" + plugins,
		"RABBITMQ_MNESIA_BASE=" + filepath.Join(dir, "mnesia"), "RABBITMQ_LOG_BASE=" + filepath.Join(dir, "log"),
		"RABBITMQ_PID_FILE=" + filepath.Join(dir, "pid"), "RABBITMQ_CONF_ENV_FILE=" + filepath.Join(dir, "none"),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
	})
	startChild(tb, cmd).ready("http://" + address + "/api/whoami")
	return "http://" + address
}

// startOpenFGA starts OpenFGA on an address with a database, for a preshared key.
func startOpenFGA(tb testing.TB, address, grpc, database, key string) *child {
	tb.Helper()
	server := openFGA(tb)
	migrate := exec.Command(server, "migrate", "--datastore-engine", "sqlite", "--datastore-uri", database)
	if out, err := migrate.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(server, "run", "--http-addr", address, "--grpc-addr", grpc, "--playground-enabled=false", "--metrics-enabled=false",
		"--datastore-engine", "sqlite", "--datastore-uri", database, "--authn-method", "preshared", "--authn-preshared-keys", key, "--log-level", "error")
	c := startChild(tb, cmd)
	c.ready("http://" + address + "/healthz")
	return c
}

// openFGA builds OpenFGA once, into bin/integration, unless OPENFGA names a binary.
func openFGA(tb testing.TB) string {
	tb.Helper()
	if given := os.Getenv("OPENFGA"); given != "" {
		return given
	}
	const version = "v1.22.1"
	dir, err := filepath.Abs(filepath.Join("..", "..", "bin", "integration", "openfga-"+version))
	if err != nil {
		tb.Fatal(err)
	}
	binary := filepath.Join(dir, "openfga")
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	cmd := exec.CommandContext(tb.Context(), "go", "install", "github.com/openfga/openfga/cmd/openfga@"+version)
	cmd.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	cmd.Dir = tb.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("building OpenFGA, which these tests need: %v\n%s", err, out)
	}
	return binary
}

// decode reads an answer in JSON, which must be a success.
func decode(tb testing.TB, res *http.Response, into any) {
	tb.Helper()
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		tb.Fatalf("%d %v %s", res.StatusCode, err, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		tb.Fatal(err)
	}
}
