// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// The manager is the access operator: it receives Cakewalk's webhooks and provisions what they announce.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	// Certificate roots for images that have none. The system's are preferred where there are some.
	_ "golang.org/x/crypto/x509roots/fallback"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/controllers"
	"getcakewalk.io/access-operator/internal/audit"
	"getcakewalk.io/access-operator/internal/buildinfo"
	"getcakewalk.io/access-operator/internal/connector"
	"getcakewalk.io/access-operator/internal/leadership"
	"getcakewalk.io/access-operator/internal/openapi"
	"getcakewalk.io/access-operator/internal/tracing"
	"getcakewalk.io/access-operator/webhookreceiver"
)

// Reviews of tokens and of rights guard the metrics of both halves; leases elect the leader of the controllers, which is
// announced by core events.
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create,roleName=metrics-auth-role
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create,roleName=metrics-auth-role
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;create;update,namespace=system,roleName=leader-election-role
// +kubebuilder:rbac:groups="",resources=events,verbs=create,namespace=system,roleName=leader-election-role

const (
	leaderElectionID = "access-operator.access.getcakewalk.io"
	// controllersGCPercent is GOGC of a process with controllers: what they hold is mostly tasks, which stay, so that half
	// as much room for garbage as usual costs little time and saves much memory.
	controllersGCPercent = 40
	// cacheSyncTimeout is how long the controllers wait for the tasks. A hundred thousand that are finished take the better
	// part of a minute.
	cacheSyncTimeout = 30 * time.Minute
	// gracefulShutdown is longer than the receiver needs to drain and a task's visit to end.
	gracefulShutdown = 45 * time.Second
)

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		os.Exit(2)
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&o.log)))
	if err := run(ctrl.SetupSignalHandler(), o); err != nil {
		ctrl.Log.Error(err, "The manager ended")
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	v, r := build(debug.ReadBuildInfo())
	ctrl.Log.Info("Starting", "version", v, "revision", r, "receiver", o.receive, "controllers", o.control, "namespaces", o.namespaces, "selector", o.selector.String())
	stopTracing, err := tracing.Start(ctx, os.Getenv, v, ctrl.Log.WithName("tracing"))
	if err != nil {
		return err
	}
	defer stopTracing()
	// Apart from the other logs, which go to standard error.
	log := audit.New(os.Stdout, nil)
	o.receiver.Audit, o.receiver.ShardLabels, o.receiver.Namespaces, o.receiver.Selector = log, o.shardLabels(), o.namespaces, o.selector
	config, scheme, err := connect()
	if err != nil {
		return err
	}
	lock, end, err := newLock(o, config, scheme)
	if err != nil {
		return err
	}
	defer end()
	mgr, err := newManager(o, config, scheme, lock)
	if err != nil {
		return err
	}
	if err := buildinfo.Register(metrics.Registry, v, r); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	synced := &syncedCheck{}
	if err := errors.Join(mgr.Add(synced), mgr.AddReadyzCheck("caches", synced.check)); err != nil {
		return err
	}
	if o.receive {
		if err := webhookreceiver.AddToManager(mgr, o.receiver); err != nil { //nolint:contextcheck // it runs with the manager
			return fmt.Errorf("adding the webhook receiver: %w", err)
		}
	}
	if o.control {
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(controllersGCPercent)
		}
		resolver, err := connector.NewResolver(mgr.GetAPIReader(), mgr.GetConfig(), metrics.Registry)
		if err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
		clients, err := openapi.NewClients(mgr.GetAPIReader(), metrics.Registry, time.Now)
		if err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
		if err := controllers.AddToManager(ctx, mgr, controllers.Options{Targets: resolver, Cakewalk: clients, Audit: log, Registry: metrics.Registry, ShardLabels: o.shardLabels(), Leading: lock.Leading}); err != nil {
			return fmt.Errorf("adding the controllers: %w", err)
		}
	}
	return mgr.Start(ctx)
}

// connect finds the API server, and says which kinds of objects there are.
func connect() (*rest.Config, *runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, accessv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, nil, err
		}
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, nil, fmt.Errorf("finding the API server (--kubeconfig, $KUBECONFIG or a pod's service account): %w", err)
	}
	// The API server's own priority and fairness bounds the operator; a limit here would only delay deliveries.
	config.QPS = -1
	return config, scheme, nil
}

func newManager(o options, config *rest.Config, scheme *runtime.Scheme, lock *leadership.Lock) (manager.Manager, error) {
	var elects resourcelock.Interface
	if lock != nil {
		elects = lock
	}
	caches := cache.Options{DefaultTransform: cache.TransformStripManagedFields(), DefaultNamespaces: watched(o.namespaces), DefaultLabelSelector: o.selector}
	newCache := cache.New
	if o.control {
		newCache = controllers.NewCache
	}
	return ctrl.NewManager(config, ctrl.Options{
		Scheme:                              scheme,
		LeaderElection:                      lock != nil,
		LeaderElectionResourceLockInterface: elects,
		RenewDeadline:                       new(renewDeadline),
		LeaderElectionReleaseOnCancel:       true,
		HealthProbeBindAddress:              o.probeAddress,
		PprofBindAddress:                    o.pprofAddress,
		GracefulShutdownTimeout:             new(gracefulShutdown),
		Metrics: metricsserver.Options{
			BindAddress:    o.metricsAddress,
			SecureServing:  true,
			FilterProvider: filters.WithAuthenticationAndAuthorization,
			TLSOpts: []func(*tls.Config){func(c *tls.Config) {
				c.MinVersion = tls.VersionTLS12
				// A scrape is one request: HTTP/2 would only add ways to exhaust the server.
				c.NextProtos = []string{"http/1.1"}
			}},
		},
		Controller: ctrlconfig.Controller{CacheSyncTimeout: cacheSyncTimeout},
		NewCache:   newCache,
		Cache:      caches,
		Client: client.Options{Cache: &client.CacheOptions{
			// Read live and by name, so that the operator needs no right to list them.
			DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}},
		}},
	})
}

// watched narrows the caches to namespaces; nil is all.
func watched(namespaces []string) map[string]cache.Config {
	if len(namespaces) == 0 {
		return nil
	}
	all := make(map[string]cache.Config, len(namespaces))
	for _, n := range namespaces {
		all[n] = cache.Config{}
	}
	return all
}

// syncedCheck is the readiness check "caches": ready while the manager runs with synced caches, leader or not.
type syncedCheck struct {
	synced atomic.Bool
}

var errNotSynced = errors.New("the caches are not synced")

// NeedLeaderElection makes every replica ready.
func (*syncedCheck) NeedLeaderElection() bool { return false }

// Start is called by the manager once the caches are synced.
func (s *syncedCheck) Start(ctx context.Context) error {
	s.synced.Store(true)
	<-ctx.Done()
	s.synced.Store(false)
	return nil
}

func (s *syncedCheck) check(*http.Request) error {
	if !s.synced.Load() {
		return errNotSynced
	}
	return nil
}
