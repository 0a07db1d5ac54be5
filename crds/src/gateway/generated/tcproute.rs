//! Written by `fairlead-crds-generate`; do not edit.

use super::prelude::*;

/// The same shape as [`RouteStatus`].
pub type TCPRouteStatus = RouteStatus;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TCPRoute {
    #[serde(default)]
    pub metadata: meta::ObjectMeta,
    pub spec: TCPRouteSpec,
    #[serde(default)]
    pub status: Option<TCPRouteStatus>,
}

kind! { TCPRoute, "gateway.networking.k8s.io", "v1", "tcproutes", Namespace, status }

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TCPRouteRule {
    #[serde(default)]
    pub backend_refs: Vec<BackendRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TCPRouteSpec {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    #[serde(default)]
    pub rules: Vec<TCPRouteRule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<GatewayDefaultScope>,
}
