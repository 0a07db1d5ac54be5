//! The core kinds we read, and the defaults that an API server gives them.
//!
//! They have no CRD, so the few defaults that matter to a gateway are written down here
//! (`pkg/apis/core/v1/defaults.go` in Kubernetes). Of each kind only what somebody here reads is kept: the rest is dropped when an object
//! is read.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use k8s_openapi::ByteString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Kind;
use crate::gateway::macros::{kind, open_enum};
use crate::meta::ObjectMeta;

/// Objects live in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespace {
    /// Standard metadata.
    pub metadata: ObjectMeta,
}

/// Something with a secret in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Secret {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// By key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<BTreeMap<String, ByteString>>,
    /// Such as `kubernetes.io/tls`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<Box<str>>,
}

/// Texts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigMap {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// By key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<BTreeMap<String, String>>,
}

/// What pods offer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: ServiceSpec,
    /// What was observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Box<ServiceStatus>>,
}

/// See [`Service`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// `ClusterIP` when absent.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<Box<str>>,
    /// Where a Service of type `ExternalName` leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_name: Option<Box<str>>,
    /// Its ports.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub ports: Box<[ServicePort]>,
    /// `IPv4`, `IPv6`; the first is preferred.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub ip_families: Box<[Box<str>]>,
    /// The first of `cluster_ips`; `None` for headless Services.
    #[serde(rename = "clusterIP", skip_serializing_if = "Option::is_none")]
    pub cluster_ip: Option<Box<str>>,
    /// The cluster's own addresses.
    #[serde(rename = "clusterIPs", skip_serializing_if = "<[_]>::is_empty")]
    pub cluster_ips: Box<[Box<str>]>,
    /// Addresses that nodes take for it.
    #[serde(rename = "externalIPs", skip_serializing_if = "<[_]>::is_empty")]
    pub external_ips: Box<[Box<str>]>,
}

/// A port of a [`Service`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// By which slices name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// 1 to 65535.
    pub port: i32,
    /// `TCP` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Box<str>>,
    /// What is spoken (KEP-3726).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<Box<str>>,
}

/// See [`Service`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// What a load balancer gave it.
    pub load_balancer: LoadBalancerStatus,
}

/// See [`ServiceStatus`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadBalancerStatus {
    /// Where it can be reached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<LoadBalancerIngress>,
}

/// An address of a load balancer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadBalancerIngress {
    /// An IP address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<Box<str>>,
    /// Or a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Box<str>>,
}

/// Where the pods of a [`Service`] are, or some of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndpointSlice {
    /// Standard metadata.
    pub metadata: ObjectMeta,
    /// What its addresses are.
    pub address_type: AddressType,
    /// Pods, mostly.
    pub endpoints: Box<[Endpoint]>,
    /// On which each of them listens.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub ports: Box<[EndpointPort]>,
}

open_enum! {
    /// What the addresses of an [`EndpointSlice`] are.
    pub enum AddressType {
        /// IPv4 addresses.
        Ipv4 = "IPv4",
        /// IPv6 addresses.
        Ipv6 = "IPv6",
        /// Names.
        Fqdn = "FQDN",
    }
}

/// One of an [`EndpointSlice`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Endpoint {
    /// All of the same.
    pub addresses: Box<[Box<str>]>,
    /// How it is.
    pub conditions: EndpointConditions,
    /// Topology zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<Box<str>>,
}

/// How an [`Endpoint`] is; `None` is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointConditions {
    /// It may get traffic; unknown counts as ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// As `ready`, whether it terminates or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<bool>,
    /// It is on its way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminating: Option<bool>,
}

/// A port of an [`EndpointSlice`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointPort {
    /// As the Service's port is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// 1 to 65535.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
}

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
