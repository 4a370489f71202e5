// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// faulty is a suite whose handler talks to the API server through these functions, without a manager.
func faulty(tb testing.TB, funcs interceptor.Funcs) *suite {
	tb.Helper()
	registry := prometheus.NewRegistry()
	measures, err := newMetrics(registry)
	if err != nil {
		tb.Fatal(err)
	}
	c := env.Client(tb)
	through := interceptor.NewClient(c, funcs)
	s := &suite{client: c, registry: registry, namespace: env.Namespace(tb), server: &server{handler: newHandler(dependencies{
		receivers: receiversOf{c}, live: through, writer: through, creator: creatorOf{through}, recorder: events.NewFakeRecorder(1000), log: logr.Discard(), now: time.Now,
		maxBody: defaultMaxBody, metrics: measures, backlog: newBacklog(),
	})}}
	server := httptest.NewServer(s.server.handler)
	tb.Cleanup(server.Close)
	address := server.Listener.Addr()
	s.server.address.Store(&address)
	return s
}

func TestTasksThatCannotBeStored(t *testing.T) {
	tasks := schema.GroupResource{Group: "access.getcakewalk.io", Resource: "accesstasks"}
	tests := map[string]struct {
		err      error
		wantCode int
	}{
		"too many requests":     {apierrors.NewTooManyRequests("busy", 1), 503},
		"a timeout":             {context.DeadlineExceeded, 503},
		"forbidden":             {apierrors.NewForbidden(tasks, "x", errors.New("quota")), 503},
		"an internal error":     {apierrors.NewInternalError(errors.New("etcd")), 503},
		"no connection":         {errors.New("connection refused"), 503},
		"the namespace is gone": {apierrors.NewNotFound(tasks, "x"), 503},
		"refused as invalid":    {apierrors.NewInvalid(schema.GroupKind{Kind: "AccessTask"}, "x", nil), 422},
		"too large for etcd":    {apierrors.NewInternalError(errors.New("etcdserver: request is too large")), 422},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var broken atomic.Bool
			broken.Store(true)
			s := faulty(t, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, object client.Object, o ...client.CreateOption) error {
				if broken.Load() && object.GetName() == id(2) {
					return tc.err
				}
				return c.Create(ctx, object, o...)
			}})
			s.secret(t, "cakewalk", secret)
			s.plainReceiver(t)
			body := "[" + grant(id(1), "{}") + "," + grant(id(2), "{}") + "," + grant("x", "{}") + "," + grant(id(3), "{}") + "]"
			got := s.post(t, "cakewalk", secret, body)
			if got.code != tc.wantCode || (got.header.Get("Retry-After") != "") != (tc.wantCode == 503) {
				t.Errorf("%d %v %s", got.code, got.header, got.body)
			}
			broken.Store(false)
			// Sent again, the delivery is completed; the malformed event stays malformed.
			if got := s.post(t, "cakewalk", secret, body); got.code != 422 || got.answered.Stored+got.answered.Duplicates != 3 {
				t.Errorf("%d %s", got.code, got.body)
			}
			if n := len(s.tasks(t)); n != 3 {
				t.Errorf("%d tasks", n)
			}
		})
	}
}

// plainReceiver makes the receiver "cakewalk" without waiting for a cache.
func (s *suite) plainReceiver(tb testing.TB) {
	tb.Helper()
	receiver := &accessv1alpha1.WebhookReceiver{}
	receiver.Namespace, receiver.Name = s.namespace, "cakewalk"
	receiver.Spec.Verification.HMAC = &accessv1alpha1.HMACVerification{SecretRefs: []accessv1alpha1.SecretKeyReference{{Name: "cakewalk", Key: "secret"}}}
	if err := s.client.Create(tb.Context(), receiver); err != nil {
		tb.Fatal(err)
	}
}

