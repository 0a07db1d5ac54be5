//! `Backend`.

use serde::{Deserialize, Serialize};

use crate::gateway::macros::open_enum;

/// What a `Backend` says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BackendSpec {
    /// Where requests go. All of them get the same share.
    #[cfg_attr(
        feature = "schema",
        schemars(
            length(min = 1, max = 64),
            extend("x-kubernetes-list-type" = "atomic")
        )
    )]
    pub endpoints: Vec<BackendEndpoint>,
    /// The protocols that the endpoints speak. Without any: HTTP/1.1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(
        feature = "schema",
        schemars(length(max = 16), extend("x-kubernetes-list-type" = "set"))
    )]
    pub app_protocols: Vec<AppProtocol>,
}

/// One endpoint: exactly one of `ip`, `fqdn` and `unix`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(extend("x-kubernetes-validations" = [{
        "rule": "(has(self.fqdn) ? 1 : 0) + (has(self.ip) ? 1 : 0) + (has(self.unix) ? 1 : 0) == 1",
        "message": "exactly one of fqdn, ip or unix must be set",
    }]))
)]
#[serde(rename_all = "camelCase")]
pub struct BackendEndpoint {
    /// The host name that TLS (SNI) and host rewrites use for this endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253), regex(pattern = HOSTNAME)))]
    pub hostname: Option<String>,
    /// An IP address and a port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpEndpoint>,
    /// A host name, resolved with DNS, and a port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fqdn: Option<FqdnEndpoint>,
    /// A unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unix: Option<UnixSocket>,
    /// The zone that the endpoint is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253)))]
    pub zone: Option<String>,
}

/// An IP address and a port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct IpEndpoint {
    /// An IPv4 or IPv6 address.
    #[cfg_attr(
        feature = "schema",
        schemars(
            length(min = 1, max = 45),
            extend("x-kubernetes-validations" = [{
                "rule": "isIP(self)",
                "message": "must be an IPv4 or IPv6 address",
            }]),
        )
    )]
    pub address: String,
    /// The port.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65535)))]
    pub port: i32,
}

/// A host name and a port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FqdnEndpoint {
    /// The host name.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253), regex(pattern = HOSTNAME)))]
    pub hostname: String,
    /// The port.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65535)))]
    pub port: i32,
}

/// A unix socket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct UnixSocket {
    /// The absolute path of the socket, on the machine of the proxy; 107 bytes at most (`sun_path`).
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 107), regex(pattern = "^/")))]
    pub path: String,
}

open_enum! {
    /// A protocol that a backend speaks.
    pub enum AppProtocol {
        /// HTTP/2 without TLS.
        H2c = "kubernetes.io/h2c",
        /// WebSocket.
        Ws = "kubernetes.io/ws",
        /// WebSocket over TLS.
        Wss = "kubernetes.io/wss",
        /// HTTP/2 without TLS, in Envoy Gateway's spelling.
        EnvoyH2c = "gateway.envoyproxy.io/h2c",
        /// WebSocket, in Envoy Gateway's spelling.
        EnvoyWs = "gateway.envoyproxy.io/ws",
        /// WebSocket over TLS, in Envoy Gateway's spelling.
        EnvoyWss = "gateway.envoyproxy.io/wss",
    }
}

impl AppProtocol {
    /// Whether this is HTTP/2 without TLS.
    pub fn is_h2c(&self) -> bool {
        matches!(self, Self::H2c | Self::EnvoyH2c)
    }
}

/// RFC 1123, as upstream writes it for `PreciseHostname`.
#[cfg(feature = "schema")]
const HOSTNAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
