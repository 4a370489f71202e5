// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/labels"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/audit"
)

// Bounds of a connection. A sender has readTimeout for a whole request, so that slow ones do not pile up.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 20 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 16 << 10
	drainTimeout      = 30 * time.Second
)

// tasksTimeout is how long the start waits to learn of the stored tasks: when they arrived, and how many are not finished.
// The API server takes some 0.2 ms of its processor for each, and tells of none while it has just started itself and reads
// them all. Deliveries would be refused for that long, while only clocks that differ, or a full backlog, make it matter.
const tasksTimeout = 5 * time.Second

const (
	addressWithTLS    = ":9443"
	addressWithoutTLS = ":9080"
	defaultMaxBody    = 1 << 20

	defaultSpoolMaxBytes = 256 << 20
	defaultSpoolMaxAge   = 72 * time.Hour
)

// eventSource is the reporting controller of the receiver's Kubernetes events.
const eventSource = "access-operator-receiver"

// Options says where and how the receiver listens. The zero value is good: plain HTTP on :9080.
type Options struct {
	// BindAddress is the address to listen on. Default: :9443 with CertDir, else :9080.
	BindAddress string
	// CertDir is a folder with tls.crt and tls.key (PEM), which are read again when they change. Empty: plain HTTP, for
	// use behind something that ends TLS.
	CertDir string
	// MaxBodyBytes is the size of the largest delivery, in bytes. Default: 1 MiB.
	MaxBodyBytes int64
	// SpoolDir is a folder of this process alone, in which verified deliveries are kept while the API server is away.
	// Empty: they are refused, and nothing is written to disk.
	SpoolDir string
	// SpoolMaxBytes is how many bytes spooled deliveries may take. Default: 256 MiB.
	SpoolMaxBytes int64
	// SpoolMaxAge is how long a spooled delivery may wait before it is set aside for a person. Default: 72 hours.
	SpoolMaxAge time.Duration
	// Namespaces are the namespaces of the tasks that count, those that the manager's cache is narrowed to. Default: all.
	Namespaces []string
	// Selector are the labels of the tasks that count, those that the manager's cache is narrowed to. Default: any.
	Selector labels.Selector
	// ShardLabels are the labels of a WebhookReceiver that its tasks get besides LabelShard. Default: none.
	ShardLabels []string
	// Audit is the audit log. Nil: none.
	Audit *audit.Log
}

func (o Options) withDefaults() Options {
	if o.BindAddress == "" {
		o.BindAddress = addressWithoutTLS
		if o.CertDir != "" {
			o.BindAddress = addressWithTLS
		}
	}
	if o.MaxBodyBytes <= 0 {
		o.MaxBodyBytes = defaultMaxBody
	}
	if o.SpoolMaxBytes <= 0 {
		o.SpoolMaxBytes = defaultSpoolMaxBytes
	}
	if o.SpoolMaxAge <= 0 {
		o.SpoolMaxAge = defaultSpoolMaxAge
	}
	return o
}

// AddToManager adds the receiver's server to a manager, and the readiness check "webhookreceiver": ready while it listens.
// The server runs on every replica without waiting for leadership. It starts after the caches, and drains for up to 30
// seconds when the manager stops. The error says what could not be registered; nothing listens yet.
func AddToManager(mgr manager.Manager, o Options) error {
	_, err := addToManager(mgr, o, metrics.Registry)
	return err
}