func TestTaskDeletedBetweenCreateAndGetIsCreated(t *testing.T) {
	var creates atomic.Int32
	s := faulty(t, interceptor.Funcs{Create: func(ctx context.Context, c client.WithWatch, object client.Object, o ...client.CreateOption) error {
		if creates.Add(1) == 1 {
			return apierrors.NewAlreadyExists(schema.GroupResource{}, object.GetName())
		}
		return c.Create(ctx, object, o...)
	}})
	s.secret(t, "cakewalk", secret)
	s.plainReceiver(t)
	if got := s.post(t, "cakewalk", secret, grant(id(1), "{}")); got.answered.Stored != 1 {
		t.Error(got.code, got.body)
	}
}

func TestPanicCostsOnlyItsRequest(t *testing.T) {
	var calm atomic.Bool
	s := faulty(t, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, o ...client.CreateOption) error {
			if !calm.Load() {
				panic("create")
			}
			return c.Create(ctx, object, o...)
		},
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, o ...client.GetOption) error {
			if key.Name == "panic" {
				panic("get")
			}
			return c.Get(ctx, key, object, o...)
		},
	})
	s.secret(t, "cakewalk", secret)
	s.plainReceiver(t)
	if got := s.post(t, "cakewalk", secret, "["+grant(id(1), "{}")+","+grant(id(2), "{}")+"]"); got.code != 503 {
		t.Error(got.code, got.body)
	}
	calm.Store(true)
	if got := s.post(t, "cakewalk", secret, grant(id(1), "{}")); got.code != 200 {
		t.Error(got.code, got.body)
	}
	receiver := &accessv1alpha1.WebhookReceiver{}
	s.get(t, "cakewalk", receiver)
	receiver.Spec.Verification.HMAC.SecretRefs[0].Name = "panic"
	if err := s.client.Update(t.Context(), receiver); err != nil {
		t.Fatal(err)
	}
	if got := s.post(t, "cakewalk", secret, "[]"); got.code != 500 {
		t.Error(got.code, got.body)
	}
	if got := s.server.handler.admission.inFlight().deliveries; got != 0 {
		t.Errorf("%d deliveries in flight", got)
	}
}

func TestLastGoodKeysStayWhileTheServerIsAway(t *testing.T) {
	var away atomic.Bool
	s := faulty(t, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, o ...client.GetOption) error {
		if away.Load() {
			return apierrors.NewServiceUnavailable("away")
		}
		return c.Get(ctx, key, object, o...)
	}})
	now := time.Now()
	s.server.handler.keys.now = func() time.Time { return now }
	s.secret(t, "cakewalk", secret)
	s.plainReceiver(t)
	away.Store(true)
	if got := s.post(t, "cakewalk", secret, "[]"); got.code != 503 {
		t.Error("keys that were never read:", got.code)
	}
	away.Store(false)
	if got := s.post(t, "cakewalk", secret, "[]"); got.code != 503 {
		t.Error("the API server is asked again at once:", got.code)
	}
	now = now.Add(keysMinAge)
	if got := s.post(t, "cakewalk", secret, "[]"); got.code != 200 {
		t.Error(got.code)
	}
	away.Store(true)
	now = now.Add(time.Hour)
	if got := s.post(t, "cakewalk", secret, "[]"); got.code != 200 {
		t.Error("the last good keys:", got.code)
	}
	away.Store(false)
	if err := s.client.Delete(t.Context(), &corev1.Secret{ObjectMeta: objectMeta(s.namespace, "cakewalk")}); err != nil {
		t.Fatal(err)
	}
	now = now.Add(keysMaxAge)
	if got := s.post(t, "cakewalk", secret, "[]"); got.code != 503 {
		t.Error("a Secret that was deleted:", got.code)
	}
}

func TestWrongSignaturesReadKeysOnceASecond(t *testing.T) {
	var reads atomic.Int32
	s := faulty(t, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, o ...client.GetOption) error {
		reads.Add(1)
		return c.Get(ctx, key, object, o...)
	}})
	now := time.Now()
	s.server.handler.keys.now = func() time.Time { return now }
	s.secret(t, "cakewalk", secret)
	s.plainReceiver(t)
	for second := range 3 {
		for range 20 {
			if got := s.post(t, "cakewalk", "wrong", "[]"); got.code != 401 {
				t.Fatal(got.code)
			}
		}
		if got := int(reads.Load()); got != second+1 {
			t.Errorf("%d reads after %d seconds", got, second)
		}
		now = now.Add(keysMinAge)
	}
}

