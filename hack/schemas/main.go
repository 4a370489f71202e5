// Copyright The access-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Command schemas writes JSON schemas for kubeconform, strict ones, from Kubernetes' OpenAPI document and from custom
// resource definitions, so that manifests are checked without a network. usage: schemas OUT SWAGGER.JSON CRD...
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: schemas OUT SWAGGER.JSON CRD...")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

// definition is what is read of a CustomResourceDefinition.
type definition struct {
	Spec struct {
		Group    string
		Names    struct{ Kind string }
		Versions []struct {
			Name   string
			Schema struct{ OpenAPIV3Schema map[string]any }
		}
	}
}

func run(out, swagger string, crds []string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	text, err := os.ReadFile(swagger)
	if err != nil {
		return err
	}
	var api struct {
		Definitions map[string]map[string]any `json:"definitions"`
	}
	if err := json.Unmarshal(text, &api); err != nil {
		return err
	}
	for name, d := range api.Definitions {
		forbidUnknown(d)
		// A number or a string; the document knows no such type.
		if strings.HasSuffix(name, ".intstr.IntOrString") {
			d["type"] = []string{"integer", "string"}
		}
		if strings.HasSuffix(name, ".resource.Quantity") {
			d["type"] = []string{"number", "string"}
		}
	}
	if err := write(out, "definitions", api); err != nil {
		return err
	}
	for name, d := range api.Definitions {
		kinds, _ := d["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 {
			continue
		}
		k, _ := kinds[0].(map[string]any)
		err := write(out, file(fmt.Sprint(k["group"]), fmt.Sprint(k["version"]), fmt.Sprint(k["kind"])),
			map[string]any{"$ref": "definitions.json#/definitions/" + name})
		if err != nil {
			return err
		}
	}
	for _, path := range crds {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var crd definition
		if err := yaml.Unmarshal(text, &crd); err != nil {
			return err
		}
		for _, v := range crd.Spec.Versions {
			schema := v.Schema.OpenAPIV3Schema
			forbidUnknown(schema)
			// The API server knows what every object's metadata is.
			if properties, ok := schema["properties"].(map[string]any); ok {
				properties["metadata"] = map[string]any{"$ref": "definitions.json#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
			}
			if err := write(out, file(crd.Spec.Group, v.Name, crd.Spec.Names.Kind), schema); err != nil {
				return err
			}
		}
	}
	return nil
}

// forbidUnknown refuses fields that an object's schema does not name, in it and below.
func forbidUnknown(schema any) {
	switch s := schema.(type) {
	case map[string]any:
		if s["properties"] != nil && s["additionalProperties"] == nil && s["x-kubernetes-preserve-unknown-fields"] == nil {
			s["additionalProperties"] = false
		}
		for _, v := range s {
			forbidUnknown(v)
		}
	case []any:
		for _, v := range s {
			forbidUnknown(v)
		}
	}
}

// file is the name that kubeconform looks for: the template in hack/lint-chart.sh.
func file(group, version, kind string) string {
	if group == "" {
		group = version // as kubeconform reads the group of the core's v1
	}
	return strings.ToLower(fmt.Sprintf("%s-%s-%s", kind, group, version))
}

func write(dir, name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".json"), text, 0o644)
}
