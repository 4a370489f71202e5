// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command pause holds the network of a pod, and does nothing until it is told to end.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM)
	<-c
}
