//! Written by `fairlead-crds-generate`; do not edit.

use super::prelude::*;

open_enum! {
    pub enum BackendProtocol {
        Mcp = "MCP",
        Tcp = "TCP",
        Http = "HTTP",
        Http2 = "HTTP2",
        Http11 = "HTTP11",
        H2C = "H2C",
        Grpc = "GRPC",
        Wss = "WSS",
    }
}

open_enum! {
    pub enum BackendTLSMode {
        None = "None",
        ServerOnly = "ServerOnly",
        ClientAndServer = "ClientAndServer",
    }
}

open_enum! {
    pub enum BackendType {
        ExternalHostname = "ExternalHostname",
        EndpointSelector = "EndpointSelector",
    }
}

/// The same shape as [`LabelSelector`].
pub type EndpointSelectorBackend = LabelSelector;

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendAncestorStatus {
    pub ancestor_ref: ParentReference,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<meta::Condition>,
    pub controller_name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendPort {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i32>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_selector: Option<EndpointSelectorBackend>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_hostname: Option<ExternalHostnameBackend>,
    pub port: BackendPort,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<BackendProtocol>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_persistence: Option<SessionPersistence>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<BackendTLS>,
    #[serde(rename = "type")]
    pub type_: BackendType,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendStatus {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<BackendAncestorStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTLS {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_ref: Option<SecretObjectReference>,
    pub mode: BackendTLSMode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<BackendTLSPolicyValidation>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalHostnameBackend {
    pub hostname: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct XBackend {
    #[serde(default)]
    pub metadata: meta::ObjectMeta,
    pub spec: BackendSpec,
    #[serde(default)]
    pub status: Option<BackendStatus>,
}

kind! { XBackend, "gateway.networking.x-k8s.io", "v1alpha1", "xbackends", Namespace, status }