func TestStatus(t *testing.T) {
	s := start(t, nil)
	s.receiver(t, "cakewalk", secret, nil)
	if got := s.post(t, "cakewalk", secret, `[{"eventType":"test","data":{"message":"Hello, World!"}}]`); got.code != 200 {
		t.Fatal(got.code)
	}
	first := &accessv1alpha1.WebhookReceiver{}
	eventually(t, "the receiver is verified", func() bool {
		s.get(t, "cakewalk", first)
		return meta.IsStatusConditionTrue(first.Status.Conditions, accessv1alpha1.ConditionVerified)
	})
	if first.Status.LastTestTime == nil || first.Status.LastDeliveryTime == nil {
		t.Fatalf("%+v", first.Status)
	}
	if meta.FindStatusCondition(first.Status.Conditions, accessv1alpha1.ConditionReady) != nil {
		t.Error("the receiver wrote Ready")
	}

	// A delivery two minutes later changes the time of the last delivery alone.
	writer := s.server.handler.status
	later := first.Status.LastDeliveryTime.Add(2 * time.Minute)
	if err := writer.write(t.Context(), client.ObjectKeyFromObject(first), statusNote{delivery: later}); err != nil {
		t.Fatal(err)
	}
	second := &accessv1alpha1.WebhookReceiver{}
	s.get(t, "cakewalk", second)
	if !second.Status.LastDeliveryTime.Time.Equal(later.Truncate(time.Second)) {
		t.Errorf("last delivery %v, want %v", second.Status.LastDeliveryTime, later)
	}
	if !second.Status.LastTestTime.Equal(first.Status.LastTestTime) {
		t.Error("the time of the last test is lost")
	}
	a, b := meta.FindStatusCondition(first.Status.Conditions, accessv1alpha1.ConditionVerified), meta.FindStatusCondition(second.Status.Conditions, accessv1alpha1.ConditionVerified)
	if b == nil || *a != *b {
		t.Errorf("Verified was %v and is %v", a, b)
	}

	// Another test keeps the time of the transition.
	if err := writer.write(t.Context(), client.ObjectKeyFromObject(first), statusNote{delivery: later.Add(time.Hour), test: later.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	s.get(t, "cakewalk", second)
	b = meta.FindStatusCondition(second.Status.Conditions, accessv1alpha1.ConditionVerified)
	if b == nil || !b.LastTransitionTime.Equal(&a.LastTransitionTime) || !second.Status.LastTestTime.After(first.Status.LastTestTime.Time) {
		t.Errorf("%+v", second.Status)
	}

	// A delivery right after one that is noted costs no write.
	version := second.ResourceVersion
	if err := writer.write(t.Context(), client.ObjectKeyFromObject(first), statusNote{delivery: second.Status.LastDeliveryTime.Add(time.Second)}); err != nil {
		t.Fatal(err)
	}
	s.get(t, "cakewalk", second)
	if second.ResourceVersion != version {
		t.Error("written within a minute")
	}
}

// slowBody blocks until it is released.
type slowBody struct {
	io.Reader
	began, release chan struct{}
}

func (b *slowBody) Read(p []byte) (int, error) {
	select {
	case <-b.began:
	default:
		close(b.began)
	}
	<-b.release
	return b.Reader.Read(p)
}

func TestDrain(t *testing.T) {
	s := start(t, nil)
	s.receiver(t, "cakewalk", secret, nil)
	address := (*s.server.address.Load()).String()
	body := grant(id(1), "{}")
	slow := &slowBody{Reader: strings.NewReader(body), began: make(chan struct{}), release: make(chan struct{})}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+s.path("cakewalk"), slow)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-SIGNATURE", sign(secret, []byte(body)))
	answered := make(chan int, 1)
	go func() {
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			answered <- 0
			return
		}
		defer response.Body.Close()
		answered <- response.StatusCode
	}()
	<-slow.began
	eventually(t, "the delivery is in flight", func() bool { return s.server.handler.admission.inFlight().deliveries == 1 })
	s.stop()
	eventually(t, "the server is no longer ready", func() bool { return s.server.address.Load() == nil })
	eventually(t, "new connections are refused", func() bool {
		connection, err := net.Dial("tcp", address)
		if err == nil {
			connection.Close()
		}
		return err != nil
	})
	close(slow.release)
	if code := <-answered; code != 200 {
		t.Errorf("the delivery in flight was answered %d", code)
	}
	<-s.done
	if len(s.tasks(t)) != 1 {
		t.Error("the task is not stored")
	}
}

