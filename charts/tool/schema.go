package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"
)

// What values.schema.json says, but for ProxyClass; in YAML, as people write it.
//
//go:embed values.schema.yaml
var valuesSchema []byte

// printSchema prints the schema of values, with the spec of the ProxyClass that the CRD in a file defines.
func printSchema(file string, to io.Writer) error {
	var schema struct {
		Definitions map[string]any `json:"$defs"`
	}
	whole := map[string]any{}
	if err := yaml.UnmarshalStrict(valuesSchema, &whole); err != nil {
		return err
	}
	if err := yaml.Unmarshal(valuesSchema, &schema); err != nil {
		return err
	}
	set, err := definitionsIn(file)
	if err != nil {
		return err
	}
	spec, err := specOf(set["proxyclasses.fairlead.dev"])
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	schema.Definitions["proxyClass"] = closed(spec)
	whole["$defs"] = schema.Definitions
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(whole)
}

func specOf(definition map[string]any) (any, error) {
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema struct{ Properties map[string]any }
				}
			}
		}
	}
	text, err := json.Marshal(definition)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &crd); err != nil {
		return nil, err
	}
	if len(crd.Spec.Versions) == 0 {
		return nil, fmt.Errorf("no ProxyClass")
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"], nil
}

// closed is a CRD's schema as a JSON schema: unknown fields are refused, where the API server drops them.
func closed(value any) any {
	switch value := value.(type) {
	case map[string]any:
		made := map[string]any{}
		for key, inner := range value {
			if key != "x-kubernetes-validations" {
				made[key] = closed(inner)
			}
		}
		_, fields := made["properties"].(map[string]any)
		if fields && made["type"] == "object" && made["additionalProperties"] == nil {
			made["additionalProperties"] = false
		}
		return made
	case []any:
		made := make([]any, 0, len(value))
		for _, inner := range value {
			made = append(made, closed(inner))
		}
		return made
	default:
		return value
	}
}
