//! Clusters: a backend, how to speak to it, and where it is.

use crate::{Id, Millis};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;

/// A backend and how to speak to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// `service/<namespace>/<name>/<port>`, with a suffix where settings (protocol, TLS) make several of one Service: `~h2`, `~tcp`, `~udp`.
    pub id: Id,
    /// What to speak.
    pub protocol: Protocol,
    /// With TLS when present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClusterTls>,
    /// Where it is.
    pub discovery: Discovery,
    /// How endpoints are chosen.
    #[serde(default)]
    pub load_balancing: LoadBalancing,
    /// TCP and TLS handshake together; 5 s as Envoy.
    pub connect_timeout: Millis,
    /// An idle pooled connection is closed after this time; 60 s. Shorter than what servers use, so that they don't race.
    pub idle_timeout: Millis,
    /// How much of its traffic may be retries; `None`: no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_budget: Option<RetryBudget>,
}

/// How much of a cluster's traffic may be retries (GEP-3388): a share of the requests of late, and never less than a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryBudget {
    /// Of all requests, retries included, at most this share may be retries; 0 to 100.
    pub percent: u8,
    /// How far back requests count; 1 s to 1 h.
    pub interval: Millis,
    /// So many retries are allowed in any case …
    pub min_retries: u32,
    /// … in each such time; 1 s to 1 h.
    pub min_interval: Millis,
}

/// What to speak to a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Protocol {
    /// HTTP/1.1; with TLS, ALPN offers `http/1.1` only. WebSocket upgrades always go this way.
    #[default]
    Http1,
    /// HTTP/2: prior knowledge (`kubernetes.io/h2c`), or ALPN `h2` over TLS. gRPC routes always go this way.
    Http2,
    /// Whatever the client speaks, byte by byte, on a connection of its own; with TLS, without ALPN.
    Tcp,
    /// Datagrams.
    Udp,
}

/// Where the endpoints of a cluster come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Discovery {
    /// From the [`Endpoints`] of this id; absent or empty means 503.
    Endpoints(Id),
    /// From DNS, refreshed at the TTL (at least 1 s, at most 30 s); all addresses are endpoints.
    Dns {
        /// Host name.
        host: Box<str>,
        /// Port.
        port: u16,
    },
}

/// The addresses behind a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// Named by [`Discovery::Endpoints`].
    pub id: Id,
    /// Only those that may get traffic (ready, or serving while all are terminating).
    pub endpoints: Vec<Endpoint>,
}

/// One address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Where.
    pub address: Address,
    /// Relative share; 1 and more.
    pub weight: u32,
    /// Topology zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Box<str>>,
}

/// Where an endpoint listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Address {
    /// TCP, or UDP for a cluster of [`Protocol::Udp`].
    Ip(SocketAddr),
    /// A host name, resolved like [`Discovery::Dns`] (one of several endpoints of a `Backend`).
    Dns {
        /// Host name.
        host: Box<str>,
        /// Port.
        port: u16,
    },
    /// Path of a unix socket.
    Unix(Box<str>),
}

/// How endpoints are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LoadBalancing {
    /// Weighted round robin.
    RoundRobin,
    /// Least requests of two random choices: Envoy Gateway's default.
    #[default]
    LeastRequest,
    /// Weighted random.
    Random,
}

/// The client side of TLS (BackendTLSPolicy).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterTls {
    /// SNI, and the name to verify unless there are `sans`.
    pub hostname: Box<str>,
    /// Who may have signed the certificate.
    pub ca: CaSource,
    /// When not empty, the certificate must have one of them, and `hostname` is for SNI only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sans: Vec<SubjectAltName>,
    /// Id of a key-pair [`Secret`] to present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<Id>,
}

/// Who may have signed a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CaSource {
    /// The system's roots.
    System,
    /// Ids of CA [`Secret`]s.
    Secrets(Vec<Id>),
    /// Nobody is asked: `https` as appProtocol without a policy.
    Insecure,
}

/// A subject alternative name that a certificate must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SubjectAltName {
    /// DNS name, exact or `*.example.com`.
    Dns(Box<str>),
    /// URI, for example a SPIFFE id.
    Uri(Box<str>),
}

/// PEM material. Its `Debug` shows no key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// `secret/<namespace>/<name>` or `configmap/<namespace>/<name>`.
    pub id: Id,
    /// Certificate chain of a key pair, leaf first; or the CA bundle. PEM.
    pub certificates: Box<str>,
    /// Private key in PEM; `None` for a CA bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Box<str>>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_ref().map(|_| "[redacted]");
        f.debug_struct("Secret")
            .field("id", &self.id)
            .field("certificates", &self.certificates.len())
            .field("key", &key)
            .finish()
    }
}
