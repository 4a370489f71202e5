// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/testenv"
)

// Two shards and the rest share a namespace: each has its receiver, connector and leader, and sees nothing of the others.
func TestShardsShareACluster(t *testing.T) {
	r := newRig(t)
	r.bind("manager", leaderElectionRole, false)
	shards := map[string]string{"a": "access.getcakewalk.io/shard=a", "b": "access.getcakewalk.io/shard in (b)", "": "!access.getcakewalk.io/shard"}
	urls := map[string]string{}
	for shard, selector := range shards {
		app := "Rest"
		if shard != "" {
			app = "App-" + shard
			r.create(&accessv1alpha1.WebhookReceiver{
				ObjectMeta: metav1.ObjectMeta{Name: shard, Labels: map[string]string{accessv1alpha1.LabelShard: shard}},
				Spec: accessv1alpha1.WebhookReceiverSpec{Verification: accessv1alpha1.WebhookVerification{HMAC: &accessv1alpha1.HMACVerification{
					SecretRefs: []accessv1alpha1.SecretKeyReference{{Name: "hook", Key: "secret"}},
				}}},
			})
		}
		c := r.connector(app, r.scim, "scim")
		if shard != "" {
			c.Labels = map[string]string{accessv1alpha1.LabelShard: shard}
			if err := r.Update(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		r.receiver, r.health = testenv.FreeAddress(t), testenv.FreeAddress(t)
		urls[shard] = "http://" + r.receiver
		r.start("--leader-elect", "--leader-election-namespace", r.namespace, "--watch-label-selector", selector)
	}
	ids := map[string]string{}
	for shard, receiver := range map[string]string{"a": "a", "b": "b", "": "cakewalk"} {
		app := "Rest"
		if shard != "" {
			app = "App-" + shard
		}
		e, id := event(grant, app, "ann@"+receiver+".example.com")
		ids[shard] = id
		for at, url := range urls {
			r.url = url
			want := http.StatusNotFound
			if at == shard {
				want = http.StatusOK
			}
			if code, answer := r.send(r.namespace+"/"+receiver, nil, e); code != want {
				t.Errorf("shard %q answers a delivery to %s: %d %s", at, receiver, code, answer)
			}
		}
	}
	for shard, id := range ids {
		task := r.until(id, accessv1alpha1.ReasonProvisioned)
		if got := task.Labels[accessv1alpha1.LabelShard]; got != shard {
			t.Errorf("the task of shard %q has the label %q", shard, got)
		}
	}
	for _, group := range []string{"one", "two", "three"} {
		if diff := cmp.Diff([]string{"ann@a.example.com", "ann@b.example.com", "ann@cakewalk.example.com", "bob@example.com"}, r.members(group)); diff != "" {
			t.Error(diff)
		}
	}
	// A task that is moved is worked on where it comes, with what there is: no connector of the shard serves its application.
	e, id := event(grant, "App-b", "eve@example.com")
	r.url = urls["a"]
	if code, answer := r.send(r.namespace+"/a", nil, e); code != http.StatusOK {
		t.Fatal(code, answer)
	}
	task := r.until(id, accessv1alpha1.ReasonNoConnector)
	task.Labels[accessv1alpha1.LabelShard] = "b"
	if err := r.Update(t.Context(), task); err != nil {
		t.Fatal(fmt.Errorf("moving a task: %w", err))
	}
	r.until(id, accessv1alpha1.ReasonProvisioned)
}
