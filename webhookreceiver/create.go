// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package webhookreceiver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	accessv1alpha1 "getcakewalk.io/access-operator/api/v1alpha1"
)

// creator creates tasks. Its errors are the API server's.
type creator interface {
	create(ctx context.Context, task *accessv1alpha1.AccessTask) error
}

// answerWanted asks for as little as can be had: the stored object is of no use to the receiver, and reading it would cost
// more than everything else that is done for it.
const answerWanted = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

// restCreator creates tasks at an API server, and reads nothing of its answer but whether it is an error.
type restCreator struct{ client rest.Interface }

var kind = accessv1alpha1.GroupVersion.WithKind("AccessTask")

// newRESTCreator uses the connections of a client.
func newRESTCreator(config *rest.Config, scheme *runtime.Scheme, client *http.Client) (*restCreator, error) {
	c, err := apiutil.RESTClientForGVK(kind, false, false, config, serializer.NewCodecFactory(scheme), client)
	if err != nil {
		return nil, fmt.Errorf("making a client that creates AccessTasks: %w", err)
	}
	return &restCreator{client: c}, nil
}

func (r *restCreator) create(ctx context.Context, task *accessv1alpha1.AccessTask) error {
	sent := *task
	sent.SetGroupVersionKind(kind)
	body, err := json.Marshal(&sent)
	if err != nil {
		return fmt.Errorf("encoding a task: %w", err)
	}
	return r.client.Post().Namespace(task.Namespace).Resource("accesstasks").
		SetHeader("Content-Type", runtime.ContentTypeJSON).SetHeader("Accept", answerWanted).
		Body(body).Do(ctx).Error()
}
