//! Operators: which fact of a record stands in a place of the format.

use super::record::Record;
use crate::Flags;
use crate::grpc::{self, GrpcStatus};
use crate::trace::TraceId;
use fairlead_http::{Fields, Known};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// An operator with its arguments, resolved when the format is parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    /// Index of a stamp of the format.
    StartTime(usize),
    /// `REQ(X?Y)`: the first that is there.
    Request(Header, Option<Header>),
    /// `RESP(X?Y)`
    Response(Header, Option<Header>),
    /// `TRAILER(X?Y)`
    Trailer(Header, Option<Header>),
    /// What is known when the format is parsed: `HOSTNAME`, `ENVIRONMENT(X)`, `ACCESS_LOG_TYPE`.
    Fixed(Box<[u8]>),
    Protocol,
    UpstreamProtocol,
    ResponseCode,
    ResponseCodeDetails,
    ConnectionTerminationDetails,
    ResponseFlags,
    ResponseFlagsLong,
    BytesReceived,
    BytesSent,
    Duration,
    RequestDuration,
    ResponseDuration,
    ResponseTxDuration,
    RouteName,
    UpstreamHost,
    UpstreamCluster,
    UpstreamLocalAddress(Part),
    UpstreamTransportFailureReason,
    UpstreamRequestAttemptCount,
    DownstreamLocalAddress(Part),
    DownstreamRemoteAddress(Part),
    DownstreamDirectRemoteAddress(Part),
    DownstreamTlsVersion,
    DownstreamTlsCipher,
    RequestedServerName,
    ConnectionId,
    TraceId,
    GrpcStatus(GrpcForm),
    /// `PATH(WQ)` and `PATH(NQ)`: of the original path, with and without its query.
    Path {
        query: bool,
    },
    /// `QUERY_PARAM(X)`: the first of that name, as it stands in the request.
    QueryParam(Box<[u8]>),
}

/// Where a header's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    Method,
    Path,
    /// `x-envoy-original-path`: the path before a rewrite.
    OriginalPath,
    Authority,
    Scheme,
    Status,
    /// `x-envoy-upstream-service-time`: milliseconds.
    ServiceTime,
    Known(Known),
    /// In lower case.
    Named(Box<[u8]>),
}

impl Header {
    pub(crate) fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            ":method" => Header::Method,
            ":path" => Header::Path,
            ":authority" | "host" => Header::Authority,
            ":scheme" => Header::Scheme,
            ":status" => Header::Status,
            "x-envoy-original-path" => Header::OriginalPath,
            "x-envoy-upstream-service-time" => Header::ServiceTime,
            _ => match Known::of(name.as_bytes()) {
                Known::Other => Header::Named(name.into_bytes().into()),
                known => Header::Known(known),
            },
        }
    }

    fn field<'a>(&self, fields: &'a Fields) -> Option<&'a [u8]> {
        match self {
            Header::Known(known) => fields.get(*known),
            Header::Named(name) => fields.get_name(name),
            Header::OriginalPath => fields.get_name(b"x-envoy-original-path"),
            Header::ServiceTime => fields.get(Known::XEnvoyUpstreamServiceTime),
            _ => None,
        }
    }

    fn request<'a>(&self, record: &Record<'a>) -> Fact<'a> {
        let head = record.request;
        if !record.is_http {
            return Fact::Missing;
        }
        match self {
            Header::Method => Fact::bytes(head.method_bytes()),
            Header::Path => Fact::bytes(head.path_and_query()),
            Header::OriginalPath => {
                self.field(&head.fields).or(record.original_path).map_or(Fact::Missing, Fact::bytes)
            }
            Header::Authority => Fact::bytes(record.original_authority.unwrap_or(head.authority())),
            Header::Scheme => Fact::bytes(head.scheme.name().as_bytes()),
            _ => self.field(&head.fields).map_or(Fact::Missing, Fact::Bytes),
        }
    }

    fn response<'a>(&self, record: &Record<'a>) -> Fact<'a> {
        let Some(head) = record.response else { return Fact::Missing };
        match (self, self.field(&head.fields)) {
            (Header::Status, _) => Fact::Digits(u64::from(head.status)),
            (_, Some(value)) => Fact::Bytes(value),
            (Header::ServiceTime, None) => {
                record.upstream.and_then(|u| u.service_time).map_or(Fact::Missing, |time| Fact::Digits(millis(time)))
            }
            (_, None) => Fact::Missing,
        }
    }

    fn trailer<'a>(&self, record: &Record<'a>) -> Fact<'a> {
        record.trailers.and_then(|fields| self.field(fields)).map_or(Fact::Missing, Fact::Bytes)
    }
}

