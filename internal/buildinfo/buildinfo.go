// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package buildinfo shows in a metric what is running.
package buildinfo

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
)

// Register registers the metric access_operator_build_info, which is always 1, with registry. It fails if the metric is
// registered already.
func Register(registry prometheus.Registerer, version, revision string) error {
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "access_operator_build_info",
		Help: "Always 1, by the version, revision and Go version of the program.",
	}, []string{"version", "revision", "goversion"})
	info.WithLabelValues(version, revision, runtime.Version()).Set(1)
	return registry.Register(info)
}
