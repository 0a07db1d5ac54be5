//! Written by `fairlead-crds-generate`; do not edit.

use super::prelude::*;

/// The same shape as [`RouteStatus`].
pub type UDPRouteStatus = RouteStatus;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UDPRoute {
    #[serde(default)]
    pub metadata: meta::ObjectMeta,
    pub spec: UDPRouteSpec,
    #[serde(default)]
    pub status: Option<UDPRouteStatus>,
}

kind! { UDPRoute, "gateway.networking.k8s.io", "v1", "udproutes", Namespace, status }

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UDPRouteRule {
    #[serde(default)]
    pub backend_refs: Vec<BackendRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UDPRouteSpec {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    #[serde(default)]
    pub rules: Vec<UDPRouteRule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<GatewayDefaultScope>,
}