/// Which part of an address is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    Ip,
    Port,
}

/// How a gRPC status is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrpcForm {
    Camel,
    Snake,
    Number,
}

/// A fact on its way into the line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fact<'a> {
    /// `-`, or `null` in JSON.
    Missing,
    /// From outside: needs escapes.
    Bytes(&'a [u8]),
    /// A number also in JSON.
    Number(u64),
    /// Digits that are a string in JSON.
    Digits(u64),
    Flags(Flags),
    FlagsLong(Flags),
    Address(SocketAddr),
    Ip(IpAddr),
    TraceId(TraceId),
    /// Start time in the form of a stamp.
    Stamp(usize),
}

impl<'a> Fact<'a> {
    /// Bytes, or missing when there are none.
    fn bytes(bytes: &'a [u8]) -> Self {
        if bytes.is_empty() { Fact::Missing } else { Fact::Bytes(bytes) }
    }

    fn str(text: &'a str) -> Self {
        Fact::bytes(text.as_bytes())
    }

    fn or(self, other: impl FnOnce() -> Fact<'a>) -> Self {
        match self {
            Fact::Missing => other(),
            fact => fact,
        }
    }

    fn address(address: Option<SocketAddr>, part: Part) -> Self {
        match (address, part) {
            (None, _) => Fact::Missing,
            (Some(address), Part::Whole) => Fact::Address(address),
            (Some(address), Part::Ip) => Fact::Ip(address.ip()),
            (Some(address), Part::Port) => Fact::Number(u64::from(address.port())),
        }
    }

    fn time(time: Option<Duration>) -> Self {
        time.map_or(Fact::Missing, |time| Fact::Number(millis(time)))
    }
}

impl Operator {
    /// The fact that a record has for the operator.
    pub(crate) fn fact<'a>(&'a self, record: &Record<'a>) -> Fact<'a> {
        let either = |a: Fact<'a>, b: &Option<Header>, read: &dyn Fn(&Header) -> Fact<'a>| {
            a.or(|| b.as_ref().map_or(Fact::Missing, read))
        };
        match self {
            Operator::StartTime(stamp) => Fact::Stamp(*stamp),
            Operator::Request(a, b) => either(a.request(record), b, &|h| h.request(record)),
            Operator::Response(a, b) => either(a.response(record), b, &|h| h.response(record)),
            Operator::Trailer(a, b) => either(a.trailer(record), b, &|h| h.trailer(record)),
            Operator::Fixed(bytes) => Fact::bytes(bytes),
            Operator::Protocol | Operator::Path { .. } | Operator::QueryParam(_) if !record.is_http => Fact::Missing,
            Operator::Protocol => Fact::str(record.request.version.name()),
            Operator::ResponseCode => Fact::Number(u64::from(record.status)),
            Operator::ResponseCodeDetails => Fact::str(record.details),
            Operator::ConnectionTerminationDetails => Fact::str(record.termination),
            Operator::ResponseFlags => Fact::Flags(record.flags),
            Operator::ResponseFlagsLong => Fact::FlagsLong(record.flags),
            Operator::BytesReceived => Fact::Number(record.bytes_received),
            Operator::BytesSent => Fact::Number(record.bytes_sent),
            Operator::Duration => Fact::Number(millis(record.duration)),
            Operator::RequestDuration => Fact::time(record.request_duration),
            Operator::ResponseDuration => Fact::time(record.response_duration),
            Operator::ResponseTxDuration => {
                Fact::time(record.response_duration.map(|head| record.duration.saturating_sub(head)))
            }
            Operator::RouteName => Fact::str(record.route),
            Operator::DownstreamLocalAddress(part) => Fact::address(record.local, *part),
            Operator::DownstreamRemoteAddress(part) => Fact::address(record.remote.or(record.direct_remote), *part),
            Operator::DownstreamDirectRemoteAddress(part) => Fact::address(record.direct_remote, *part),
            Operator::DownstreamTlsVersion => Fact::str(record.tls_version),
            Operator::DownstreamTlsCipher => Fact::str(record.tls_cipher),
            Operator::RequestedServerName => Fact::str(record.server_name),
            Operator::ConnectionId => Fact::Number(record.connection),
            Operator::TraceId => record.trace.map_or(Fact::Missing, Fact::TraceId),
            Operator::GrpcStatus(form) => grpc_status(record, *form),
            Operator::Path { query } => path(record, *query),
            Operator::QueryParam(name) => query_param(record, name),
            upstream => upstream.upstream_fact(record),
        }
    }

