//! The core kinds we read, and the defaults that an API server gives them.
//!
//! They have no CRD, so the few defaults that matter to a gateway are written down here
//! (`pkg/apis/{core,discovery}/v1/defaults.go` in Kubernetes).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
pub use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
pub use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Kind;
use crate::gateway::macros::kind;

/// CA certificates for the whole cluster (`certificates.k8s.io`, KEP-3257). All its versions are alike, so there is one type.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct ClusterTrustBundle {
    /// Standard metadata. The name may have colons: `<signer>:<name>`, with the signer's `/` as a colon.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The certificates.
    #[serde(default)]
    pub spec: ClusterTrustBundleSpec,
}

/// See [`ClusterTrustBundle`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterTrustBundleSpec {
    /// Who signs with the keys of these CAs, such as `example.com/internal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer_name: Option<String>,
    /// CA certificates in PEM, in no order.
    pub trust_bundle: String,
}

kind! { ClusterTrustBundle, "certificates.k8s.io", "v1", "clustertrustbundles", Cluster }

/// Fills the defaults of a core kind; does nothing for others.
pub(crate) fn fill_defaults(kind: Kind, value: &mut Value) {
    drop_nulls(value);
    let Some(object) = value.as_object_mut() else {
        return;
    };
    match kind {
        Kind::Namespace => label_with_name(object),
        Kind::Service => service(object),
        Kind::EndpointSlice => ports(object.get_mut("ports"), |port| {
            port.entry("name").or_insert_with(|| json!(""));
        }),
        Kind::Secret => secret(object),
        _ => {}
    }
}

/// `kubernetes.io/metadata.name`, which every namespace carries and selectors rely on.
fn label_with_name(namespace: &mut Map<String, Value>) {
    let Some(metadata) = namespace.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    let Some(name) = metadata.get("name").cloned() else {
        return;
    };
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    if let Some(labels) = labels.as_object_mut() {
        labels.insert("kubernetes.io/metadata.name".to_owned(), name);
    }
}

fn service(service: &mut Map<String, Value>) {
    let Some(spec) = service.get_mut("spec").and_then(Value::as_object_mut) else {
        return;
    };
    spec.entry("type").or_insert_with(|| json!("ClusterIP"));
    spec.entry("sessionAffinity").or_insert_with(|| json!("None"));
    ports(spec.get_mut("ports"), |port| {
        if let Some(number) = port.get("port").cloned() {
            port.entry("targetPort").or_insert(number);
        }
    });
}

/// `stringData` is write-only: the API server moves it into `data`. Line breaks within base64 are allowed in manifests,
/// as Go's decoder skips them.
fn secret(secret: &mut Map<String, Value>) {
    secret.entry("type").or_insert_with(|| json!("Opaque"));
    for value in secret.get_mut("data").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        if let Value::String(text) = value {
            text.retain(|c| !matches!(c, '\n' | '\r'));
        }
    }
    let Some(Value::Object(texts)) = secret.remove("stringData") else {
        return;
    };
    let data = secret.entry("data").or_insert_with(|| json!({}));
    let Some(data) = data.as_object_mut() else {
        return;
    };
    for (key, text) in texts {
        if let Value::String(text) = text {
            data.insert(key, Value::String(BASE64.encode(text)));
        }
    }
}

/// Every port speaks TCP unless it says otherwise.
fn ports(ports: Option<&mut Value>, more: impl Fn(&mut Map<String, Value>)) {
    for port in ports.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            port.entry("protocol").or_insert_with(|| json!("TCP"));
            more(port);
        }
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
