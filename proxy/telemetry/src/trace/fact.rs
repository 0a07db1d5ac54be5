//! What is known of an exchange, by the names of OpenTelemetry's semantic conventions.

use super::otlp::{AnyValue, ArrayValue, Value};
use crate::{GrpcStatus, Record};
use fairlead_http::{Fields, Known, Method, RequestHead, Version};
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

/// Bytes of a value; longer ones are cut.
const LONGEST: usize = 1024;

macro_rules! facts {
    ($($fact:ident = $key:literal,)*) => {
        /// An attribute of the semantic conventions that has one value.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum Fact {
            $($fact,)*
        }

        impl Fact {
            /// That of a key.
            pub fn of(key: &str) -> Option<Fact> {
                match key {
                    $($key => Some(Fact::$fact),)*
                    _ => None,
                }
            }

            /// Its key.
            pub const fn key(self) -> &'static str {
                match self { $(Fact::$fact => $key,)* }
            }
        }
    };
}

facts! {
    RequestMethod = "http.request.method",
    RequestMethodOriginal = "http.request.method_original",
    StatusCode = "http.response.status_code",
    Route = "http.route",
    UserAgent = "user_agent.original",
    ErrorType = "error.type",
    UrlScheme = "url.scheme",
    UrlPath = "url.path",
    UrlQuery = "url.query",
    UrlFull = "url.full",
    ClientAddress = "client.address",
    ClientPort = "client.port",
    ServerAddress = "server.address",
    ServerPort = "server.port",
    PeerAddress = "network.peer.address",
    PeerPort = "network.peer.port",
    ProtocolName = "network.protocol.name",
    ProtocolVersion = "network.protocol.version",
    Transport = "network.transport",
    NetworkType = "network.type",
    RpcSystem = "rpc.system.name",
    RpcMethod = "rpc.method",
    RpcStatus = "rpc.response.status_code",
}

/// What every server span has, as far as it is known.
pub(super) const OF_SERVER_SPANS: &[Fact] = &[
    Fact::RequestMethod,
    Fact::RequestMethodOriginal,
    Fact::UrlScheme,
    Fact::UrlPath,
    Fact::UrlQuery,
    Fact::Route,
    Fact::ServerAddress,
    Fact::ServerPort,
    Fact::ClientAddress,
    Fact::PeerAddress,
    Fact::PeerPort,
    Fact::ProtocolName,
    Fact::ProtocolVersion,
    Fact::UserAgent,
    Fact::StatusCode,
    Fact::RpcSystem,
    Fact::RpcMethod,
    Fact::RpcStatus,
    Fact::ErrorType,
];

impl Fact {
    /// The value in an exchange that is over; `None` when it has none.
    pub fn value(self, record: &Record<'_>) -> Option<Value> {
        let request = record.request;
        match self {
            Fact::RequestMethod => Some(text(method(request))),
            Fact::RequestMethodOriginal => {
                Some(request.method_bytes()).filter(|_| request.method() == Method::Other).map(bytes)
            }
            Fact::StatusCode => Some(record.status).filter(|status| *status > 0).map(|status| int(status.into())),
            Fact::Route => some_text(record.pattern),
            Fact::UserAgent => request.fields.get(Known::UserAgent).map(bytes),
            Fact::ErrorType => error(record).map(|error| text(&error)),
            Fact::UrlScheme => Some(text(request.scheme.name())),
            Fact::UrlPath => Some(bytes(path_and_query(record).0)),
            Fact::UrlQuery => path_and_query(record).1.map(|query| bytes(&discreet(query))),
            Fact::UrlFull => {
                let target = record.original_path.unwrap_or(request.path_and_query());
                Some(url(request.scheme.name(), authority(record), target))
            }
            Fact::ClientAddress => record.remote.map(ip),
            Fact::ClientPort => record.remote.map(port),
            Fact::ServerAddress => Some(host(authority(record))).filter(|host| !host.is_empty()).map(bytes),
            Fact::ServerPort => {
                let named = port_of(authority(record));
                Some(int(named.unwrap_or(request.scheme.default_port()).into()))
            }
            Fact::PeerAddress => record.direct_remote.map(ip),
            Fact::PeerPort => record.direct_remote.map(port),
            Fact::ProtocolName => Some(text("http")),
            Fact::ProtocolVersion => Some(text(version(request.version))),
            Fact::Transport => Some(text("tcp")),
            Fact::NetworkType => record.direct_remote.map(|peer| match peer.ip().to_canonical() {
                IpAddr::V4(_) => text("ipv4"),
                IpAddr::V6(_) => text("ipv6"),
            }),
            Fact::RpcSystem => request.is_grpc().then(|| text("grpc")),
            Fact::RpcMethod => rpc_method(request, path_and_query(record).0).map(|method| text(&method)),
            Fact::RpcStatus => call(record).map(|status| text(&status.to_string())),
        }
    }
}

