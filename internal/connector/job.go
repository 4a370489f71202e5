// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"time"

	"golang.org/x/time/rate"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
	"getcakewalk.io/access-operator/internal/provisioning/job"
)

func newJob(spec *accessv1alpha1.ConnectorSpec, refs *references, limiter *rate.Limiter) (*backend, error) {
	s := spec.Job
	template, err := job.ParseTemplate(s.Template.Raw, s.ServiceAccountName)
	if err != nil {
		return nil, invalid("job.template: %w", err)
	}
	config := rest.CopyConfig(refs.cluster)
	config.RateLimiter = apiLimiter{limiter}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, invalid("job: %w", err)
	}
	return &backend{executor: job.New(job.Options{
		Client:             client,
		Namespace:          refs.namespace,
		Template:           template,
		ServiceAccountName: s.ServiceAccountName,
		ActiveDeadline:     time.Duration(s.ActiveDeadlineSeconds) * time.Second,
		TTL:                time.Duration(s.TTLSecondsAfterFinished) * time.Second,
		OwnerAPIVersion:    accessv1alpha1.GroupVersion.String(),
		OwnerKind:          "AccessTask",
	})}, nil
}

// apiLimiter makes the connector's limit one of client-go's.
type apiLimiter struct{ *rate.Limiter }

var _ flowcontrol.RateLimiter = apiLimiter{}

func (l apiLimiter) TryAccept() bool { return l.Allow() }
func (l apiLimiter) Accept()         { time.Sleep(l.Reserve().Delay()) }
func (apiLimiter) Stop()             {}
func (l apiLimiter) QPS() float32    { return float32(l.Limit()) }
