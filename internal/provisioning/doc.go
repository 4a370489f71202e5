// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package provisioning is the engine that brings access in a target system to a wanted state: it observes, plans,
// applies and verifies. It knows neither Kubernetes nor Cakewalk nor any particular target.
//
// A Backend speaks to one kind of target. Whatever a backend answers to a write, only what is observed afterwards counts:
// the answers of real servers to the same repeated write are not comparable.
package provisioning
