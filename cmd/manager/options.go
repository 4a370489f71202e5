// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"getcakewalk.io/access-operator/webhookreceiver"
)

// options are what the command line says.
type options struct {
	receive  bool
	control  bool
	receiver webhookreceiver.Options
	// selector selects what is worked on.
	selector labels.Selector
	// namespaces are the watched ones, sorted and each once; none: all.
	namespaces              []string
	metricsAddress          string
	probeAddress            string
	pprofAddress            string
	leaderElect             bool
	leaderElectionNamespace string
	log                     zap.Options
}

// parse reads the command line. What is wrong with it, or its usage, has been written to out where it returns an error.
func parse(args []string, out io.Writer) (options, error) {
	var o options
	var namespaces, selector string
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	flags.SetOutput(out)
	// --kubeconfig is controller-runtime's.
	config.RegisterFlags(flags)
	flags.BoolVar(&o.receive, "receiver", true, "Receive webhooks, on every replica.")
	flags.BoolVar(&o.control, "controllers", true, "Run the controllers, which provision access. Without them no leader is elected.")
	flags.StringVar(&namespaces, "watch-namespaces", "", "Comma-separated namespaces to work in; others are not looked at, and their deliveries are answered 404. Empty: all.")
	flags.StringVar(&selector, "watch-label-selector", "", "Label selector of the WebhookReceivers, Connectors and AccessTasks to work on; deliveries for others are answered 404. A WebhookReceiver's labels that it names go on to its tasks, as access.getcakewalk.io/shard always does. Empty: all.")
	flags.StringVar(&o.receiver.BindAddress, "receiver-bind-address", "", "Address of the webhook receiver. Default: :9443 with --receiver-cert-dir, else :9080.")
	flags.StringVar(&o.receiver.CertDir, "receiver-cert-dir", "", "Folder with tls.crt and tls.key of the webhook receiver, reloaded when they change. Empty: plain HTTP, for use behind something that ends TLS.")
	flags.Int64Var(&o.receiver.MaxBodyBytes, "receiver-max-body-bytes", 1<<20, "Largest delivery, in bytes. A larger one is answered 413.")
	flags.StringVar(&o.receiver.SpoolDir, "receiver-spool-dir", "", "Folder of this process alone, in which verified deliveries are kept while the API server is away, and answered 202. Empty: they are answered 503, and nothing is written to disk.")
	flags.Int64Var(&o.receiver.SpoolMaxBytes, "receiver-spool-max-bytes", 256<<20, "What spooled deliveries may take, in bytes, half of it for one receiver. Beyond it they are answered 503. What is set aside may take a quarter as much in addition.")
	flags.DurationVar(&o.receiver.SpoolMaxAge, "receiver-spool-max-age", 72*time.Hour, "How long a spooled delivery may wait before it is set aside for a person.")
	flags.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443", "Address of the metrics, over HTTPS with authentication and authorization. 0: none.")
	flags.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "Address of /healthz and /readyz. 0: none.")
	flags.StringVar(&o.pprofAddress, "pprof-bind-address", "0", "Address of Go's profiles under /debug/pprof/, over HTTP to whoever asks: name one on loopback. 0: none.")
	flags.BoolVar(&o.leaderElect, "leader-elect", false, "Elect a leader among the replicas, which alone runs the controllers. Every replica receives webhooks. Needed for more than one replica.")
	flags.StringVar(&o.leaderElectionNamespace, "leader-election-namespace", "", "Namespace of the lease that elects the leader. Default: the pod's.")
	o.log.BindFlags(flags)
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	err := func() (err error) {
		if flags.NArg() > 0 {
			return fmt.Errorf("unexpected argument %q", flags.Arg(0))
		}
		if !o.receive && !o.control {
			return errors.New("--receiver=false and --controllers=false leave nothing to do: switch one of them on")
		}
		if o.receiver.SpoolMaxBytes <= 0 || o.receiver.SpoolMaxAge <= 0 {
			return errors.New("--receiver-spool-max-bytes and --receiver-spool-max-age must be positive: leave --receiver-spool-dir out to spool nothing")
		}
		if o.selector, err = parseSelector(selector); err != nil {
			return err
		}
		o.namespaces, err = parseNamespaces(namespaces)
		return err
	}()
	if err != nil {
		_, _ = fmt.Fprintln(out, err)
		return options{}, err
	}
	return o, nil
}

// parseSelector reads a label selector; empty selects everything.
func parseSelector(text string) (labels.Selector, error) {
	selector, err := labels.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("--watch-label-selector: %w", err)
	}
	if selector.Empty() && text != "" {
		return nil, fmt.Errorf("--watch-label-selector: %q selects everything: leave the flag out for that", text)
	}
	return selector, nil
}

// shardLabels are the labels that the selector names.
func (o options) shardLabels() []string {
	requirements, _ := o.selector.Requirements()
	all := make([]string, len(requirements))
	for i, r := range requirements {
		all[i] = r.Key()
	}
	return all
}

// parseNamespaces reads a comma-separated list. A text of nothing but commas and spaces is refused: it may have been meant
// to name a namespace, and empty means all.
func parseNamespaces(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	var all []string
	for n := range strings.SplitSeq(text, ",") {
		n = strings.TrimSpace(n)
		if problems := validation.IsDNS1123Label(n); len(problems) > 0 {
			return nil, fmt.Errorf("--watch-namespaces: %q is not a namespace: %s", n, strings.Join(problems, "; "))
		}
		all = append(all, n)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}
