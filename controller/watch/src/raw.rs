//! The JSON of an object → what we keep of it.
//!
//! It is read in one pass: what nobody needs is skipped without being stored, a status is kept as its text.

use std::fmt;
use std::sync::Arc;

use fairlead_crds::Kind;
use fairlead_store::Stored;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::follow::Item;

/// An object as it was sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Raw {
    pub uid: Box<str>,
    pub resource_version: Box<str>,
    /// All but `apiVersion`, `kind` and `status`.
    fields: Map<String, Value>,
    status: Option<Box<RawValue>>,
}

/// An object without what is of no use here.
#[derive(Debug)]
pub(crate) struct Slim {
    /// With `apiVersion` and `metadata`; for most kinds without `status`.
    pub value: Value,
    /// For kinds whose status is ours to write.
    pub stored: Option<Arc<Stored>>,
}

impl Item for Raw {
    fn version(&self) -> &str {
        &self.resource_version
    }
}

impl Raw {
    /// The object's name; empty when it has none, which no API server sends.
    pub fn name(&self) -> &str {
        self.metadata("name")
    }

    /// The object's namespace; empty for cluster-wide objects.
    pub fn namespace(&self) -> &str {
        self.metadata("namespace")
    }

    /// Drops what is of no use.
    pub fn slim(self, kind: Kind, api_version: &str) -> Slim {
        let Raw { uid, resource_version, mut fields, status } = self;
        fields.insert("apiVersion".to_owned(), api_version.into());
        let is_core = kind.is_core();
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            slim_metadata(kind, metadata);
            if !is_core {
                metadata.insert("uid".to_owned(), Value::String(uid.to_string()));
            }
        }
        if kind == Kind::EndpointSlice {
            for endpoint in fields.get_mut("endpoints").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(endpoint) = endpoint.as_object_mut() {
                    endpoint.remove("targetRef");
                }
            }
        }
        if kind == Kind::Service
            && let Some(status) = status.as_deref().and_then(addresses)
        {
            fields.insert("status".to_owned(), status);
        }
        let stored = match is_core {
            true => None,
            false => Some(Arc::new(Stored { uid, resource_version, status: status.map(Arc::from) })),
        };
        Slim { value: Value::Object(fields), stored }
    }

    fn metadata(&self, field: &str) -> &str {
        self.fields.get("metadata").and_then(|metadata| metadata[field].as_str()).unwrap_or_default()
    }
}

/// Of a Service's status, the addresses that a load balancer gave it.
fn addresses(status: &RawValue) -> Option<Value> {
    let mut status: Value = serde_json::from_str(status.get()).ok()?;
    let balancer = status.get_mut("loadBalancer")?.take();
    let has_any = balancer.as_object().is_some_and(|balancer| !balancer.is_empty());
    has_any.then(|| serde_json::json!({ "loadBalancer": balancer }))
}

fn slim_metadata(kind: Kind, metadata: &mut Map<String, Value>) {
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        if kind == Kind::EndpointSlice {
            annotations.clear();
        }
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    // The status of Kubernetes' own kinds is others' to write.
    if kind.is_core() {
        metadata.remove("creationTimestamp");
        metadata.remove("generation");
    }
    if kind == Kind::EndpointSlice
        && let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut)
    {
        labels.retain(|name, _| name == "kubernetes.io/service-name");
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut raw = Raw::default();
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "apiVersion" | "kind" => {
                            map.next_value::<IgnoredAny>()?;
                        }
                        "status" => raw.status = map.next_value::<Option<Box<RawValue>>>()?,
                        "metadata" => {
                            let metadata: Metadata = map.next_value()?;
                            raw.uid = metadata.uid;
                            raw.resource_version = metadata.resource_version;
                            raw.fields.insert(name, Value::Object(metadata.fields));
                        }
                        _ => {
                            let value = map.next_value()?;
                            raw.fields.insert(name, value);
                        }
                    }
                }
                Ok(raw)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[derive(Default)]
struct Metadata {
    uid: Box<str>,
    resource_version: Box<str>,
    fields: Map<String, Value>,
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Metadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("metadata")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
                let mut metadata = Metadata::default();
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "uid" => metadata.uid = map.next_value()?,
                        "resourceVersion" => metadata.resource_version = map.next_value()?,
                        // Of no meaning to planning, and often the larger part of an object.
                        "managedFields" | "ownerReferences" | "finalizers" | "generateName" | "selfLink" => {
                            map.next_value::<IgnoredAny>()?;
                        }
                        _ => {
                            let value = map.next_value()?;
                            metadata.fields.insert(name, value);
                        }
                    }
                }
                Ok(metadata)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests;
