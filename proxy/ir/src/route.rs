//! Routes: one per rule of a route object, of whatever kind.

use crate::{Filter, Id, Millis};
use serde::{Deserialize, Serialize};

/// One rule of a route, attached to listeners.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// `httproute/<namespace>/<name>/<rule index>`; likewise `grpcroute/…`, `tlsroute/…`, `tcproute/…`, `udproute/…`.
    pub id: Id,
    /// `<namespace>/<name>` of the route object, and the rule's own name if it has one, for metrics and logs.
    pub name: Id,
    /// The rule's name (GEP-995).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Box<str>>,
    /// What kind of object it comes from.
    pub kind: RouteKind,
    /// Ids of the listeners that it is attached to.
    pub listeners: Vec<Id>,
    /// The route's own host names, lower-case, not intersected with the listener's: precedence goes by them. Those that don't
    /// intersect with a listener are left out by `translate` when no listener takes them. Empty: every host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<Box<str>>,
    /// Any of them takes the request; empty takes every request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<RouteMatch>,
    /// Breaks ties between equally specific matches.
    pub order: Order,
    /// In the order in which they run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// Where requests go; empty (and no filter that answers): 500.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<Backend>,
    /// A problem in the rule because of which all its requests get a 500 (an unknown filter, an unresolved reference in a filter …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<Box<str>>,
    /// How long requests may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Whether and when to try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
}

/// The kind of the object that a [`Route`] comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RouteKind {
    /// HTTPRoute.
    Http,
    /// GRPCRoute. Errors are answered as gRPC statuses.
    Grpc,
    /// TLSRoute. Takes connections by SNI: `hostnames`. Has no matches and no filters; where something is amiss, connections are
    /// closed.
    Tls,
    /// TCPRoute. Takes all connections of its listeners; else as `Tls`.
    Tcp,
    /// UDPRoute. Takes all datagrams of its listeners; where something is amiss, they are dropped.
    Udp,
}

impl RouteKind {
    /// Whether its connections are only passed on, and nothing of HTTP is known of them.
    pub fn is_l4(self) -> bool {
        matches!(self, RouteKind::Tls | RouteKind::Tcp | RouteKind::Udp)
    }
}

/// Breaks ties: the older object, then the name in alphabetical order, then the earlier rule. The derived order is the specification's.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Seconds since 1970 of the object's creation; objects without creation time (files) have `i64::MAX`.
    pub created: i64,
    /// `<namespace>/<name>`.
    pub object: Id,
    /// Index of the rule in its route.
    pub rule: u32,
}

/// A conjunction of predicates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteMatch {
    /// `None` takes every path. Prefix `/` likewise, but counts as a prefix of length 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathMatch>,
    /// HTTP method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// gRPC service and method (GRPCRoute only). Precedence: characters of the service, then of the method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<MethodMatch>,
    /// All must match. Names are lower-case and unique.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderMatch>,
    /// All must match. Names are unique.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<QueryMatch>,
    /// The port that the client connected to (the listener's, not the mapped one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// A predicate on the path. Paths begin with `/` and are normalised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PathMatch {
    /// The whole path.
    Exact(Box<str>),
    /// By whole segments, trailing `/` stripped (`/` itself stays).
    Prefix(Box<str>),
    /// The whole path matches this regular expression (RE2 syntax as the `regex` crate has it).
    Regex(Box<str>),
}

/// gRPC service and method; at least one is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MethodMatch {
    /// `package.Service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<StringMatch>,
    /// `Method`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<StringMatch>,
}

/// Equality or a regular expression over the whole value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StringMatch {
    /// Byte for byte.
    Exact(Box<str>),
    /// The whole value matches.
    Regex(Box<str>),
}

/// A predicate on a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderMatch {
    /// Lower-case.
    pub name: Box<str>,
    /// On the value; several fields of the name are joined by `,` (RFC 9110 §5.3).
    pub value: StringMatch,
}

/// A predicate on a query parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryMatch {
    /// Exact, after percent decoding.
    pub name: Box<str>,
    /// On the first value of that name, after percent decoding.
    pub value: StringMatch,
}

/// A standard HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
}

/// One backend of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// Share of the requests, relative to the sum of all weights; 0 gets none.
    pub weight: u32,
    /// Where they go.
    pub target: BackendTarget,
    /// Run after the rule's filters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// Clients stay with the endpoint they had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Box<Session>>,
}

/// Keeps a client at the endpoint that answered it first (GEP-1619). Which backend of a rule takes a request is decided before, by
/// weight, and this has no say in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// What the keys of the tokens are derived from: the same for all proxies, and not for clients to know.
    pub seed: Box<str>,
    /// What carries the token.
    pub carrier: SessionCarrier,
    /// A token that is older than this is not honoured; to the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absolute_timeout: Option<Millis>,
}

/// What carries the token of a [`Session`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SessionCarrier {
    /// A cookie.
    Cookie {
        /// A token of RFC 6265 §4.1.1.
        name: Box<str>,
        /// Its `Path`.
        path: Box<str>,
        /// It has a `Max-Age`: the absolute timeout, which is there then.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        permanent: bool,
    },
    /// A header, of the response first and then of the client's requests.
    Header {
        /// Lower-case.
        name: Box<str>,
    },
}

/// Where a backend's share goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BackendTarget {
    /// To a cluster by id.
    Cluster(Id),
    /// Its reference does not resolve: 500, with the reason for the log.
    Invalid(Box<str>),
}

/// How long requests may take. Zero means no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// From the end of the request's head to the end of the response, retries included. `None`: the default of 15 s from the
    /// end of the request to the response's head (Envoy's route timeout), before and after which only idleness counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Millis>,
    /// Each attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_request: Option<Millis>,
    /// Of TLSRoute, TCPRoute and UDPRoute: a connection or UDP session on which nothing moves, either way, is ended after this time.
    /// `None`: Envoy's defaults of 1 h for connections and 60 s for UDP sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Millis>,
}

/// When to try again (GEP-1731). Connection errors are always retried when `attempts` > 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Status codes of responses that are tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<u16>,
    /// Retries after the first attempt.
    pub attempts: u32,
    /// Minimum time between attempts; doubles with each, with full jitter on top, at most ten times itself (Envoy's rule). 25 ms when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Millis>,
}
