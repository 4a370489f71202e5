// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning"
)

// outcome is what one visit of a task came to. settle turns it into status.
type outcome struct {
	// finished is True or False where the task is finished; empty where there is something to do or to wait for.
	finished metav1.ConditionStatus
	// reason and message are those of Succeeded.
	reason, message string
	// stalled is the reason of Stalled where a person must look; empty where it does not apply.
	stalled string
	// unprovisioned is the reason of Provisioned=False; empty where nothing new is known.
	unprovisioned string
	// next is when another attempt is due; zero where none is planned.
	next time.Time
	// after is when to look again, with or without an attempt; zero leaves it to events.
	after time.Duration
	// costs tells whether an attempt was used up.
	costs bool
	// approvedThere tells that the task is approved in Cakewalk.
	approvedThere bool
	// closes tells what the connector's gate has to know: it is unavailable, or asks for fewer requests.
	closes closing
}

type closing struct {
	// unavailable is the connector's error, nil where it works.
	unavailable error
	// pause is for how long fewer requests were asked for.
	pause time.Duration
	// rateLimited tells whether they were.
	rateLimited bool
	// doubtful tells that the target system could not be reached, so that it is worth probing.
	doubtful bool
}

// failed turns an error of the engine into an outcome. It is the one place that knows what each word means for a task.
// attempts counts the failed attempt.
func failed(err error, kind provisioning.Kind, c *accessv1alpha1.Connector, attempts int32, started, now time.Time) outcome {
	var (
		wrong       *provisioning.PermanentError
		unavailable *provisioning.UnavailableError
		pending     *provisioning.PendingError
	)
	switch {
	case errors.As(err, &wrong):
		return outcome{
			finished:      metav1.ConditionFalse,
			reason:        accessv1alpha1.ReasonPermanentError,
			stalled:       accessv1alpha1.ReasonPermanentError,
			message:       err.Error(),
			unprovisioned: wrong.Reason,
			costs:         true,
		}
	case errors.As(err, &unavailable):
		o := connectorNotReady(c, err.Error())
		o.closes.unavailable = unavailable
		return o
	case errors.As(err, &pending):
		after := max(pending.After, time.Second)
		return outcome{
			reason:        accessv1alpha1.ReasonProvisioning,
			message:       err.Error(),
			unprovisioned: accessv1alpha1.ReasonNotProvisioned,
			next:          now.Add(after),
			after:         after,
		}
	default:
		return retry(err, kind, c, attempts, started, now)
	}
}

// retry is the outcome of an error that may pass.
func retry(err error, kind provisioning.Kind, c *accessv1alpha1.Connector, attempts int32, started, now time.Time) outcome {
	o := outcome{
		reason:        accessv1alpha1.ReasonRetrying,
		unprovisioned: accessv1alpha1.ReasonNotProvisioned,
		costs:         true,
	}
	var asked time.Duration
	if retryable, ok := errors.AsType[*provisioning.RetryableError](err); ok {
		asked = retryable.After
		o.closes = closing{rateLimited: retryable.RateLimited, pause: asked, doubtful: retryable.Unreachable}
	}
	spent := ""
	deadline := time.Duration(c.Spec.Retry.DeadlineSeconds) * time.Second
	switch {
	case attempts >= c.Spec.Retry.MaxAttempts:
		spent = accessv1alpha1.ReasonRetriesExhausted
		o.message = fmt.Sprintf("%d attempts failed, spec.retry.maxAttempts of connector %q; the last one: %v", attempts, c.Name, err)
	case now.Sub(started) >= deadline:
		spent = accessv1alpha1.ReasonDeadlineExceeded
		o.message = fmt.Sprintf("not provisioned %s after the first attempt, spec.retry.deadlineSeconds of connector %q; the last attempt: %v", deadline, c.Name, err)
	default:
		o.message = fmt.Sprintf("attempt %d of %d: %v", attempts, c.Spec.Retry.MaxAttempts, err)
	}
	delay := backoff(c.Spec.Retry, attempts, rand.Float64()) //nolint:gosec // a delay is no secret
	if spent != "" {
		o.stalled = spent
		if !takesAway(kind) {
			o.reason, o.finished = spent, metav1.ConditionFalse
			return o
		}
		o.message += "; a removal is never given up"
		delay = time.Duration(c.Spec.Retry.MaxDelaySeconds) * time.Second
	}
	o.after = max(delay, asked)
	o.next = now.Add(o.after)
	return o
}

// backoff is the delay after a number of failed attempts: it doubles with each, lies between the Connector's delays, and
// random, from 0 to 1, spreads it so that tasks that failed together do not come back together.
func backoff(r accessv1alpha1.ConnectorRetry, attempts int32, random float64) time.Duration {
	shortest := time.Duration(r.MinDelaySeconds) * time.Second
	longest := max(time.Duration(r.MaxDelaySeconds)*time.Second, shortest)
	middle := min(shortest<<min(max(attempts-1, 0), 20), longest)
	low, high := max(middle/2, shortest), min(middle*3/2, longest)
	return low + time.Duration(random*float64(high-low))
}

// done is the outcome of a goal that is reached.
func done(changes []accessv1alpha1.TaskChange, verified bool) outcome {
	o := outcome{finished: metav1.ConditionTrue, reason: accessv1alpha1.ReasonProvisioned, costs: true}
	switch {
	case len(changes) == 0:
		o.reason = accessv1alpha1.ReasonAlreadyProvisioned
		o.message = "the target system was as wanted; nothing was changed"
	case verified:
		o.message = "changed and seen in the target system: " + summary(changes)
	default:
		o.message = "accepted by the target system, which does not show it: " + summary(changes)
	}
	return o
}

// connectorNotReady is the outcome while the Connector cannot be used.
func connectorNotReady(c *accessv1alpha1.Connector, why string) outcome {
	return outcome{
		reason:  accessv1alpha1.ReasonConnectorNotReady,
		message: fmt.Sprintf("connector %q cannot be used: %s", c.Name, why),
	}
}

// summary lists changes for a message.
func summary(changes []accessv1alpha1.TaskChange) string {
	words := make([]string, 0, len(changes))
	for _, c := range changes {
		word := string(c.Action)
		if c.Entitlement != "" {
			word += fmt.Sprintf(" %q", shorten(c.Entitlement, 100))
		}
		if c.Members != nil {
			word += fmt.Sprintf(" (%d members)", *c.Members)
		}
		words = append(words, word)
	}
	return list(words)
}

// shorten cuts a text to a number of bytes, at a character's boundary, and says so.
func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-3], "") + "..."
}
