//! Formats, from text to operators.

use super::certificate::{CertFact, Side};
use super::header::Header;
use super::moment::{Moment, Stretch};
use super::operator::{GrpcForm, Operator, Part};
use super::stamp::{StampFormat, Stamps, TimeOf};
use std::fmt;

/// Why a format is no format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// Byte of the format text where it begins, counted from 0.
    pub at: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "access log format, byte {}: {}", self.at, self.message)
    }
}

impl std::error::Error for FormatError {}

/// A part of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Operator {
        operator: Operator,
        /// `:Z`: at most that many bytes.
        limit: Option<usize>,
    },
}

/// Takes a format apart: `%NAME%`, `%NAME(argument)%`, `%NAME(argument):Z%`, and `%%` for a percent sign. Start times are put into `stamps`.
pub(crate) fn parse(text: &str, stamps: &mut Stamps) -> Result<Vec<Piece>, FormatError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find('%') {
        literal.push_str(&text[at..at + found]);
        let start = at + found;
        if text[start + 1..].starts_with('%') {
            literal.push('%');
            at = start + 2;
            continue;
        }
        let call = Call::parse(&text[start + 1..]).map_err(|message| FormatError { at: start, message })?;
        let operator = call.operator(stamps).map_err(|message| FormatError { at: start, message })?;
        if !literal.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Operator { operator, limit: call.limit });
        at = start + 1 + call.len;
    }
    literal.push_str(&text[at..]);
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
}

/// `NAME(argument):Z%`
struct Call<'a> {
    name: &'a str,
    argument: Option<&'a str>,
    limit: Option<usize>,
    /// With the closing `%`.
    len: usize,
}