func TestLargeBodyIsNotRead(t *testing.T) {
	s := start(t, nil)
	s.receiver(t, "cakewalk", secret, nil)
	url := "http://" + (*s.server.address.Load()).String() + s.path("cakewalk")
	for name, length := range map[string]int64{"announced": 300 << 20, "in chunks": -1} {
		t.Run(name, func(t *testing.T) {
			sent := &countingReader{left: 300 << 20}
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, sent)
			if err != nil {
				t.Fatal(err)
			}
			request.ContentLength = length
			request.Header.Set("X-SIGNATURE", "x")
			response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
			if err == nil {
				defer response.Body.Close()
				if response.StatusCode != 413 || !response.Close {
					t.Error(response.StatusCode, response.Close)
				}
			}
			if sent.read.Load() > 32<<20 {
				t.Errorf("%d bytes were taken", sent.read.Load())
			}
		})
	}
	eventually(t, "no bytes are in flight", func() bool { return s.server.handler.admission.inFlight().bytes == 0 })
	if got := testutil.ToFloat64(s.server.handler.metrics.deliveries.WithLabelValues(s.namespace, "cakewalk", "413")); got != 2 {
		t.Errorf("%v deliveries were answered 413", got)
	}
}

type countingReader struct {
	left int64
	read atomic.Int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	if r.read.Load() >= r.left {
		return 0, io.EOF
	}
	r.read.Add(int64(len(p)))
	return len(p), nil
}

