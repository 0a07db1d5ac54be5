package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	values "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	limits "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// checkDefinitions applies the API server's own rules to CRDs, those on CEL and its cost included.
func checkDefinitions(set *Set) []error {
	var problems []error
	for _, definition := range set.definitions {
		if definition.Annotations["helm.sh/resource-policy"] != "keep" {
			problems = append(problems, fmt.Errorf("%s would go with the release", definition.Name))
		}
		// What the API server sets itself.
		for _, version := range definition.Spec.Versions {
			if version.Storage {
				definition.Status.StoredVersions = append(definition.Status.StoredVersions, version.Name)
			}
		}
		for _, problem := range validation.ValidateCustomResourceDefinition(context.Background(), definition) {
			problems = append(problems, fmt.Errorf("%s: %w", definition.Name, problem))
		}
	}
	return problems
}

// checkCustom validates objects by the CRDs in the same rendering: types, limits, CEL, and no field that they don't know.
func checkCustom(set *Set) []error {
	var problems []error
	for _, object := range set.custom {
		schema := schemaOf(set, object)
		if schema == nil {
			problems = append(problems, fmt.Errorf("%s: no CRD of its kind", name(object)))
			continue
		}
		for _, problem := range violations(schema, object) {
			problems = append(problems, fmt.Errorf("%s: %w", name(object), problem))
		}
	}
	return problems
}

func violations(schema *apiextensions.JSONSchemaProps, object *unstructured.Unstructured) []error {
	shape, err := structural.NewStructural(schema)
	if err != nil {
		return []error{err}
	}
	var problems []error
	known := structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	for _, path := range pruning.PruneWithOptions(object.DeepCopy().Object, shape, true, known) {
		problems = append(problems, fmt.Errorf("unknown field %s", path))
	}
	validator, _, err := values.NewSchemaValidator(schema)
	if err != nil {
		return append(problems, err)
	}
	for _, problem := range values.ValidateCustomResource(nil, object.Object, validator) {
		problems = append(problems, problem)
	}
	if rules := cel.NewValidator(shape, true, limits.PerCallLimit); rules != nil {
		found, _ := rules.Validate(context.Background(), nil, shape, object.Object, nil, limits.RuntimeCELCostBudget)
		for _, problem := range found {
			problems = append(problems, problem)
		}
	}
	return problems
}

func schemaOf(set *Set, object *unstructured.Unstructured) *apiextensions.JSONSchemaProps {
	kind := object.GroupVersionKind()
	for _, definition := range set.definitions {
		if definition.Spec.Group != kind.Group || definition.Spec.Names.Kind != kind.Kind {
			continue
		}
		if definition.Spec.Validation != nil {
			return definition.Spec.Validation.OpenAPIV3Schema
		}
		for _, version := range definition.Spec.Versions {
			if version.Name == kind.Version && version.Schema != nil {
				return version.Schema.OpenAPIV3Schema
			}
		}
	}
	return nil
}

// compareUpstream checks that the CRDs of a folder came through unchanged, but for prose and what a release adds, and that
// no other kinds of their groups are rendered.
func compareUpstream(folder, file string) error {
	rendered, err := definitionsIn(file)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return err
	}
	compared := map[string]bool{}
	groups := map[any]bool{}
	for _, file := range files {
		upstream, err := definitionsIn(file)
		if err != nil {
			return err
		}
		for name, want := range upstream {
			have, ok := rendered[name]
			if !ok {
				return fmt.Errorf("%s is missing", name)
			}
			if !bytes.Equal(canonical(have["spec"]), canonical(want["spec"])) {
				return fmt.Errorf("%s is not upstream's", name)
			}
			for key, value := range annotations(want) {
				if annotations(have)[key] != value {
					return fmt.Errorf("%s: annotation %s is not upstream's", name, key)
				}
			}
			compared[name] = true
			groups[group(want)] = true
		}
	}
	if len(compared) == 0 {
		return fmt.Errorf("no CRDs in %s", folder)
	}
	for name, have := range rendered {
		if groups[group(have)] && !compared[name] {
			return fmt.Errorf("%s is not in %s", name, folder)
		}
	}
	return nil
}

// group is the API group of a definition's kind.
func group(definition map[string]any) any {
	spec, _ := definition["spec"].(map[string]any)
	return spec["group"]
}

func annotations(definition map[string]any) map[string]any {
	metadata, _ := definition["metadata"].(map[string]any)
	found, _ := metadata["annotations"].(map[string]any)
	return found
}

func definitionsIn(file string) (map[string]map[string]any, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	found := map[string]map[string]any{}
	for _, document := range split(text) {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if object.GetKind() == "CustomResourceDefinition" {
			found[object.GetName()] = object.Object
		}
	}
	return found, nil
}

// canonical is a value without descriptions; a property may have that name, and then is no text.
func canonical(value any) []byte {
	text, err := json.Marshal(withoutProse(value))
	if err != nil {
		panic(err) // It was read from YAML.
	}
	return text
}

func withoutProse(value any) any {
	switch value := value.(type) {
	case map[string]any:
		kept := map[string]any{}
		for key, inner := range value {
			if _, text := inner.(string); key != "description" || !text {
				kept[key] = withoutProse(inner)
			}
		}
		return kept
	case []any:
		kept := make([]any, 0, len(value))
		for _, inner := range value {
			kept = append(kept, withoutProse(inner))
		}
		return kept
	default:
		return value
	}
}

// subresources says whether a CRD's objects have a status of their own.
func subresources(definition *apiextensions.CustomResourceDefinition) bool {
	if definition.Spec.Subresources != nil {
		return definition.Spec.Subresources.Status != nil
	}
	for _, version := range definition.Spec.Versions {
		if version.Subresources != nil && version.Subresources.Status != nil {
			return true
		}
	}
	return false
}
