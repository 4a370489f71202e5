// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command kube-scheduler is the scheduler of Kubernetes, built from its Go module.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() { os.Exit(cli.Run(app.NewSchedulerCommand())) }
