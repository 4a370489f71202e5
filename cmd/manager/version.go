// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "runtime/debug"

// version and revision name the build. A release sets them with -ldflags "-X main.version=... -X main.revision=...";
// otherwise they are what the Go toolchain knows of it.
var version, revision string

// build returns version and revision, "unknown" for what nobody knows.
func build(info *debug.BuildInfo, known bool) (v, r string) {
	v, r = version, revision
	if known {
		if v == "" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && r == "" {
				r = s.Value
			}
		}
	}
	if v == "" {
		v = "unknown"
	}
	if r == "" {
		r = "unknown"
	}
	return v, r
}
