// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/testenv"
)

var env *testenv.Env

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		// Fuzzing needs no API server, and each of its workers would start one.
		os.Exit(m.Run())
	}
	testenv.Main(m, &env)
}

// goldenSecret is the secret of testdata/signatures.txt.
const goldenSecret = "a-secret-of-the-golden-requests"

func golden(tb testing.TB, name string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// goldenSignature is the signature that openssl made.
func goldenSignature(tb testing.TB, name, encoding string) string {
	tb.Helper()
	for line := range strings.Lines(string(golden(tb, "signatures.txt"))) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == name && fields[1] == encoding {
			return fields[2]
		}
	}
	tb.Fatalf("no signature of %s in %s", name, encoding)
	return ""
}

func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// creatorOf creates tasks by a client, which can fail on purpose.
type creatorOf struct{ client.Client }

func (c creatorOf) create(ctx context.Context, task *accessv1alpha1.AccessTask) error {
	return c.Create(ctx, task.DeepCopy())
}

// receiversOf finds WebhookReceivers by a client.
type receiversOf struct{ client.Reader }

func (r receiversOf) find(ctx context.Context, key types.NamespacedName) (*accessv1alpha1.WebhookReceiver, error) {
	receiver := &accessv1alpha1.WebhookReceiver{}
	return receiver, r.Get(ctx, key, receiver)
}

// suite is a manager with a receiver on the real API server.
type suite struct {
	client    client.WithWatch
	server    *server
	registry  *prometheus.Registry
	namespace string
	stop      context.CancelFunc
	done      chan struct{}
}

// start runs a manager with a receiver until the test ends. change may change the options of either.
func start(tb testing.TB, change func(*manager.Options, *Options)) *suite {
	tb.Helper()
	return startWith(tb, env.Config, change)
}

// startWith is start with another way to the API server.
func startWith(tb testing.TB, config *rest.Config, change func(*manager.Options, *Options)) *suite {
	tb.Helper()
	s := &suite{client: env.Client(tb), registry: prometheus.NewRegistry(), namespace: env.Namespace(tb), done: make(chan struct{})}
	timeout := 45 * time.Second
	options := manager.Options{
		Scheme:                  env.Scheme,
		Metrics:                 metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress:  "0",
		GracefulShutdownTimeout: &timeout,
		Client:                  client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}}},
	}
	o := Options{BindAddress: "127.0.0.1:0"}
	if change != nil {
		change(&options, &o)
	}
	mgr, err := manager.New(config, options)
	if err != nil {
		tb.Fatal(err)
	}
	if s.server, err = addToManager(mgr, o, s.registry); err != nil {
		tb.Fatal(err)
	}
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	go func() {
		defer close(s.done)
		if err := mgr.Start(ctx); err != nil {
			tb.Error(err)
		}
	}()
	tb.Cleanup(func() {
		s.stop()
		<-s.done
	})
	eventually(tb, "the server listens", func() bool { return s.server.check(nil) == nil })
	return s
}

// eventually waits until something holds. The bound is far beyond what it takes, so it is no assertion on time.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(60 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("it never came that %s", what)
		}
	}
}

// receiver makes a WebhookReceiver with a secret, and waits until it is served.
func (s *suite) receiver(tb testing.TB, name, secret string, change func(*accessv1alpha1.WebhookReceiver)) {
	tb.Helper()
	s.secret(tb, name, secret)
	receiver := &accessv1alpha1.WebhookReceiver{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name},
		Spec: accessv1alpha1.WebhookReceiverSpec{Verification: accessv1alpha1.WebhookVerification{HMAC: &accessv1alpha1.HMACVerification{
			SecretRefs: []accessv1alpha1.SecretKeyReference{{Name: name, Key: "secret"}},
		}}},
	}
	if change != nil {
		change(receiver)
	}
	if err := s.client.Create(tb.Context(), receiver); err != nil {
		tb.Fatal(err)
	}
	s.waitServed(tb, name)
}

func (s *suite) waitServed(tb testing.TB, name string) {
	tb.Helper()
	live := &accessv1alpha1.WebhookReceiver{}
	s.get(tb, name, live)
	eventually(tb, "the receiver is in the cache", func() bool {
		cached, err := s.server.handler.receivers.find(tb.Context(), client.ObjectKeyFromObject(live))
		return err == nil && cached.Generation == live.Generation
	})
}

// secret makes or replaces a Secret with the key "secret".
func (s *suite) secret(tb testing.TB, name, value string) {
	tb.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}}
	_ = s.client.Delete(tb.Context(), secret)
	secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}, Data: map[string][]byte{"secret": []byte(value)}}
	if err := s.client.Create(tb.Context(), secret); err != nil {
		tb.Fatal(err)
	}
}

func (s *suite) get(tb testing.TB, name string, object client.Object) {
	tb.Helper()
	if err := s.client.Get(tb.Context(), client.ObjectKey{Namespace: s.namespace, Name: name}, object); err != nil {
		tb.Fatal(err)
	}
}

func (s *suite) tasks(tb testing.TB) map[string]accessv1alpha1.AccessTask {
	tb.Helper()
	list := &accessv1alpha1.AccessTaskList{}
	if err := s.client.List(tb.Context(), list, client.InNamespace(s.namespace)); err != nil {
		tb.Fatal(err)
	}
	tasks := map[string]accessv1alpha1.AccessTask{}
	for _, task := range list.Items {
		tasks[task.Name] = task
	}
	return tasks
}

// reply is an answer as a sender sees it.
type reply struct {
	code   int
	header http.Header
	body   string
	problem
	answered result
}

func (s *suite) path(name string) string { return "/webhooks/" + s.namespace + "/" + name }

// send sends a request, with these signatures.
func (s *suite) send(tb testing.TB, method, path string, body []byte, signatures ...string) reply {
	tb.Helper()
	url := "http://" + (*s.server.address.Load()).String() + path
	request, err := http.NewRequestWithContext(tb.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	for _, signature := range signatures {
		request.Header.Add("X-SIGNATURE", signature)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	return read(tb, response)
}

func read(tb testing.TB, response *http.Response) reply {
	tb.Helper()
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatal(err)
	}
	r := reply{code: response.StatusCode, header: response.Header, body: string(text), problem: problem{result: &result{}}}
	if err := json.Unmarshal(text, &r.answered); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	if err := json.Unmarshal(text, &r.problem); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return r
}

// post sends a body with a good signature.
func (s *suite) post(tb testing.TB, name, secret, body string) reply {
	tb.Helper()
	return s.send(tb, http.MethodPost, s.path(name), []byte(body), sign(secret, []byte(body)))
}

func objectMeta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}
