//! The structural schemas of our CRDs, compiled once per kind and version.
//!
//! The files under `schemas/` are CRDs without prose, written by `crds/generate`. They give the defaults that parsing
//! fills, the rules that [`validate`](mod@crate::validate) checks, and what is experimental.

mod defaults;
mod load;
mod node;

use std::sync::OnceLock;

pub use node::{Additional, Bounds, ListType, Node, Rule, Type};

use crate::Kind;

/// A CRD: its versions with their schemas, and what only the experimental channel has.
#[derive(Debug)]
pub struct Crd {
    /// The versions the CRD has, in its order.
    pub versions: Vec<Version>,
    /// Versions that only the experimental channel serves.
    pub experimental_versions: Vec<String>,
    /// Paths of fields that only the experimental channel has, such as `spec.rules[].sessionPersistence`.
    pub experimental_fields: Vec<String>,
}

/// One version of a CRD.
#[derive(Debug)]
pub struct Version {
    /// Such as `v1`.
    pub name: String,
    /// Whether an API server serves it.
    pub served: bool,
    /// Whether it is the stored version.
    pub stored: bool,
    /// Whether its users should move to another version.
    pub deprecated: bool,
    schema: Schema,
}

/// A version's schema, which may be that of another version.
#[derive(Debug)]
enum Schema {
    Own(Box<Node>),
    SameAs(String),
}

impl Crd {
    /// The schema of `version`; that of the stored version when there is none of that name.
    pub fn schema(&self, version: Option<&str>) -> Option<&Node> {
        let named = version.and_then(|name| self.version(name));
        let version = named.or_else(|| self.versions.iter().find(|version| version.stored))?;
        match &version.schema {
            Schema::Own(node) => Some(node),
            Schema::SameAs(other) => match &self.version(other)?.schema {
                Schema::Own(node) => Some(node),
                Schema::SameAs(_) => None,
            },
        }
    }

    /// A version by its name.
    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == name)
    }
}

/// The CRD of a kind; none for the core kinds.
pub fn crd(kind: Kind) -> Option<&'static Crd> {
    static CRDS: [OnceLock<Option<Crd>>; Kind::ALL.len()] = [const { OnceLock::new() }; Kind::ALL.len()];
    CRDS[kind as usize].get_or_init(|| source(kind).and_then(load::crd)).as_ref()
}

/// The schema of a kind in a version (see [`Crd::schema`]).
pub fn of(kind: Kind, version: Option<&str>) -> Option<&'static Node> {
    crd(kind)?.schema(version)
}

/// The text of the CRD, as checked in.
pub fn source(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Namespace
        | Kind::Service
        | Kind::EndpointSlice
        | Kind::Secret
        | Kind::ConfigMap
        | Kind::ClusterTrustBundle => {
            return None;
        }
        Kind::GatewayClass => include_str!("../../schemas/gatewayclasses.json"),
        Kind::Gateway => include_str!("../../schemas/gateways.json"),
        Kind::ListenerSet => include_str!("../../schemas/listenersets.json"),
        Kind::HTTPRoute => include_str!("../../schemas/httproutes.json"),
        Kind::GRPCRoute => include_str!("../../schemas/grpcroutes.json"),
        Kind::TLSRoute => include_str!("../../schemas/tlsroutes.json"),
        Kind::TCPRoute => include_str!("../../schemas/tcproutes.json"),
        Kind::UDPRoute => include_str!("../../schemas/udproutes.json"),
        Kind::ReferenceGrant => include_str!("../../schemas/referencegrants.json"),
        Kind::BackendTLSPolicy => include_str!("../../schemas/backendtlspolicies.json"),
        Kind::XBackend => include_str!("../../schemas/xbackends.json"),
        Kind::XBackendTrafficPolicy => include_str!("../../schemas/xbackendtrafficpolicies.json"),
        Kind::XMesh => include_str!("../../schemas/xmeshes.json"),
        Kind::XTelemetryPolicy => include_str!("../../schemas/xtelemetrypolicies.json"),
        Kind::Backend => include_str!("../../schemas/backends.json"),
        Kind::RouteFilter => include_str!("../../schemas/routefilters.json"),
        Kind::ProxyClass => include_str!("../../schemas/proxyclasses.json"),
    })
}

#[cfg(test)]
mod tests;