impl<'a> Call<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let end = text.find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
        let (name, mut rest) = text.split_at(end);
        if name.is_empty() {
            return Err("`%` begins an operator, for example `%PROTOCOL%`; write `%%` for a percent sign".into());
        }
        let mut argument = None;
        if let Some(inner) = rest.strip_prefix('(') {
            let (text, after) = inner.split_once(')').ok_or_else(|| format!("`%{name}(` is not closed by `)`"))?;
            (argument, rest) = (Some(text), after);
        }
        let mut limit = None;
        if let Some(digits) = rest.strip_prefix(':') {
            let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            limit =
                Some(digits[..end].parse().map_err(|_| format!("`%{name}…:` is not followed by a maximum length"))?);
            rest = &digits[end..];
        }
        let Some(rest) = rest.strip_prefix('%') else { return Err(format!("`%{name}` is not closed by `%`")) };
        Ok(Call { name, argument, limit, len: text.len() - rest.len() })
    }

    fn operator(&self, stamps: &mut Stamps) -> Result<Operator, String> {
        let operator = match self.name {
            "START_TIME" => return Ok(Operator::StartTime(self.stamp(TimeOf::Start, stamps)?)),
            "EMIT_TIME" => return Ok(Operator::EmitTime(self.stamp(TimeOf::Emission, stamps)?)),
            "COMMON_DURATION" => {
                let stretch = Stretch::parse(self.required("START:END:PRECISION")?);
                return stretch.map(Operator::Stretch).map_err(|e| format!("%COMMON_DURATION%: {e}"));
            }
            "REQ" | "REQUEST_HEADER" => return self.headers(Operator::Request),
            "RESP" | "RESPONSE_HEADER" => return self.headers(Operator::Response),
            "TRAILER" | "RESPONSE_TRAILER" => return self.headers(Operator::Trailer),
            "ENVIRONMENT" => {
                let value = std::env::var_os(self.required("the name of a variable")?).unwrap_or_default();
                return Ok(Operator::Fixed(value.into_encoded_bytes().into()));
            }
            "QUERY_PARAM" => {
                return Ok(Operator::QueryParam(self.required("the name of a parameter")?.as_bytes().into()));
            }
            "GRPC_STATUS" => return self.grpc_status(),
            "PATH" => return self.path(),
            name => match self.certificate(name, stamps) {
                Some(operator) => return operator.map_err(|e| format!("%{name}%: {e}")),
                None => self.plain()?,
            },
        };
        match self.argument {
            None => Ok(operator),
            Some(_) => Err(format!("%{}% takes no argument", self.name)),
        }
    }

    /// A time in the form of the argument.
    fn stamp(&self, time: TimeOf, stamps: &mut Stamps) -> Result<usize, String> {
        let format = StampFormat::parse(self.argument.unwrap_or("")).map_err(|e| format!("%{}%: {e}", self.name))?;
        Ok(stamps.add(time, format))
    }

    /// `DOWNSTREAM_PEER_…` and `UPSTREAM_PEER_…`
    fn certificate(&self, name: &str, stamps: &mut Stamps) -> Option<Result<Operator, String>> {
        let sides = [("DOWNSTREAM_PEER_", Side::Downstream), ("UPSTREAM_PEER_", Side::Upstream)];
        let (fact, side) = sides.iter().find_map(|(prefix, side)| Some((name.strip_prefix(prefix)?, *side)))?;
        Some(CertFact::parse(fact, self.argument, stamps)?.map(|fact| Operator::Peer(side, fact)))
    }

    /// Operators without arguments.
    fn plain(&self) -> Result<Operator, String> {
        Ok(match self.name {
            "PROTOCOL" => Operator::Protocol,
            "UPSTREAM_PROTOCOL" => Operator::UpstreamProtocol,
            "RESPONSE_CODE" => Operator::ResponseCode,
            "RESPONSE_CODE_DETAILS" => Operator::ResponseCodeDetails,
            "CONNECTION_TERMINATION_DETAILS" => Operator::ConnectionTerminationDetails,
            "RESPONSE_FLAGS" => Operator::ResponseFlags,
            "RESPONSE_FLAGS_LONG" => Operator::ResponseFlagsLong,
            "BYTES_RECEIVED" => Operator::BytesReceived,
            "BYTES_SENT" => Operator::BytesSent,
            "DURATION" => Operator::Duration,
            "REQUEST_TX_DURATION" => Operator::Stretch(Stretch::millis(Moment::RequestBegin, Moment::SendEnd)),
            "REQUEST_DURATION" => Operator::RequestDuration,
            "RESPONSE_DURATION" => Operator::ResponseDuration,
            "RESPONSE_TX_DURATION" => Operator::ResponseTxDuration,
            "ROUTE_NAME" => Operator::RouteName,
            "UPSTREAM_HOST" | "UPSTREAM_REMOTE_ADDRESS" => Operator::UpstreamHost,
            "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => Operator::UpstreamRemoteAddress(Part::Ip),
            "UPSTREAM_REMOTE_PORT" => Operator::UpstreamRemoteAddress(Part::Port),
            "UPSTREAM_TLS_VERSION" => Operator::UpstreamTlsVersion,
            "UPSTREAM_TLS_CIPHER" => Operator::UpstreamTlsCipher,
            "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW" => Operator::UpstreamCluster,
            "UPSTREAM_LOCAL_ADDRESS" => Operator::UpstreamLocalAddress(Part::Whole),
            "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => Operator::UpstreamLocalAddress(Part::Ip),
            "UPSTREAM_LOCAL_PORT" => Operator::UpstreamLocalAddress(Part::Port),
            "UPSTREAM_TRANSPORT_FAILURE_REASON" => Operator::UpstreamTransportFailureReason,
            "UPSTREAM_REQUEST_ATTEMPT_COUNT" => Operator::UpstreamRequestAttemptCount,
            "DOWNSTREAM_LOCAL_ADDRESS" => Operator::DownstreamLocalAddress(Part::Whole),
            "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => Operator::DownstreamLocalAddress(Part::Ip),
            "DOWNSTREAM_LOCAL_PORT" => Operator::DownstreamLocalAddress(Part::Port),
            "DOWNSTREAM_REMOTE_ADDRESS" => Operator::DownstreamRemoteAddress(Part::Whole),
            "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => Operator::DownstreamRemoteAddress(Part::Ip),
            "DOWNSTREAM_REMOTE_PORT" => Operator::DownstreamRemoteAddress(Part::Port),
            "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => Operator::DownstreamDirectRemoteAddress(Part::Whole),
            "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => Operator::DownstreamDirectRemoteAddress(Part::Ip),
            "DOWNSTREAM_DIRECT_REMOTE_PORT" => Operator::DownstreamDirectRemoteAddress(Part::Port),
            "DOWNSTREAM_TLS_VERSION" => Operator::DownstreamTlsVersion,
            "DOWNSTREAM_TLS_CIPHER" => Operator::DownstreamTlsCipher,
            "REQUESTED_SERVER_NAME" => Operator::RequestedServerName,
            "REQUEST_HEADERS_BYTES" => Operator::RequestHeadersBytes,
            "RESPONSE_HEADERS_BYTES" => Operator::ResponseHeadersBytes,
            "RESPONSE_TRAILERS_BYTES" => Operator::ResponseTrailersBytes,
            "LOCAL_REPLY_BODY" => Operator::LocalReplyBody,
            "UNIQUE_ID" => Operator::UniqueId,
            "CONNECTION_ID" => Operator::ConnectionId,
            "TRACE_ID" => Operator::TraceId,
            "GRPC_STATUS_NUMBER" => Operator::GrpcStatus(GrpcForm::Number),
            "HOSTNAME" => Operator::Fixed(host_name()),
            "ACCESS_LOG_TYPE" => Operator::Fixed((*b"DownstreamEnd").into()),
            _ => return Err(format!("unknown operator %{}%", self.name)),
        })
    }

    fn required(&self, what: &str) -> Result<&'a str, String> {
        self.argument
            .filter(|argument| !argument.is_empty())
            .ok_or_else(|| format!("%{}% needs {what} in parentheses", self.name))
    }

    /// `(X)` or `(X?Y)`
    fn headers(&self, operator: impl FnOnce(Header, Option<Header>) -> Operator) -> Result<Operator, String> {
        let argument = self.required("the name of a header")?;
        let mut names = argument.split('?');
        let (first, second, third) = (names.next().unwrap_or_default(), names.next(), names.next());
        if third.is_some() {
            return Err(format!("%{}({argument})% has more than one alternative", self.name));
        }
        for name in [Some(first), second].into_iter().flatten() {
            if !is_header_name(name) {
                return Err(format!("%{}({argument})%: `{name}` is not the name of a header", self.name));
            }
        }
        Ok(operator(Header::of(first), second.map(Header::of)))
    }

    fn grpc_status(&self) -> Result<Operator, String> {
        match self.argument {
            None | Some("" | "CAMEL_STRING") => Ok(Operator::GrpcStatus(GrpcForm::Camel)),
            Some("SNAKE_STRING") => Ok(Operator::GrpcStatus(GrpcForm::Snake)),
            Some("NUMBER") => Ok(Operator::GrpcStatus(GrpcForm::Number)),
            Some(other) => {
                Err(format!("%GRPC_STATUS({other})%: one of CAMEL_STRING, SNAKE_STRING, NUMBER is expected"))
            }
        }
    }

    fn path(&self) -> Result<Operator, String> {
        match self.argument {
            None | Some("" | "WQ") => Ok(Operator::Path { query: true }),
            Some("NQ") => Ok(Operator::Path { query: false }),
            Some(other) => Err(format!("%PATH({other})%: one of WQ (with query), NQ (without) is expected")),
        }
    }
}

/// A token (RFC 9110 §5.6.2), with a colon in front for pseudo headers.
fn is_header_name(name: &str) -> bool {
    let token = name.strip_prefix(':').unwrap_or(name);
    !token.is_empty() && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&b))
}

fn host_name() -> Box<[u8]> {
    let name = std::fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_ascii().into()
}
