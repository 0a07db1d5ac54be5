//! Tracing: which requests get spans, what the spans say, and where they go (GEP-4768).

use crate::{Fraction, HeaderValue, Id};
use serde::{Deserialize, Serialize};

/// How the requests of a listener are traced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tracing {
    /// Id of the [`crate::Cluster`] that takes the spans.
    pub cluster: Id,
    /// How they are sent.
    pub protocol: Otlp,
    /// `:authority` or `Host` of the export requests.
    pub authority: Box<str>,
    /// Added to the export requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderValue>,
    /// `service.name` of the resource.
    pub service_name: Box<str>,
    /// Name of the server spans; `None`: method and matched path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_name: Option<Box<str>>,
    /// Share of the new traces that are recorded.
    pub rate: Fraction,
    /// Share of the traces begun and recorded by the client that are recorded here too; what the client does not record is
    /// not recorded then. `None`: what the client does makes no difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_rate: Option<Fraction>,
    /// Added to every span.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<SpanAttribute>,
}

/// How spans are sent (OTLP 1.x).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Otlp {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP with binary protobuf.
    Http,
}

/// An attribute of spans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpanAttribute {
    /// Its key in the span.
    pub name: Box<str>,
    /// Where its value comes from.
    pub source: SpanSource,
}

/// Where an attribute's value comes from. What has no value is left out of the span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SpanSource {
    /// A field of the request as it came, or else of the response. The name is lower-case.
    Header(Box<str>),
    /// Always the same.
    Literal(Box<str>),
    /// What [`is_span_fact`] takes.
    Fact(Box<str>),
}

/// The attributes of OpenTelemetry's semantic conventions that a proxy knows of a request: GEP-5253's dictionary, without
/// `url.fragment`, which clients don't send. Two more have the name of a field behind them: [`FACT_PREFIXES`].
pub const FACTS: &[&str] = &[
    "http.request.method",
    "http.request.method_original",
    "http.response.status_code",
    "http.route",
    "user_agent.original",
    "error.type",
    "url.scheme",
    "url.path",
    "url.query",
    "url.full",
    "client.address",
    "client.port",
    "server.address",
    "server.port",
    "network.peer.address",
    "network.peer.port",
    "network.protocol.name",
    "network.protocol.version",
    "network.transport",
    "network.type",
];

/// Followed by the name of a field, lower-case: all its values.
pub const FACT_PREFIXES: &[&str] = &["http.request.header.", "http.response.header."];

/// Whether a [`SpanSource::Fact`] can have this key.
pub fn is_span_fact(key: &str) -> bool {
    FACTS.contains(&key)
        || FACT_PREFIXES.iter().any(|prefix| key.strip_prefix(prefix).is_some_and(|name| !name.is_empty()))
}
