//! Our own kinds, `fairlead.dev/v1alpha1`, with the field names that Envoy Gateway's users know.
//!
//! Doc comments here are what `kubectl explain` prints. With the feature `schema` each type knows its JSON schema, from
//! which `crds/generate` writes `yaml/*.yaml` and `schemas/*.json`.

use serde::{Deserialize, Serialize};

mod backend;
#[cfg(feature = "schema")]
mod pod_schemas;
mod proxy_class;
mod route_filter;
#[cfg(feature = "schema")]
pub mod schemas;

pub use backend::*;
pub use proxy_class::*;
pub use route_filter::*;

use crate::gateway::macros::kind;
use crate::meta::{Condition, ObjectMeta};

/// The group of our own kinds.
pub const GROUP: &str = "fairlead.dev";

/// A backend that is not a Service: IP addresses, host names, unix sockets.
///
/// Routes reach it with a backendRef of group `fairlead.dev`, kind `Backend`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// Standard metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: BackendSpec,
    /// What was observed.
    #[serde(default)]
    pub status: Option<Status>,
}

/// A filter that the Gateway API does not have.
///
/// HTTPRoute rules reach it with a filter of type `ExtensionRef`, group `fairlead.dev`, kind `RouteFilter`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteFilter {
    /// Standard metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: RouteFilterSpec,
    /// What was observed.
    #[serde(default)]
    pub status: Option<Status>,
}

/// How the proxies of a Gateway run in a cluster.
///
/// A GatewayClass names it in `parametersRef`, a Gateway in `infrastructure.parametersRef`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxyClass {
    /// Standard metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What is wanted.
    #[serde(default)]
    pub spec: ProxyClassSpec,
    /// What was observed.
    #[serde(default)]
    pub status: Option<Status>,
}

kind! { Backend, "fairlead.dev", "v1alpha1", "backends", Namespace, status }
kind! { RouteFilter, "fairlead.dev", "v1alpha1", "routefilters", Namespace, status }
kind! { ProxyClass, "fairlead.dev", "v1alpha1", "proxyclasses", Namespace, status }

/// What was observed about an object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// `Accepted`: whether the object is valid.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(schema_with = "schemas::conditions"))]
    pub conditions: Vec<Condition>,
}

#[cfg(test)]
mod tests;
