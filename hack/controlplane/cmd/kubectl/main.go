// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command kubectl is kubectl, built from its Go module.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
)

func main() { os.Exit(cli.Run(cmd.NewDefaultKubectlCommand())) }
