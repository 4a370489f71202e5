// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

func TestAPoorNetwork(t *testing.T) {
	random := chance(t)
	c := newCrowd(newRig(t, "cakewalk"), random, 10*time.Second)
	n := newNetwork(t, apiServerAddress(t))
	c.connectBy(through(t, n))
	spool := filepath.Join(t.TempDir(), "spool")
	// Whoever cannot renew the lease ends, as in a cluster, and is started again.
	args := []string{"--receiver-spool-dir", spool, "--leader-elect", "--leader-election-namespace", c.namespace}
	kept := c.keepUp(args...)
	c.start()
	for i := range 16 {
		w := weather(random.IntN(int(swallowing) + 1))
		n.set(w)
		if random.IntN(3) == 0 {
			n.reset()
		}
		low, high := 500*time.Millisecond, 4*time.Second
		switch i % 8 {
		case 3:
			// Until the ends find out by themselves, whatever the weather.
			n.lose()
		case 7:
			// Longer than a delivery and the lease wait.
			low, high = 14*time.Second, 16*time.Second
		default:
		}
		time.Sleep(between(random, low, high))
		n.set(fair)
		time.Sleep(between(random, 0, 2*time.Second))
	}
	c.stop()
	c.judge()
	c.emptied(spool)
	t.Logf("the manager was started again %d times", kept.restarts())
}

// apiServerAddress is where the API server listens.
func apiServerAddress(t *testing.T) string {
	t.Helper()
	target, err := url.Parse(env.Config.Host)
	if err != nil || target.Host == "" {
		target, err = url.Parse("https://" + env.Config.Host)
	}
	if err != nil {
		t.Fatal(err)
	}
	return target.Host
}

// through is a kubeconfig that reaches the API server through a network.
func through(t *testing.T, n *network) []byte {
	t.Helper()
	config, err := clientcmd.Load(env.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, cluster := range config.Clusters {
		cluster.Server = "https://" + n.address
	}
	text, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
