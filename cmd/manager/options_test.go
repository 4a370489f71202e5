// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFlags(t *testing.T) {
	tests := map[string]struct {
		args       []string
		receive    bool
		control    bool
		namespaces []string
		wantError  string
	}{
		"both halves in all namespaces by default":        {receive: true, control: true},
		"the receiver alone":                              {args: []string{"--controllers=false"}, receive: true},
		"the controllers alone":                           {args: []string{"--receiver=false"}, control: true},
		"neither half":                                    {args: []string{"--controllers=false", "--receiver=false"}, wantError: "leave nothing to do"},
		"one namespace":                                   {args: []string{"--watch-namespaces=team-a"}, receive: true, control: true, namespaces: []string{"team-a"}},
		"namespaces with spaces, in any order, and twice": {args: []string{"--watch-namespaces", "b, a,b"}, receive: true, control: true, namespaces: []string{"a", "b"}},
		"an empty list is all":                            {args: []string{"--watch-namespaces="}, receive: true, control: true},
		"a comma too many, which must not mean all":       {args: []string{"--watch-namespaces=,"}, wantError: "is not a namespace"},
		"no name of a namespace":                          {args: []string{"--watch-namespaces=Team_A"}, wantError: `"Team_A" is not a namespace`},
		"a value that a switch does not take":             {args: []string{"--receiver", "false"}, wantError: `unexpected argument "false"`},
		"a spool without room":                            {args: []string{"--receiver-spool-max-bytes=0"}, wantError: "must be positive"},
		"a selector of nothing but spaces":                {args: []string{"--watch-label-selector= "}, wantError: "selects everything"},
		"no selector":                                     {args: []string{"--watch-label-selector=shard=a=b"}, wantError: "--watch-label-selector"},
		"an unknown flag":                                 {args: []string{"--receivers"}, wantError: "not defined"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			o, err := parse(test.args, &out)
			if test.wantError != "" {
				if err == nil || !strings.Contains(out.String(), test.wantError) {
					t.Fatalf("error %v, said %q, want %q", err, out.String(), test.wantError)
				}
				return
			}
			if err != nil {
				t.Fatal(err, out.String())
			}
			if o.receive != test.receive || o.control != test.control {
				t.Errorf("receiver %t, controllers %t", o.receive, o.control)
			}
			if diff := cmp.Diff(test.namespaces, o.namespaces); diff != "" {
				t.Error(diff)
			}
			if got := watched(o.namespaces); len(got) != len(test.namespaces) || (got == nil) != (test.namespaces == nil) {
				t.Errorf("the cache is narrowed to %v", got)
			}
		})
	}
}

func TestPartsOfAnInstallationElectLeadersOfTheirOwn(t *testing.T) {
	names := map[string]bool{}
	for text, keys := range map[string][]string{
		"": {}, "access.getcakewalk.io/shard=a": {"access.getcakewalk.io/shard"}, "!access.getcakewalk.io/shard": {"access.getcakewalk.io/shard"},
		"team in (a, b),size": {"size", "team"},
	} {
		var out bytes.Buffer
		o, err := parse([]string{"--watch-label-selector=" + text}, &out)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(keys, o.shardLabels()); diff != "" {
			t.Error(diff)
		}
		names[leaseName(o.selector)] = true
	}
	if len(names) != 4 || !names[leaderElectionID] {
		t.Errorf("%v", names)
	}
}

func TestBuildIsNamed(t *testing.T) {
	info := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}}}
	if v, r := build(info, true); v != "v1.2.3" || r != "abc" {
		t.Errorf("%s %s", v, r)
	}
	if v, r := build(nil, false); v != "unknown" || r != "unknown" {
		t.Errorf("%s %s", v, r)
	}
	version, revision = "v2.0.0", "def"
	t.Cleanup(func() { version, revision = "", "" })
	if v, r := build(info, true); v != "v2.0.0" || r != "def" {
		t.Errorf("%s %s", v, r)
	}
}
