// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package job

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"getcakewalk.io/access-operator/internal/provisioning"
)

// rights are what the operator needs in a namespace to run Jobs.
var rights = []authorizationv1.ResourceAttributes{
	{Group: "batch", Resource: "jobs", Verb: "create"},
	{Group: "batch", Resource: "jobs", Verb: "list"},
	{Group: "batch", Resource: "jobs", Verb: "get"},
	{Group: "batch", Resource: "jobs", Verb: "patch"},
	{Resource: "secrets", Verb: "create"},
	{Resource: "pods", Verb: "list"},
}

// Check implements provisioning.Executor. It asks whether the operator has the rights it needs, and has the API server
// look at the Job without keeping it.
func (e *Executor) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for _, right := range rights {
		right.Namespace = e.options.Namespace
		review, err := e.options.Client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx,
			&authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &right}}, metav1.CreateOptions{})
		if err != nil {
			return word(err, "ask for its rights")
		}
		if !review.Status.Allowed {
			return provisioning.Unavailable(provisioning.ReasonAccessForbidden, fmt.Errorf(
				"the operator may not %s %s in this namespace: bind the ClusterRole access-operator-jobs to its service account here", right.Verb, right.Resource))
		}
	}
	sample := e.job(provisioning.Task{ID: "00000000-0000-0000-0000-000000000000", Name: "check", UID: "check", Attempt: 1})
	if _, err := e.options.Client.BatchV1().Jobs(e.options.Namespace).Create(ctx, sample, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		err = word(err, "create jobs")
		if provisioning.Word(err) == "permanent" {
			return provisioning.Unavailable(provisioning.ReasonAccessForbidden, fmt.Errorf("job.template: %w", err))
		}
		return err
	}
	return nil
}
