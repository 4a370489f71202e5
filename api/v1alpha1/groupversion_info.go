// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 holds the access.getcakewalk.io/v1alpha1 API: AccessTask, Connector and WebhookReceiver.
//
// The package is types, constants and generated code, without logic, and imports nothing but apimachinery, so that
// other programs can use the types without taking on the operator's dependencies.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +groupName=access.getcakewalk.io
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of every type in this package.
var GroupVersion = schema.GroupVersion{Group: "access.getcakewalk.io", Version: "v1alpha1"}

// SchemeGroupVersion is GroupVersion, under the name that generated code expects.
var SchemeGroupVersion = GroupVersion

var schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

// AddToScheme registers the types of this package with a scheme.
var AddToScheme = schemeBuilder.AddToScheme

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&AccessTask{}, &AccessTaskList{},
		&Connector{}, &ConnectorList{},
		&WebhookReceiver{}, &WebhookReceiverList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
