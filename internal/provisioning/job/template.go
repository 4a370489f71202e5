// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package job

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/json"
)

// ParseTemplate reads a pod template, strictly, and fills in what it leaves open as Pod Security's restricted profile
// wants it. The error names the field. serviceAccountName is the one that the pod runs as.
func ParseTemplate(text []byte, serviceAccountName string) (corev1.PodTemplateSpec, error) {
	var t corev1.PodTemplateSpec
	wrong, err := json.UnmarshalStrict(text, &t)
	if err == nil {
		err = errors.Join(wrong...)
	}
	if err != nil {
		return t, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if err := check(&t.Spec, serviceAccountName); err != nil {
		return t, err
	}
	restrict(&t.Spec)
	return t, nil
}

func check(s *corev1.PodSpec, serviceAccountName string) error {
	switch {
	case len(s.Containers) == 0:
		return errors.New("spec.containers: must have at least one container")
	case s.RestartPolicy != "" && s.RestartPolicy != corev1.RestartPolicyNever:
		return fmt.Errorf("spec.restartPolicy: must be Never or left out, not %s: repetitions are the operator's", s.RestartPolicy)
	case s.ServiceAccountName != "" && s.ServiceAccountName != serviceAccountName:
		return errors.New("spec.serviceAccountName: must be left out: it is the connector's job.serviceAccountName")
	case slices.ContainsFunc(s.Volumes, func(v corev1.Volume) bool { return v.Name == volume }):
		return fmt.Errorf("spec.volumes: the name %q is taken by the operator", volume)
	}
	for i, c := range s.Containers {
		field := fmt.Sprintf("spec.containers[%d]", i)
		switch {
		case c.Name == "":
			return fmt.Errorf("%s.name: is required", field)
		case c.Image == "":
			return fmt.Errorf("%s.image: is required", field)
		}
		for _, e := range c.Env {
			if slices.Contains(variableNames, e.Name) {
				return fmt.Errorf("%s.env: %s is set by the operator", field, e.Name)
			}
		}
		for _, m := range c.VolumeMounts {
			if strings.TrimRight(m.MountPath, "/") == mountPath {
				return fmt.Errorf("%s.volumeMounts: %s is mounted by the operator", field, mountPath)
			}
		}
	}
	return nil
}

// restrict sets what the template leaves open as the restricted profile of the Pod Security Standards wants it. What it
// says stays: whether that is allowed is for the namespace to decide.
func restrict(s *corev1.PodSpec) {
	s.RestartPolicy = corev1.RestartPolicyNever
	if s.AutomountServiceAccountToken == nil {
		s.AutomountServiceAccountToken = new(false)
	}
	if s.SecurityContext == nil {
		s.SecurityContext = &corev1.PodSecurityContext{}
	}
	if s.SecurityContext.RunAsNonRoot == nil {
		s.SecurityContext.RunAsNonRoot = new(true)
	}
	if s.SecurityContext.SeccompProfile == nil {
		s.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}
	}
	for _, containers := range [][]corev1.Container{s.InitContainers, s.Containers} {
		for i := range containers {
			restrictContainer(&containers[i])
		}
	}
}

func restrictContainer(c *corev1.Container) {
	if c.SecurityContext == nil {
		c.SecurityContext = &corev1.SecurityContext{}
	}
	if c.SecurityContext.AllowPrivilegeEscalation == nil {
		c.SecurityContext.AllowPrivilegeEscalation = new(false)
	}
	if c.SecurityContext.Capabilities == nil {
		c.SecurityContext.Capabilities = &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}
	}
}
