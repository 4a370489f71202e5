// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command lint is golangci-lint with the linters of this project's ecosystem compiled in: kube-api-linter for the API
// types and logcheck for structured logs.
package main

import (
	"fmt"
	"os"

	"github.com/golangci/golangci-lint/v2/pkg/commands"
	_ "sigs.k8s.io/kube-api-linter"
	_ "sigs.k8s.io/logtools/logcheck/gclplugin"
)

func main() {
	if err := commands.Execute(commands.BuildInfo{GoVersion: "unknown", Version: "2.15.0", Commit: "module", Date: "module"}); err != nil {
		fmt.Fprintln(os.Stderr, "lint:", err)
		os.Exit(3)
	}
}
