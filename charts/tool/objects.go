package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	definitions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	documents "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// Set is what one rendering holds.
type Set struct {
	// Objects of Kubernetes' own kinds, in their Go types.
	typed []runtime.Object
	// CRDs, in the internal version that validation takes.
	definitions []*apiextensions.CustomResourceDefinition
	// Objects of the kinds that CRDs define.
	custom []*unstructured.Unstructured
}

// read decodes a file strictly: unknown and repeated fields are errors, and so is an object that occurs twice.
func read(file string) (*Set, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	types := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, monitoring.AddToScheme} {
		if err := add(types); err != nil {
			return nil, err
		}
	}
	definitions.Install(types)
	decoder := serializer.NewCodecFactory(types, serializer.EnableStrict).UniversalDeserializer()

	set, seen := &Set{}, map[string]bool{}
	var problems []error
	for _, document := range split(text) {
		object := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(document, &object.Object); err != nil {
			problems = append(problems, fmt.Errorf("%s\n%w", document, err))
			continue
		}
		if len(object.Object) == 0 {
			continue
		}
		// An object may be there once more: as the hook that removes it.
		name := name(object) + object.GetAnnotations()["helm.sh/hook"]
		if seen[name] {
			problems = append(problems, fmt.Errorf("%s occurs twice", name))
		}
		seen[name] = true
		if object.GroupVersionKind().Group == "fairlead.dev" || strings.HasPrefix(object.GetAPIVersion(), "gateway.") {
			set.custom = append(set.custom, object)
			continue
		}
		decoded, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
			continue
		}
		if object.GetKind() != "CustomResourceDefinition" {
			set.typed = append(set.typed, decoded)
			continue
		}
		types.Default(decoded)
		internal := &apiextensions.CustomResourceDefinition{}
		if err := types.Convert(decoded, internal, nil); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
			continue
		}
		set.definitions = append(set.definitions, internal)
	}
	return set, errors.Join(problems...)
}

// of is all objects of one type.
func of[T any](set *Set) []T {
	var found []T
	for _, object := range set.typed {
		if object, ok := object.(T); ok {
			found = append(found, object)
		}
	}
	return found
}

func name(object *unstructured.Unstructured) string {
	return strings.TrimPrefix(fmt.Sprintf("%s %s/%s", object.GetKind(), object.GetNamespace(), object.GetName()), "/")
}

func split(text []byte) [][]byte {
	reader := documents.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	var found [][]byte
	for {
		document, err := reader.Read()
		if err != nil {
			return found
		}
		found = append(found, document)
	}
}

// copyOnly copies CRDs, or what is no CRD, or everything.
func copyOnly(which string, from io.Reader, to io.Writer) error {
	text, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	for _, document := range split(text) {
		var head struct{ Kind string }
		if err := yaml.Unmarshal(document, &head); err != nil {
			return err
		}
		definition := head.Kind == "CustomResourceDefinition"
		if head.Kind == "" || which != "all" && definition != (which == "crds") {
			continue
		}
		if _, err := fmt.Fprintf(to, "---\n%s", strings.TrimPrefix(string(document), "---\n")); err != nil {
			return err
		}
	}
	return nil
}
