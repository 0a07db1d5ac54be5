//! Written by `fairlead-crds-generate`; do not edit.

use super::prelude::*;

/// The same shape as [`RouteStatus`].
pub type TLSRouteStatus = RouteStatus;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TLSRoute {
    #[serde(default)]
    pub metadata: meta::ObjectMeta,
    pub spec: TLSRouteSpec,
    #[serde(default)]
    pub status: Option<TLSRouteStatus>,
}

kind! { TLSRoute, "gateway.networking.k8s.io", "v1", "tlsroutes", Namespace, status }

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TLSRouteRule {
    #[serde(default)]
    pub backend_refs: Vec<BackendRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TLSRouteSpec {
    #[serde(default)]
    pub hostnames: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parent_refs: Vec<ParentReference>,
    #[serde(default)]
    pub rules: Vec<TLSRouteRule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_default_gateways: Option<GatewayDefaultScope>,
}
