// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controllers turns AccessTasks and Connectors into changes of access, and both and WebhookReceivers into status.
//
// An AccessTask's reconciliation is: fetch, decide (a pure function over what was fetched), act, write status once. What
// a controller remembers in memory only spares work: everything that matters is on the objects and in the target systems.
package controllers
