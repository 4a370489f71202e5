// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package connector makes a provisioning engine out of a Connector and the Secrets that it names. It holds the one switch
// over the kinds of backends.
package connector