/// `error.type`: a status of 500 and more, or that of a gRPC call that is the server's fault; or the proxy's own words when it answered
/// itself or nothing could be answered.
pub(super) fn error(record: &Record<'_>) -> Option<String> {
    let call = call(record).filter(|status| status.is_server_error());
    let failed = record.cut || record.status == 0 || record.status >= 500 || call.is_some();
    let own = record.cut || !matches!(record.details, "" | "via_upstream");
    failed.then(|| match call {
        _ if own => record.details.to_owned(),
        Some(call) => call.to_string(),
        None => record.status.to_string(),
    })
}

/// How a gRPC call ended.
fn call(record: &Record<'_>) -> Option<GrpcStatus> {
    record.request.is_grpc().then(|| GrpcStatus::of(record.trailers, record.response)).flatten()
}

/// `rpc.method` of a gRPC call, as `package.Service/Method`.
pub(super) fn rpc_method(request: &RequestHead, path: &[u8]) -> Option<String> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let cut = path.get(..LONGEST).unwrap_or(path);
    request.is_grpc().then(|| String::from_utf8_lossy(cut).into_owned())
}

/// `http.request.method`.
pub(super) fn method(request: &RequestHead) -> &'static str {
    match request.method() {
        Method::Other => "_OTHER",
        known => known.name(),
    }
}

/// `network.protocol.version`.
pub(super) fn version(version: Version) -> &'static str {
    match version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
        Version::H2 => "2",
    }
}

/// `url.full`.
pub(super) fn url(scheme: &str, authority: &[u8], target: &[u8]) -> Value {
    let mut url = format!("{scheme}://").into_bytes();
    url.extend_from_slice(authority);
    let (path, query) = split(target);
    url.extend_from_slice(path);
    if let Some(query) = query {
        url.push(b'?');
        url.extend_from_slice(&discreet(query));
    }
    bytes(&url)
}

/// A query without the signatures of URLs that are as good as passwords (semantic conventions, `url.query`).
fn discreet(query: &[u8]) -> Cow<'_, [u8]> {
    let secret = |pair: &[u8]| SECRET.iter().find(|name| pair.starts_with(name) && pair.get(name.len()) == Some(&b'='));
    if query.split(|byte| *byte == b'&').all(|pair| secret(pair).is_none()) {
        return Cow::Borrowed(query);
    }
    let mut out = Vec::with_capacity(query.len());
    for (i, pair) in query.split(|byte| *byte == b'&').enumerate() {
        if i > 0 {
            out.push(b'&');
        }
        match secret(pair) {
            Some(name) => {
                out.extend_from_slice(name);
                out.extend_from_slice(b"=REDACTED");
            }
            None => out.extend_from_slice(pair),
        }
    }
    Cow::Owned(out)
}

/// Parameters whose values are left out.
const SECRET: &[&[u8]] = &[b"AWSAccessKeyId", b"Signature", b"sig", b"X-Goog-Signature", b"X-Amz-Signature"];

/// All values of a field; `None` when there is none.
pub(super) fn values(fields: &Fields, name: &str) -> Option<Value> {
    let values: Vec<AnyValue> =
        fields.all_name(name.as_bytes()).map(|value| AnyValue { value: Some(bytes(value)) }).collect();
    (!values.is_empty()).then_some(Value::ArrayValue(ArrayValue { values }))
}

/// Text from outside.
pub(super) fn bytes(value: &[u8]) -> Value {
    let cut = value.get(..LONGEST).unwrap_or(value);
    Value::StringValue(String::from_utf8_lossy(cut).into_owned())
}

pub(super) fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

pub(super) fn some_text(value: &str) -> Option<Value> {
    Some(value).filter(|value| !value.is_empty()).map(text)
}

pub(super) fn int(value: i64) -> Value {
    Value::IntValue(value)
}

pub(super) fn ip(address: SocketAddr) -> Value {
    Value::StringValue(address.ip().to_canonical().to_string())
}

pub(super) fn port(address: SocketAddr) -> Value {
    int(address.port().into())
}

/// What the client asked for.
fn path_and_query<'a>(record: &Record<'a>) -> (&'a [u8], Option<&'a [u8]>) {
    split(record.original_path.unwrap_or(record.request.path_and_query()))
}

fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match target.iter().position(|byte| *byte == b'?') {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    }
}

fn authority<'a>(record: &Record<'a>) -> &'a [u8] {
    record.original_authority.unwrap_or(record.request.authority())
}

/// Without port and brackets.
fn host(authority: &[u8]) -> &[u8] {
    if let Some(rest) = authority.strip_prefix(b"[") {
        return rest.split(|byte| *byte == b']').next().unwrap_or(rest);
    }
    authority.split(|byte| *byte == b':').next().unwrap_or(authority)
}

fn port_of(authority: &[u8]) -> Option<u16> {
    let after = authority.rsplit(|byte| *byte == b']').next().unwrap_or(authority);
    let at = after.iter().rposition(|byte| *byte == b':')?;
    str::from_utf8(&after[at + 1..]).ok()?.parse().ok()
}
