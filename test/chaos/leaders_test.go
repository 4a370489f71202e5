// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/cakewalk/cakewalktest"
	"getcakewalk.io/access-operator/internal/testenv"
)

// leaderKills is how often the leader is killed. Each time the other takes over when the lease is over.
const leaderKills = 8

// acquired is what a manager logs when it leads from now on. It ends when it does not lead any more.
const acquired = "Successfully acquired lease"

// replica is one of two managers, each with a clock, addresses, a log and a spool of its own.
type replica struct {
	rig
	program, spool string
	// logged is how long the log was when the manager was started.
	logged int64
}

func TestKilledLeadersWithClocksThatDiffer(t *testing.T) {
	random := chance(t)
	r := newRig(t, "cakewalk")
	c := newCrowd(r, random, 10*time.Second)
	c.asks()
	// Until the other replica has seen what one stored. Before, nobody can tell which came first.
	c.soonest = 2 * time.Second
	replicas := []*replica{{program: managerAhead(t)}, {program: program("manager")}}
	c.receivers = nil
	for i, one := range replicas {
		one.rig, one.spool = *r, filepath.Join(t.TempDir(), "spool")
		one.receiver, one.health, one.log = testenv.FreeAddress(t), testenv.FreeAddress(t), r.file(fmt.Sprintf("replica-%d.log", i))
		c.receivers = append(c.receivers, one.receiver)
		one.start()
	}
	c.start()
	killed := map[*replica]int{}
	for range leaderKills {
		leads := leader(t, replicas)
		time.Sleep(between(random, 0, 3*time.Second))
		leads.manager.kill()
		killed[leads]++
		time.Sleep(between(random, 0, time.Second))
		leads.start()
	}
	leader(t, replicas)
	c.stop()
	c.judge()
	for _, one := range replicas {
		c.emptied(one.spool)
		t.Logf("killed %d times: %s", killed[one], one.program)
	}
}

// start starts the replica, and waits until it takes deliveries.
func (one *replica) start() {
	one.t.Helper()
	info, err := one.log.Stat()
	if err != nil {
		one.t.Fatal(err)
	}
	one.logged = info.Size()
	one.manager = one.launch(one.program, "--receiver-spool-dir", one.spool, "--leader-elect", "--leader-election-namespace", one.namespace)
	one.ready(one.health)
}

// leads says whether the replica leads. One that does not any more ends, and is started again.
func (one *replica) leads() bool {
	one.t.Helper()
	select {
	case <-one.manager.ended:
		one.start()
		return false
	default:
	}
	text, err := io.ReadAll(io.NewSectionReader(one.log, one.logged, 1<<30))
	if err != nil {
		one.t.Fatal(err)
	}
	return bytes.Contains(text, []byte(acquired))
}

// leader waits until a replica leads.
func leader(t *testing.T, replicas []*replica) (leads *replica) {
	t.Helper()
	env.Eventually(t, func() error {
		for _, one := range replicas {
			if one.leads() {
				leads = one
				return nil
			}
		}
		return errors.New("nobody leads")
	})
	return leads
}

// asks has a Cakewalk know the tasks of every second person, and be asked about them and told how they end.
func (c *crowd) asks() {
	c.rig.t.Helper()
	c.asked = cakewalktest.Start(c.rig.t, cakewalktest.Options{HMACSecret: hookSecret})
	c.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "api"}, StringData: map[string]string{"apiKey": c.asked.Key, "apiSecret": c.asked.Secret}})
	receiver := &accessv1alpha1.WebhookReceiver{ObjectMeta: metav1.ObjectMeta{Name: askedReceiver}}
	receiver.Spec.Verification.HMAC = &accessv1alpha1.HMACVerification{SecretRefs: []accessv1alpha1.SecretKeyReference{{Name: "hook", Key: "secret"}}}
	receiver.Spec.CakewalkAPI = &accessv1alpha1.CakewalkAPI{URL: c.asked.URL, CredentialsSecretRef: accessv1alpha1.SecretReference{Name: "api"}}
	c.create(receiver)
	for i, p := range c.people {
		if i%2 == 1 {
			p.receiver = askedReceiver
		}
	}
}
