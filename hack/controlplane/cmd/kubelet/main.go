// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command kubelet runs the pods of a node, built from its Go module.
package main

import (
	"context"
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kubelet/app"
)

func main() { os.Exit(cli.Run(app.NewKubeletCommand(context.Background()))) }
