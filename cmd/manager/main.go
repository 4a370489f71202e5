// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// The manager is the access operator: it receives Cakewalk's webhooks and provisions what they announce.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	// Certificate roots for images that have none. The system's are preferred where there are some.
	_ "golang.org/x/crypto/x509roots/fallback"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/controllers"
	"getcakewalk.io/access-operator/internal/connector"
	"getcakewalk.io/access-operator/webhookreceiver"
)

// Reviews of tokens and of rights guard the metrics; leases elect the leader, which is announced by core events.
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create
// +kubebuilder:rbac:groups=coordination.k8s.io,resources=leases,verbs=get;create;update;patch,namespace=system,roleName=leader-election-role
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch,namespace=system,roleName=leader-election-role

const (
	leaderElectionID = "access-operator.access.getcakewalk.io"
	// gracefulShutdown is longer than the receiver needs to drain and a task's visit to end.
	gracefulShutdown = 45 * time.Second
)

type options struct {
	receiver       webhookreceiver.Options
	metricsAddress string
	probeAddress   string
	leaderElect    bool
	log            zap.Options
}

func main() {
	o := parse()
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&o.log)))
	if err := run(o); err != nil {
		ctrl.Log.Error(err, "The manager ended")
		os.Exit(1)
	}
}

// parse reads the command line. The flag --kubeconfig is controller-runtime's.
func parse() options {
	var o options
	flag.StringVar(&o.receiver.BindAddress, "receiver-bind-address", "", "Address of the webhook receiver. Default: :9443 with --receiver-cert-dir, else :9080.")
	flag.StringVar(&o.receiver.CertDir, "receiver-cert-dir", "", "Folder with tls.crt and tls.key of the webhook receiver, reloaded when they change. Empty: plain HTTP, for use behind something that ends TLS.")
	flag.Int64Var(&o.receiver.MaxBodyBytes, "receiver-max-body-bytes", 1<<20, "Largest delivery, in bytes. A larger one is answered 413.")
	flag.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443", "Address of the metrics, over HTTPS with authentication and authorization. 0: none.")
	flag.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "Address of /healthz and /readyz. 0: none.")
	flag.BoolVar(&o.leaderElect, "leader-elect", false, "Elect a leader among the replicas, which alone runs the controllers. Every replica receives webhooks. Needed for more than one replica.")
	o.log.BindFlags(flag.CommandLine)
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	return o
}

func run(o options) error {
	ctx := ctrl.SetupSignalHandler()
	mgr, err := newManager(o)
	if err != nil {
		return err
	}
	if err := webhookreceiver.AddToManager(mgr, o.receiver); err != nil {
		return fmt.Errorf("adding the webhook receiver: %w", err)
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	resolver, err := connector.NewResolver(mgr.GetAPIReader(), mgr.GetConfig(), metrics.Registry)
	if err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	if err := controllers.AddToManager(ctx, mgr, resolver, metrics.Registry); err != nil {
		return fmt.Errorf("adding the controllers: %w", err)
	}
	return mgr.Start(ctx)
}

func newManager(o options) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, accessv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the API server (--kubeconfig, $KUBECONFIG or a pod's service account): %w", err)
	}
	// The API server's own priority and fairness bounds the operator; a limit here would only delay deliveries.
	config.QPS = -1
	return ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              leaderElectionID,
		LeaderElectionReleaseOnCancel: true,
		HealthProbeBindAddress:        o.probeAddress,
		GracefulShutdownTimeout:       new(gracefulShutdown),
		Metrics: metricsserver.Options{
			BindAddress:    o.metricsAddress,
			SecureServing:  true,
			FilterProvider: filters.WithAuthenticationAndAuthorization,
		},
		Cache: cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		Client: client.Options{Cache: &client.CacheOptions{
			// Read live and by name, so that the operator needs no right to list them.
			DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}},
		}},
	})
}