func TestTLSWithReload(t *testing.T) {
	dir := t.TempDir()
	writeCertificate(t, dir, "first.example.com")
	s := start(t, func(_ *manager.Options, o *Options) { o.CertDir = dir })
	s.receiver(t, "cakewalk", secret, nil)
	address := (*s.server.address.Load()).String()
	served := func() string {
		connection, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		return connection.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := served(); got != "first.example.com" {
		t.Error(got)
	}
	if connection, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil {
		connection.Close()
		t.Error("TLS 1.1 is spoken")
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+address+s.path("cakewalk"), strings.NewReader("[]"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-SIGNATURE", sign(secret, []byte("[]")))
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, response); got.code != 200 || response.ProtoMajor != 1 {
		t.Error(got.code, response.Proto)
	}
	ends := func() float64 {
		return counted(t, s.registry, "access_operator_receiver_certificate_not_after_timestamp_seconds")[""]
	}
	if left := time.Until(time.Unix(int64(ends()), 0)); left <= 0 || left > time.Hour {
		t.Errorf("the certificate is said to end in %s", left)
	}
	first := ends()
	time.Sleep(time.Second)
	writeCertificate(t, dir, "second.example.com")
	eventually(t, "the new certificate is served", func() bool { return served() == "second.example.com" })
	eventually(t, "the new certificate's end is told", func() bool { return ends() > first })
}

func writeCertificate(t *testing.T, dir, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: certificate}, "tls.key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestServerBoundsSlowSenders(t *testing.T) {
	server := newHTTPServer(http.NotFoundHandler(), logr.Discard())
	if server.ReadHeaderTimeout <= 0 || server.ReadTimeout <= 0 || server.WriteTimeout <= storeTimeout+readTimeout || server.IdleTimeout <= 0 || server.MaxHeaderBytes != maxHeaderBytes {
		t.Errorf("%+v", server)
	}
}

func TestMetricsHaveBoundedLabels(t *testing.T) {
	s := faulty(t, interceptor.Funcs{})
	s.secret(t, "cakewalk", secret)
	s.plainReceiver(t)
	for _, path := range []string{"/a", "/b", "/webhooks/a/b", "/webhooks/c/d"} {
		s.send(t, http.MethodPost, path, nil)
	}
	s.post(t, "cakewalk", secret, `[{"eventType":"a"},{"eventType":"b"},{"eventType":"test"}]`)
	h := s.server.handler.metrics
	if got := testutil.ToFloat64(h.deliveries.WithLabelValues("", "", "404")); got != 4 || testutil.CollectAndCount(h.deliveries) != 2 {
		t.Errorf("%v requests to unknown paths", got)
	}
	if got := testutil.ToFloat64(h.events.WithLabelValues(s.namespace, "cakewalk", "other", "ignored")); got != 2 || testutil.CollectAndCount(h.events) != 2 {
		t.Errorf("%v events of other types", got)
	}
}

func TestArrivalsIncreaseStrictly(t *testing.T) {
	now := time.Date(2026, 11, 23, 7, 44, 3, 123456789, time.UTC)
	a := &arrivals{now: func() time.Time { return now }}
	first := a.reserve(3)
	if want := now.Truncate(time.Microsecond); !first.Equal(want) {
		t.Errorf("%v, want %v", first, want)
	}
	second := a.reserve(1)
	if want := first.Add(3 * time.Microsecond); !second.Equal(want) {
		t.Errorf("%v, want %v", second, want)
	}
	now = now.Add(-time.Hour)
	if third := a.reserve(0); !third.After(second) {
		t.Error("the clock stepped back, and the order with it")
	}
}

// A revocation that comes to a replica is newer than the grant that came to another one, whose clock is ahead.
func TestWhatArrivesIsNewerThanWhatAnyReplicaStored(t *testing.T) {
	now := time.Date(2026, 11, 23, 7, 44, 3, 0, time.UTC)
	a := &arrivals{now: func() time.Time { return now }}
	stored := func(at string) {
		a.OnAdd(&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{accessv1alpha1.AnnotationReceivedTime: at}}}, true)
	}
	ahead := now.Add(time.Minute)
	stored(ahead.Format(metav1.RFC3339Micro))
	stored(now.Format(metav1.RFC3339Micro))
	if got := a.reserve(1); !got.After(ahead) {
		t.Errorf("it arrives at %v, and what was stored before it at %v", got, ahead)
	}
	stored(now.Add(time.Hour).Format(metav1.RFC3339Micro))
	stored("soon")
	a.OnAdd(&metav1.PartialObjectMetadata{}, true)
	if got := a.reserve(1); got.After(ahead.Add(time.Second)) {
		t.Errorf("a time that somebody made up makes the next arrival %v", got)
	}
}

func FuzzDelivery(f *testing.F) {
	receiver := &accessv1alpha1.WebhookReceiver{ObjectMeta: objectMeta("tenant", "cakewalk")}
	receiver.Spec.Verification.HMAC = &accessv1alpha1.HMACVerification{SecretRefs: []accessv1alpha1.SecretKeyReference{{Name: "cakewalk", Key: "secret"}}}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, accessv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			f.Fatal(err)
		}
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(receiver, &corev1.Secret{
		ObjectMeta: objectMeta("tenant", "cakewalk"), Data: map[string][]byte{"secret": []byte(secret)},
	}).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return nil },
	}).Build()
	measures, err := newMetrics(prometheus.NewRegistry())
	if err != nil {
		f.Fatal(err)
	}
	h := newHandler(dependencies{
		receivers: receiversOf{c}, live: c, writer: c, creator: creatorOf{c}, recorder: events.NewFakeRecorder(1), log: logr.Discard(), now: time.Now,
		maxBody: defaultMaxBody, metrics: measures, backlog: newBacklog(),
	})
	for _, name := range []string{"batch.json", "grant-2025-single-object.json", "test.json"} {
		f.Add(golden(f, name))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		request := httptest.NewRequest(http.MethodPost, "/webhooks/tenant/cakewalk", bytes.NewReader(body))
		request.Header.Set("X-SIGNATURE", sign(secret, body))
		recorder := httptest.NewRecorder()
		h.ServeHTTP(recorder, request)
		switch recorder.Code {
		case 200, 400, 413, 422:
		default:
			t.Errorf("%d %s", recorder.Code, recorder.Body)
		}
	})
}
