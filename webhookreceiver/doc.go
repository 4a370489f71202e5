// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package webhookreceiver is the door: a signed delivery comes in, AccessTasks are stored. It knows no backend.
//
// A delivery is answered 200 only when every task that it announces is stored, so that the sender may forget it; it may
// be sent again whole at any time. With a spool one is answered 202 when it is on the disk, since the API server is away. The order of checks and their answers:
//
//	method other than POST                                     405
//	path of no WebhookReceiver                                 404
//	receiver suspended or without usable keys                  503
//	too many deliveries in flight, too many unfinished tasks   503
//	body too large                                             413
//	signature missing or wrong                                 401
//	body is not JSON, or neither an array nor an event         400
//	more events than the receiver allows                       413
//	a task could not be stored                                 503; 202 where the delivery is spooled
//	some events malformed, the others stored                   422
//	everything stored, known before, or to be ignored          200
//
// Nothing is parsed before it is authenticated.
package webhookreceiver

// The receiver's own rights. Secrets and ConfigMaps are read one by one, by the names in the receivers' specs.
// +kubebuilder:rbac:groups=access.getcakewalk.io,resources=webhookreceivers,verbs=get;list;watch,roleName=receiver-role
// +kubebuilder:rbac:groups=access.getcakewalk.io,resources=webhookreceivers/status,verbs=patch,roleName=receiver-role
// +kubebuilder:rbac:groups=access.getcakewalk.io,resources=accesstasks,verbs=get;list;watch;create,roleName=receiver-role
// +kubebuilder:rbac:groups="",resources=secrets;configmaps,verbs=get,roleName=receiver-role
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch,roleName=receiver-role
