// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command kube-proxy makes a node serve the addresses of Services, built from its Go module.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-proxy/app"
)

func main() { os.Exit(cli.Run(app.NewProxyCommand())) }
