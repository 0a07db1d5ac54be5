//! The language between the two halves: small resources whose cardinality mirrors the user's API.
//!
//! `translate ──► Config ──(delta)──► Push ──► snapshot`
//!
//! Knows neither Kubernetes nor protobuf nor a socket: serde only. Children name their parent by id, so that a change of
//! one field in one object is a push of one resource. Every value is already checked and normalised by `translate`
//! (host names lower-case, paths absolute); what `snapshot` still can't compile it rejects one resource at a time.
#![warn(missing_docs)]

mod address;
mod cluster;
mod compact;
mod config;
mod filter;
mod listener;
mod route;
mod time;
mod tracing;

pub use address::is_local;
pub use cluster::{
    Address, CaSource, Cluster, ClusterTls, Discovery, Endpoint, Endpoints, LoadBalancing, Protocol, RetryBudget,
    Secret, SubjectAltName,
};
pub use compact::Ids;
pub use config::{Config, Id, Push, Resource, ResourceId};
pub use filter::{
    AuthProtocol, Cors, DirectResponse, ExternalAuth, Filter, Fraction, HeaderMods, HeaderValue, HostRewrite, Mirror,
    PathRewrite, Redirect, Rewrite,
};
pub use listener::{
    Bind, ClientValidation, ClientValidationMode, EscapedSlashes, HttpSettings, Listener, ListenerFilters,
    ListenerProtocol, ListenerTls, Transport, Underscores,
};
pub use route::{
    Backend, BackendTarget, HeaderMatch, Method, MethodMatch, Order, PathMatch, QueryMatch, Retry, Route, RouteKind,
    RouteMatch, Session, SessionCarrier, StringMatch, Timeouts,
};
pub use time::Millis;
pub use tracing::{FACT_PREFIXES, FACTS, Otlp, SpanAttribute, SpanSource, Tracing, is_span_fact};
