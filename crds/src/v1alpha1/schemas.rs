//! JSON schemas of our kinds, and of the foreign types that they use.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::{BackendSpec, ProxyClassSpec, RouteFilterSpec, Status};

/// What a CRD says about one of our kinds.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Its kind.
    pub kind: crate::Kind,
    /// Singular name and short names.
    pub names: (&'static str, &'static [&'static str]),
    /// What the kind is for.
    pub description: &'static str,
    /// The schema of `spec`.
    pub spec: Value,
    /// The schema of `status`.
    pub status: Value,
}

/// All our kinds.
pub fn all() -> Vec<Definition> {
    vec![
        Definition {
            kind: crate::Kind::Backend,
            names: ("backend", &["be"]),
            description: "A backend that is not a Service: IP addresses, host names, unix sockets.",
            spec: schema_of::<BackendSpec>(),
            status: schema_of::<Status>(),
        },
        Definition {
            kind: crate::Kind::RouteFilter,
            names: ("routefilter", &["rf"]),
            description: "A filter that the Gateway API does not have; routes name it in an ExtensionRef.",
            spec: schema_of::<RouteFilterSpec>(),
            status: schema_of::<Status>(),
        },
        Definition {
            kind: crate::Kind::ProxyClass,
            names: ("proxyclass", &["pc"]),
            description: "How the proxies of a Gateway run in a cluster.",
            spec: schema_of::<ProxyClassSpec>(),
            status: schema_of::<Status>(),
        },
    ]
}

fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Conditions, as upstream limits them (`metav1.Condition`).
pub(super) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 8,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "lastTransitionTime": {
                    "type": "string",
                    "format": "date-time",
                    "description": "When the condition last changed its status.",
                },
                "message": {
                    "type": "string",
                    "maxLength": 32768,
                    "description": "Details for people.",
                },
                "observedGeneration": {
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                    "description": "The generation that the condition is about.",
                },
                "reason": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                    "description": "Why, in one word.",
                },
                "status": {
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                    "description": "Whether it holds.",
                },
                "type": {
                    "type": "string",
                    "maxLength": 316,
                    "pattern": CONDITION_TYPE,
                    "description": "What the condition is about.",
                },
            },
        },
    })
}

/// A reference to a ConfigMap in the same namespace.
pub(super) fn config_map_reference(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["group", "kind", "name"],
        "properties": {
            "group": { "type": "string", "enum": [""], "description": "The core group." },
            "kind": { "type": "string", "enum": ["ConfigMap"], "description": "ConfigMap." },
            "name": {
                "type": "string",
                "minLength": 1,
                "maxLength": 253,
                "description": "The ConfigMap's name.",
            },
        },
    })
}

const CONDITION_TYPE: &str = concat!(
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?",
    r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
);
