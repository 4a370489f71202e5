// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

func TestAConnectorSaysWhatIsWrong(t *testing.T) {
	tests := map[string]struct {
		err        error
		wantReason string
	}{
		"refused credentials":        {provisioning.Unavailable(provisioning.ReasonUnauthorized, errors.New("401")), accessv1alpha1.ReasonUnauthorized},
		"a wrong address":            {provisioning.Unavailable(provisioning.ReasonEndpointNotFound, errors.New("404")), accessv1alpha1.ReasonEndpointNotFound},
		"a server that is not there": {provisioning.Retryable(errors.New("connection refused")), accessv1alpha1.ReasonUnreachable},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r, fake := newRig(t)
			fake.Fail = func(string, provisioning.Subject) error { return tc.err }
			c := r.ready(r.connector("a"), metav1.ConditionFalse, tc.wantReason)
			if ready := meta.FindStatusCondition(c.Status.Conditions, accessv1alpha1.ConditionReady); ready.Message != tc.err.Error() || ready.ObservedGeneration != c.Generation {
				t.Errorf("%+v", ready)
			}
			if c.Status.Backend != "scim" || c.Status.LastProbeTime == nil || *c.Status.ObservedGeneration != c.Generation {
				t.Errorf("%+v", c.Status)
			}
		})
	}
}

func TestAConnectorCountsItsTasks(t *testing.T) {
	r, _ := newRig(t)
	c := r.connector("a")
	r.until(r.task(), accessv1alpha1.ReasonProvisioned)
	r.until(r.task(withLevel(&accessv1alpha1.NamedObject{Name: "Owner"})), accessv1alpha1.ReasonPermanentError)
	r.eventually(func() error {
		if err := r.Get(t.Context(), client.ObjectKeyFromObject(c), c); err != nil {
			return err
		}
		if n := c.Status.Tasks; n == nil || *n.Waiting != 0 || *n.Failed != 1 || *n.Succeeded != 1 {
			return fmt.Errorf("counts %+v", n)
		}
		return nil
	})
}

func TestProbesAreDue(t *testing.T) {
	c := newConnector("a", func(c *accessv1alpha1.Connector) { c.Spec.ProbeIntervalSeconds = 300 })
	good := probe{revision: "1", at: t0}
	tests := map[string]struct {
		last probe
		now  time.Duration
		want bool
	}{
		"never probed":                      {probe{}, 0, true},
		"just probed":                       {good, time.Second, false},
		"the interval is over":              {good, 300 * time.Second, true},
		"a task asks":                       {probe{revision: "1", at: t0, asked: true}, time.Second, true},
		"a Secret was changed":              {probe{revision: "0", at: t0}, time.Second, true},
		"a failed probe is repeated sooner": {probe{revision: "1", at: t0, failures: 1}, 5 * time.Second, true},
		"and not at once":                   {probe{revision: "1", at: t0, failures: 1}, 4 * time.Second, false},
		"failed probes are repeated at most each minute": {probe{revision: "1", at: t0, failures: 99}, 59 * time.Second, false},
		"and at least each minute":                       {probe{revision: "1", at: t0, failures: 99}, time.Minute, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := probeDue(c, tc.last, "1", t0.Add(tc.now)); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestAWebhookReceiverSaysWhetherItsKeysCanBeUsed(t *testing.T) {
	r, _ := newRig(t)
	receiver := &accessv1alpha1.WebhookReceiver{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: "cakewalk"},
		Spec: accessv1alpha1.WebhookReceiverSpec{Verification: accessv1alpha1.WebhookVerification{HMAC: &accessv1alpha1.HMACVerification{
			SecretRefs: []accessv1alpha1.SecretKeyReference{{Name: "hook", Key: "secret"}},
		}}},
	}
	if err := r.Create(t.Context(), receiver); err != nil {
		t.Fatal(err)
	}
	ready := func(status metav1.ConditionStatus, reason, text string) {
		t.Helper()
		r.eventually(func() error {
			if err := r.Get(t.Context(), client.ObjectKeyFromObject(receiver), receiver); err != nil {
				return err
			}
			c := meta.FindStatusCondition(receiver.Status.Conditions, accessv1alpha1.ConditionReady)
			if c == nil || c.Status != status || c.Reason != reason || !strings.Contains(c.Message, text) {
				return fmt.Errorf("%+v", c)
			}
			return nil
		})
	}
	ready(metav1.ConditionFalse, accessv1alpha1.ReasonKeyNotFound, "hook")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: "hook"}, Data: map[string][]byte{"secret": []byte("short")}}
	if err := r.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	ready(metav1.ConditionTrue, accessv1alpha1.ReasonServing, "16 bytes")
	if receiver.Status.Path != "/webhooks/"+r.namespace+"/cakewalk" {
		t.Error(receiver.Status.Path)
	}
	r.patch(receiver, `{"suspend":true}`)
	ready(metav1.ConditionFalse, accessv1alpha1.ReasonSuspended, "")
}
