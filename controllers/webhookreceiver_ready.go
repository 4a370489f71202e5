// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/webhookkeys"
)

// receiverReady returns the condition Ready.
func receiverReady(receiver *accessv1alpha1.WebhookReceiver, keys int, problems []webhookkeys.Problem) metav1.Condition {
	c := metav1.Condition{Type: accessv1alpha1.ConditionReady, Status: metav1.ConditionFalse}
	messages := make([]string, 0, len(problems))
	for _, p := range problems {
		messages = append(messages, p.Message)
		if c.Reason == "" && !p.Warning {
			c.Reason = p.Reason
		}
	}
	switch {
	case isTrue(receiver.Spec.Suspend):
		c.Reason = accessv1alpha1.ReasonSuspended
		messages = append([]string{"spec.suspend is true: deliveries are answered 503"}, messages...)
	case keys > 0:
		c.Status, c.Reason = metav1.ConditionTrue, accessv1alpha1.ReasonServing
		messages = append([]string{fmt.Sprintf("deliveries are verified with %d key(s)", keys)}, messages...)
	case c.Reason == "":
		c.Reason = accessv1alpha1.ReasonKeyNotFound
		messages = append(messages, "there is no key to verify deliveries with")
	}
	c.Message = shorten(strings.Join(messages, "; "), maxMessage)
	return c
}