    fn upstream_fact<'a>(&self, record: &Record<'a>) -> Fact<'a> {
        let Some(upstream) = record.upstream else { return Fact::Missing };
        match self {
            Operator::UpstreamHost => Fact::str(upstream.host),
            Operator::UpstreamCluster => Fact::str(upstream.cluster),
            Operator::UpstreamProtocol => upstream.protocol.map_or(Fact::Missing, |version| Fact::str(version.name())),
            Operator::UpstreamLocalAddress(part) => Fact::address(upstream.local, *part),
            Operator::UpstreamTransportFailureReason => Fact::str(upstream.failure),
            Operator::UpstreamRequestAttemptCount => Fact::Number(u64::from(upstream.attempts)),
            _ => Fact::Missing,
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn original_path<'a>(record: &Record<'a>) -> &'a [u8] {
    record.original_path.unwrap_or(record.request.path_and_query())
}

fn path<'a>(record: &Record<'a>, query: bool) -> Fact<'a> {
    let whole = original_path(record);
    let end = if query { whole.len() } else { whole.iter().position(|&b| b == b'?').unwrap_or(whole.len()) };
    Fact::bytes(&whole[..end])
}

fn query_param<'a>(record: &Record<'a>, name: &[u8]) -> Fact<'a> {
    let whole = original_path(record);
    let Some(start) = whole.iter().position(|&b| b == b'?') else { return Fact::Missing };
    let mut values = whole[start + 1..].split(|&b| b == b'&').filter_map(|pair| {
        let (key, value) = pair.split_at(pair.iter().position(|&b| b == b'=').unwrap_or(pair.len()));
        (key == name).then(|| value.get(1..).unwrap_or_default())
    });
    values.next().map_or(Fact::Missing, Fact::bytes)
}

/// Only of gRPC requests, as Envoy has it.
fn grpc_status<'a>(record: &Record<'a>, form: GrpcForm) -> Fact<'a> {
    if !record.request.is_grpc() {
        return Fact::Missing;
    }
    let Some(value) = grpc::field(record.trailers, record.response) else { return Fact::Missing };
    let status = GrpcStatus::of(record.trailers, record.response);
    let name = status.and_then(|status| match form {
        GrpcForm::Number => None,
        GrpcForm::Camel => status.camel(),
        GrpcForm::Snake => status.snake(),
    });
    match (form, status, name) {
        (GrpcForm::Number, Some(status), _) => Fact::Number(status.code().into()),
        (_, _, Some(name)) => Fact::str(name),
        _ => Fact::Bytes(value),
    }
}
