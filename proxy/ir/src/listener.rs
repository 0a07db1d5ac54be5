//! Listeners: a socket address, and what of it a Gateway's listener takes.

use crate::{Filter, Id, Millis, Tracing};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;

/// One listener of a Gateway or ListenerSet. Several may share a [`Bind`]; they are told apart by host name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// `gateway/<namespace>/<name>/<section>` or `listenerset/<namespace>/<name>/<section>`.
    pub id: Id,
    /// `<namespace>/<name>` of the Gateway, for metrics and logs.
    pub gateway: Id,
    /// Where it listens.
    pub bind: Bind,
    /// What it speaks.
    pub protocol: ListenerProtocol,
    /// Lower-case; `*.example.com` for a wildcard (any number of labels); `None` takes every host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Box<str>>,
    /// For HTTPS and terminated TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// Limits and timers of HTTP.
    #[serde(default)]
    pub http: HttpSettings,
    /// Of HTTP and HTTPS: what requests pass before they are routed (GEP-5224).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<ListenerFilters>,
}

/// What requests pass before they are routed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ListenerFilters {
    /// In the order in which they run. None of them changes the host.
    Run(Vec<Filter>),
    /// A reference in a filter does not resolve: every request gets a 500, with the reason for the log.
    Broken(Box<str>),
}

/// An address and port to listen on. The port is that of the Gateway's listener, before `--port-map`. TCP and UDP have ports of
/// their own: the same number is two binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bind {
    /// `None`: all addresses of the machine, IPv6 and IPv4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// 1 to 65535.
    pub port: u16,
    /// What kind of socket.
    #[serde(default, skip_serializing_if = "Transport::is_tcp")]
    pub transport: Transport,
}

/// The kind of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Transport {
    /// TCP, for everything that is not UDP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Bind {
    /// A TCP socket.
    pub const fn tcp(address: Option<IpAddr>, port: u16) -> Bind {
        Bind { address, port, transport: Transport::Tcp }
    }

    /// A UDP socket.
    pub const fn udp(address: Option<IpAddr>, port: u16) -> Bind {
        Bind { address, port, transport: Transport::Udp }
    }
}

impl Transport {
    fn is_tcp(&self) -> bool {
        *self == Transport::Tcp
    }
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ListenerProtocol {
    /// Plain HTTP/1.x and prior-knowledge h2c.
    Http,
    /// HTTP over TLS; HTTP/2 by ALPN.
    Https,
    /// TLS, passed through or terminated (TLSRoute).
    Tls,
    /// Plain TCP (TCPRoute).
    Tcp,
    /// UDP (UDPRoute).
    Udp,
}

impl ListenerProtocol {
    /// The kind of its sockets.
    pub fn transport(self) -> Transport {
        if self == ListenerProtocol::Udp { Transport::Udp } else { Transport::Tcp }
    }

    /// Whether its connections are only passed on, and nothing of HTTP is known of them.
    pub fn is_l4(self) -> bool {
        matches!(self, ListenerProtocol::Tls | ListenerProtocol::Tcp | ListenerProtocol::Udp)
    }
}

/// The server side of TLS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTls {
    /// Ids of key-pair [`crate::Secret`]s; the first is the default, the others are chosen by SNI. Empty: pass through.
    pub certificates: Vec<Id>,
    /// Validation of client certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_validation: Option<ClientValidation>,
    /// Answer 421 when the request's host belongs to another listener than the connection's SNI (GEP-3567).
    #[serde(default)]
    pub detect_misdirected: bool,
}

/// Validation of client certificates (GEP-91).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientValidation {
    /// Ids of CA [`crate::Secret`]s.
    pub cas: Vec<Id>,
    /// What happens to a client without a valid certificate.
    pub mode: ClientValidationMode,
}

/// What happens to a client without a valid certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClientValidationMode {
    /// The handshake fails.
    AllowValidOnly,
    /// The connection goes on.
    AllowInsecureFallback,
}

/// Limits, timers and tracing of HTTP on a listener. A zero timer means none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpSettings {
    /// From the first byte of a request to the end of its head. Envoy's `request_headers_timeout`. 10 s.
    pub header_timeout: Millis,
    /// A connection without a request is closed after this time. 1 h as Envoy's, 5 min here: an edge default.
    pub idle_timeout: Millis,
    /// A request or response body that makes no progress for this time is given up. Envoy's `stream_idle_timeout`, 5 min.
    pub stream_idle_timeout: Millis,
    /// Bytes of a request head, request line included: 60 KiB as Envoy.
    pub max_head_bytes: u32,
    /// Number of header fields: 100 as Envoy.
    pub max_headers: u16,
    /// Streams that one HTTP/2 connection may have open: 100 as Envoy's edge profile.
    pub max_concurrent_streams: u32,
    /// Addresses that the client may have claimed in `x-forwarded-for`, counted from the right, that are trusted. 0.
    pub xff_trusted_hops: u8,
    /// What `%2F` and `%5C` in paths mean.
    pub escaped_slashes: EscapedSlashes,
    /// What becomes of requests with `_` in a field's name.
    pub underscores: Underscores,
    /// Spans of its requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracing: Option<Arc<Tracing>>,
}

/// What escaped slashes and backslashes (`%2F`, `%5C`) in a path mean. Envoy's `path_with_escaped_slashes_action`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EscapedSlashes {
    /// 400: backends may read such a path differently than routes do.
    #[default]
    Reject,
    /// Data, as RFC 3986 §2.2 has it: object stores and APIs that take paths as parameters want this.
    Keep,
    /// A slash; the path that was meant is matched and forwarded.
    Unescape,
    /// A slash; the client is told (307) to ask for the path that was meant.
    Redirect,
}

/// What becomes of requests with an underscore in a field's name, which CGI-like backends take for `-`. Envoy's
/// `headers_with_underscores_action`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Underscores {
    /// 400, but for gRPC, whose metadata may have them.
    #[default]
    RejectUnlessGrpc,
    /// 400.
    Reject,
    /// The field is dropped.
    Drop,
    /// They pass.
    Allow,
}

impl Default for HttpSettings {
    fn default() -> Self {
        HttpSettings {
            header_timeout: Millis(10_000),
            idle_timeout: Millis(300_000),
            stream_idle_timeout: Millis(300_000),
            max_head_bytes: 60 * 1024,
            max_headers: 100,
            max_concurrent_streams: 100,
            xff_trusted_hops: 0,
            escaped_slashes: EscapedSlashes::default(),
            underscores: Underscores::default(),
            tracing: None,
        }
    }
}