func addToManager(mgr manager.Manager, o Options, registry prometheus.Registerer) (*server, error) {
	o = o.withDefaults()
	measures, err := newMetrics(registry)
	if err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	log := mgr.GetLogger().WithName("webhookreceiver")
	unfinished := newBacklog()
	tasks, err := newTaskCache(mgr, o)
	if err != nil {
		return nil, err
	}
	// The context ends nothing here: the informer is the cache's.
	informer, err := tasks.GetInformer(context.Background(), taskMetadata(), cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watching AccessTasks: %w", err)
	}
	registration, err := informer.AddEventHandler(unfinished)
	if err != nil {
		return nil, fmt.Errorf("watching AccessTasks: %w", err)
	}
	// Started with the others, so that the first delivery does not wait for it.
	receivers, err := mgr.GetCache().GetInformer(context.Background(), &accessv1alpha1.WebhookReceiver{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watching WebhookReceivers: %w", err)
	}
	served := newKnown()
	for _, handler := range []toolscache.ResourceEventHandler{measures.receiverSeries(), unfinished.receivers(), served} {
		registered, err := receivers.AddEventHandler(handler)
		if err != nil {
			return nil, fmt.Errorf("watching WebhookReceivers: %w", err)
		}
		// Of the last one, which is its own.
		served.synced = registered.HasSynced
	}

	creates, err := newRESTCreator(mgr.GetConfig(), mgr.GetScheme(), mgr.GetHTTPClient())
	if err != nil {
		return nil, err
	}
	kept, setAside, err := openSpool(o)
	if err != nil {
		return nil, err
	}
	s := &server{
		options: o,
		log:     log,
		handler: newHandler(dependencies{
			receivers:   served,
			live:        mgr.GetAPIReader(),
			writer:      mgr.GetClient(),
			creator:     creates,
			recorder:    mgr.GetEventRecorder(eventSource),
			log:         log,
			now:         time.Now,
			maxBody:     o.MaxBodyBytes,
			metrics:     measures,
			backlog:     unfinished,
			shardLabels: o.ShardLabels,
			audit:       o.Audit,
			spool:       kept,

			maxSpoolAge: o.SpoolMaxAge,
		}),
	}
	stored, err := informer.AddEventHandler(s.handler.store.arrivals)
	if err != nil {
		return nil, fmt.Errorf("watching AccessTasks: %w", err)
	}
	s.synced = func() bool { return registration.HasSynced() && stored.HasSynced() }
	if err := errors.Join(registry.Register(newBounds(s.handler.admission, unfinished)), registry.Register(newSpoolGauges(kept, o.SpoolMaxBytes, time.Now))); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	for _, report := range setAside {
		s.handler.spooler.report(context.Background(), report, "")
	}
	if err := mgr.Add(s); err != nil {
		return nil, err
	}
	if err := mgr.AddReadyzCheck("webhookreceiver", s.check); err != nil {
		return nil, err
	}
	return s, nil
}

// server listens and hands deliveries to the handler.
type server struct {
	options Options
	log     logr.Logger
	handler *handler
	// synced tells that the tasks that are not finished are known.
	synced toolscache.InformerSynced

	// address is where the server listens; nil while it does not, or no longer takes deliveries.
	address atomic.Pointer[net.Addr]
}

// NeedLeaderElection makes the server run on every replica.
func (*server) NeedLeaderElection() bool { return false }

var errNotListening = errors.New("the webhook receiver is not listening")

// check is the readiness check.
func (s *server) check(*http.Request) error {
	if s.address.Load() == nil {
		return errNotListening
	}
	return nil
}

// knowTasks finds out which tasks are not finished, and when the newest of all arrived, and closes the returned channel
// once both are known.
func (s *server) knowTasks(ctx context.Context, running *sync.WaitGroup) <-chan struct{} {
	known := make(chan struct{})
	running.Go(func() {
		for {
			err := s.handler.store.arrivals.followFinished(ctx, s.handler.live, s.options)
			if err == nil {
				if toolscache.WaitForCacheSync(ctx.Done(), s.synced) {
					close(known)
				}
				return
			}
			if ctx.Err() != nil {
				return
			}
			s.log.Error(err, "When the newest task arrived is not known yet")
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
		}
	})
	return known
}

// Start listens until ctx ends, and then drains: deliveries in flight are answered, and what is known of the receivers is
// written to their status.
func (s *server) Start(ctx context.Context) error {
	defer s.handler.spooler.close()
	// What serves deliveries outlives ctx, until they are drained.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	select {
	case <-ctx.Done():
		return nil
	case <-s.knowTasks(background, &running):
	case <-time.After(tasksTimeout):
		s.log.Info("Listening before the stored tasks are known: there are many, or the API server has just started")
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.options.BindAddress)
	if err != nil {
		return fmt.Errorf("listening for webhooks: %w", err)
	}
	if s.options.CertDir != "" {
		watcher, err := certwatcher.New(filepath.Join(s.options.CertDir, "tls.crt"), filepath.Join(s.options.CertDir, "tls.key"))
		if err != nil {
			return errors.Join(fmt.Errorf("reading the receiver's certificate: %w", err), listener.Close())
		}
		watcher.RegisterCallback(func(c tls.Certificate) { s.handler.metrics.served(c, s.log) })
		running.Go(func() {
			if err := watcher.Start(background); err != nil {
				s.log.Error(err, "The receiver's certificate is no longer watched")
			}
		})
		listener = tls.NewListener(listener, &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: watcher.GetCertificate,
			// A delivery is one request, so HTTP/2 gains nothing and widens what a stranger can try.
			NextProtos: []string{"http/1.1"},
		})
	}
	running.Go(func() { s.handler.status.run(background) })
	running.Go(func() { s.handler.spooler.run(background) })

	server := newHTTPServer(s.handler, s.log)
	failed := make(chan error, 1)
	running.Go(func() { failed <- server.Serve(listener) })
	address := listener.Addr()
	s.address.Store(&address)
	s.log.Info("Listening for webhooks", "address", address.String(), "tls", s.options.CertDir != "")

	select {
	case err := <-failed:
		s.address.Store(nil)
		return fmt.Errorf("serving webhooks: %w", err)
	case <-ctx.Done():
	}
	s.address.Store(nil)
	s.log.Info("Draining deliveries")
	drain, cancel := context.WithTimeout(background, drainTimeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		// Their senders get no answer, and send them again.
		s.log.Error(err, "Not every delivery was drained")
		return server.Close()
	}
	return nil
}

func newHTTPServer(handler http.Handler, log logr.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// Anybody can cause these lines, so they are for debugging only.
		ErrorLog: slog.NewLogLogger(logr.ToSlogHandler(log), slog.LevelDebug),
	}
}
