//! The CRDs of our own kinds, from the schemas that their Rust types have.

use anyhow::Result;
use fairlead_crds::Scope;
use fairlead_crds::v1alpha1::schemas::Definition;
use serde_json::{Value, json};

/// The whole CRD.
pub fn crd(definition: &Definition) -> Value {
    let kind = definition.kind;
    let (singular, short) = definition.names;
    let scope = if kind.scope() == Scope::Namespaced { "Namespaced" } else { "Cluster" };
    let mut spec = definition.spec.clone();
    let mut status = definition.status.clone();
    structural(&mut spec);
    structural(&mut status);
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{}.{}", kind.plural(), kind.group()) },
        "spec": {
            "group": kind.group(),
            "names": {
                "categories": ["fairlead"],
                "kind": kind.as_str(),
                "listKind": format!("{kind}List"),
                "plural": kind.plural(),
                "shortNames": short,
                "singular": singular,
            },
            "scope": scope,
            "versions": [{
                "name": kind.version(),
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "additionalPrinterColumns": COLUMNS.map(|(name, type_, path)| json!({
                    "name": name,
                    "type": type_,
                    "jsonPath": path,
                })),
                "schema": { "openAPIV3Schema": {
                    "description": definition.description,
                    "type": "object",
                    "required": ["spec"],
                    "properties": {
                        "apiVersion": { "type": "string" },
                        "kind": { "type": "string" },
                        "metadata": { "type": "object" },
                        "spec": spec,
                        "status": status,
                    },
                } },
            }],
        },
    })
}

/// The CRD as a manifest.
pub fn yaml(crd: &Value) -> Result<String> {
    let body = serde_saphyr::to_string(crd)?;
    Ok(format!("# Written by `fairlead-crds-generate`; do not edit.\n{body}"))
}

const COLUMNS: [(&str, &str, &str); 2] = [
    ("Accepted", "string", r#".status.conditions[?(@.type=="Accepted")].status"#),
    ("Age", "date", ".metadata.creationTimestamp"),
];

/// What schemars says beyond or besides what a structural schema may say: titles, null as a second type or enum value of
/// optional fields, floats for integers' limits, unsigned formats.
fn structural(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    for key in ["title", "nullable", "default"] {
        fields.remove(key);
    }
    if let Some(Value::Array(types)) = fields.get("type")
        && let Some(first) = types.iter().find(|type_| *type_ != "null")
    {
        let first = first.clone();
        fields.insert("type".to_owned(), first);
    }
    if let Some(Value::Array(values)) = fields.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(values)) = fields.get_mut("required") {
        values.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    }
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(structural);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(key) {
            structural(inner);
        }
    }
}
