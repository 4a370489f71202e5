// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cakewalk knows the JSON that Cakewalk sends. No other package does.
//
// Cakewalk announces events by webhook: a JSON array of events, or, in an older contract, one bare event object. Decode
// reads both. What it accepts fits the schema of an AccessTask, so that the API server never refuses it.
package cakewalk
