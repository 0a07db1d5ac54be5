//! Operators: which fact of a record stands in a place of the format.

use super::certificate::{CertFact, Side};
use super::fact::{Fact, millis};
use super::header::{self, Header};
use super::moment::Stretch;
use super::record::{Needs, Record, Upstream};
use crate::Timestamp;
use crate::grpc::{self, GrpcStatus};
use std::net::SocketAddr;

/// An operator with its arguments, resolved when the format is parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    /// Index of a stamp of the format.
    StartTime(usize),
    /// As the start.
    EmitTime(usize),
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
    /// `COMMON_DURATION(START:END:PRECISION)`
    Stretch(Stretch),
    RequestDuration,
    ResponseDuration,
    ResponseTxDuration,
    RouteName,
    UpstreamHost,
    UpstreamCluster,
    UpstreamRemoteAddress(Part),
    UpstreamLocalAddress(Part),
    UpstreamTlsVersion,
    UpstreamTlsCipher,
    UpstreamTransportFailureReason,
    UpstreamRequestAttemptCount,
    DownstreamLocalAddress(Part),
    DownstreamRemoteAddress(Part),
    DownstreamDirectRemoteAddress(Part),
    DownstreamTlsVersion,
    DownstreamTlsCipher,
    /// Of the certificate that the other side presented.
    Peer(Side, CertFact),
    RequestedServerName,
    RequestHeadersBytes,
    ResponseHeadersBytes,
    ResponseTrailersBytes,
    LocalReplyBody,
    UniqueId,
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

impl Operator {
    /// What has to be noted while a request is served, so that there is a fact in the end.
    pub(crate) fn needs(&self) -> Needs {
        let none = Needs::default();
        match self {
            Operator::Stretch(Stretch { from, to, .. }) => Needs {
                moments: from.is_extra() || to.is_extra(),
                upstream_connection: from.is_of_upstream_connection() || to.is_of_upstream_connection(),
                ..none
            },
            Operator::UpstreamLocalAddress(_)
            | Operator::UpstreamTlsVersion
            | Operator::UpstreamTlsCipher
            | Operator::Peer(Side::Upstream, _) => Needs { upstream_connection: true, ..none },
            Operator::LocalReplyBody => Needs { local_body: true, ..none },
            _ => none,
        }
    }

    /// The fact that a record has for the operator.
    pub(crate) fn fact<'a>(&'a self, record: &Record<'a>) -> Fact<'a> {
        let either = |a: Fact<'a>, b: &Option<Header>, read: &dyn Fn(&Header) -> Fact<'a>| {
            a.or(|| b.as_ref().map_or(Fact::Missing, read))
        };
        match self {
            Operator::StartTime(stamp) => Fact::Stamp(*stamp, record.start),
            Operator::EmitTime(stamp) => Fact::Stamp(*stamp, emitted(record)),
            Operator::Request(a, b) => either(a.request(record), b, &|h| h.request(record)),
            Operator::Response(a, b) => either(a.response(record), b, &|h| h.response(record)),
            Operator::Trailer(a, b) => either(a.trailer(record), b, &|h| h.trailer(record)),
            Operator::Fixed(bytes) => Fact::bytes(bytes),
            Operator::Protocol | Operator::Path { .. } | Operator::QueryParam(_) | Operator::RequestHeadersBytes
                if !record.is_http =>
            {
                Fact::Missing
            }
            Operator::Protocol => Fact::str(record.request.version.name()),
            Operator::ResponseCode => Fact::Number(u64::from(record.status)),
            Operator::ResponseCodeDetails => Fact::str(record.details),
            Operator::ConnectionTerminationDetails => Fact::str(record.termination),
            Operator::ResponseFlags => Fact::Flags(record.flags),
            Operator::ResponseFlagsLong => Fact::FlagsLong(record.flags),
            Operator::BytesReceived => Fact::Number(record.bytes_received),
            Operator::BytesSent => Fact::Number(record.bytes_sent),
            Operator::RequestHeadersBytes => Fact::Number(header::request_bytes(record.request)),
            Operator::ResponseHeadersBytes => {
                record.response.map_or(Fact::Missing, |head| Fact::Number(header::response_bytes(head)))
            }
            Operator::ResponseTrailersBytes => {
                record.trailers.map_or(Fact::Missing, |fields| Fact::Number(header::field_bytes(fields)))
            }
            Operator::LocalReplyBody => Fact::bytes(record.local_body),
            Operator::UniqueId => Fact::Uuid,
            Operator::Stretch(stretch) => {
                record.timeline.and_then(|timeline| stretch.measure(timeline)).map_or(Fact::Missing, Fact::Number)
            }
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
            Operator::DownstreamTlsCipher => Fact::str(openssl_name(record.tls_cipher)),
            Operator::Peer(Side::Downstream, fact) => fact.of(record.certificate),
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
            Operator::UpstreamRemoteAddress(part) => remote_address(&upstream, *part),
            Operator::UpstreamLocalAddress(part) => Fact::address(upstream.local, *part),
            Operator::UpstreamTlsVersion => Fact::str(upstream.tls_version),
            Operator::UpstreamTlsCipher => Fact::str(openssl_name(upstream.tls_cipher)),
            Operator::Peer(_, fact) => fact.of(upstream.certificate),
            Operator::UpstreamTransportFailureReason => Fact::str(upstream.failure),
            Operator::UpstreamRequestAttemptCount => Fact::Number(u64::from(upstream.attempts)),
            _ => Fact::Missing,
        }
    }
}

/// A record is written when the last byte is out.
fn emitted(record: &Record<'_>) -> Timestamp {
    Timestamp(record.start.0.saturating_add(u64::try_from(record.duration.as_micros()).unwrap_or(u64::MAX)))
}

/// The endpoint's address taken apart; only IP addresses have ports.
fn remote_address<'a>(upstream: &Upstream<'a>, part: Part) -> Fact<'a> {
    match (upstream.host.parse::<SocketAddr>(), part) {
        (Ok(address), part) => Fact::address(Some(address), part),
        (Err(_), Part::Port) => Fact::Missing,
        (Err(_), _) => Fact::str(upstream.host),
    }
}

/// What Envoy calls a suite of TLS 1.2; those of TLS 1.3 have one name only.
fn openssl_name(suite: &str) -> &str {
    match suite {
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" => "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" => "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" => "ECDHE-ECDSA-CHACHA20-POLY1305",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" => "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" => "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" => "ECDHE-RSA-CHACHA20-POLY1305",
        other => other,
    }
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
