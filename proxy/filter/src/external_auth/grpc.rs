//! A service that speaks `envoy.service.auth.v3.Authorization`.

use super::grant::{Action, Changes, Invalid};
use super::proto::{
    Address, AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderValueOption, HttpRequest, METHOD,
    OkHttpResponse, Peer, Request, SocketAddress, Timestamp, TlsSession,
};
use super::{DENIED, Decision, ERROR, Facts, Grant, names};
use crate::{Problem, Reply, check};
use fairlead_http::{Fields, Known, RequestHead, ResponseHead, Scheme, Version};
use fairlead_ir::Millis;
use prost::Message;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::UNIX_EPOCH;

#[derive(Debug)]
pub(super) struct Grpc {
    authority: Box<str>,
    /// Fields that the service gets; empty: all, and the pseudo fields of HTTP/2, as Envoy tells them.
    sent: Box<[Box<[u8]>]>,
    /// The deadline, as gRPC writes it.
    timeout: Option<Box<str>>,
}

impl Grpc {
    pub(super) fn compile(authority: &str, sent: &[Box<str>], timeout: Millis) -> Result<Self, Problem> {
        check::authority("authority", authority)?;
        let timeout = timeout.limit().map(|limit| format!("{}m", limit.as_millis().min(99_999_999)).into());
        Ok(Grpc { authority: authority.into(), sent: names("requestHeaders", sent)?, timeout })
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    pub(super) fn question(
        &self,
        request: &RequestHead,
        body: &[u8],
        facts: &Facts<'_>,
        head: &mut RequestHead,
    ) -> Vec<u8> {
        head.set_method(b"POST");
        head.scheme = Scheme::Http;
        head.set_path_and_query(METHOD.as_bytes());
        head.fields.push_known(Known::ContentType, b"application/grpc");
        head.fields.push_known(Known::Te, b"trailers");
        if let Some(timeout) = &self.timeout {
            head.fields.push_known(Known::GrpcTimeout, timeout.as_bytes());
        }
        let message = CheckRequest { attributes: Some(self.attributes(request, body, facts)) };
        let mut frame = vec![0; FRAME_HEAD];
        frame.reserve(message.encoded_len());
        // Only a buffer that is too small fails; a Vec is not.
        let _ = message.encode(&mut frame);
        let length = u32::try_from(frame.len() - FRAME_HEAD).unwrap_or(u32::MAX);
        frame[1..FRAME_HEAD].copy_from_slice(&length.to_be_bytes());
        frame
    }

    fn attributes(&self, request: &RequestHead, body: &[u8], facts: &Facts<'_>) -> AttributeContext {
        let time = facts.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        // A body that is text is told as text, as by Envoy.
        let (body, raw_body) = match std::str::from_utf8(body) {
            Ok(text) => (text.to_owned(), Vec::new()),
            Err(_) => (String::new(), body.to_vec()),
        };
        let http = HttpRequest {
            id: request.fields.get(Known::XRequestId).map(text).unwrap_or_default(),
            method: text(request.method_bytes()),
            headers: self.headers(request),
            path: text(request.path_and_query()),
            host: text(request.authority()),
            scheme: request.scheme.name().to_owned(),
            size: facts.size.and_then(|size| i64::try_from(size).ok()).unwrap_or(-1),
            protocol: match request.version {
                Version::Http10 => "HTTP/1.0",
                Version::Http11 => "HTTP/1.1",
                Version::H2 => "HTTP/2",
            }
            .to_owned(),
            body,
            raw_body,
        };
        AttributeContext {
            source: Some(Peer { principal: facts.principal.to_owned(), ..peer(facts.client) }),
            destination: Some(peer(facts.local)),
            request: Some(Request {
                time: Some(Timestamp {
                    seconds: i64::try_from(time.as_secs()).unwrap_or_default(),
                    nanos: i32::try_from(time.subsec_nanos()).unwrap_or_default(),
                }),
                http: Some(http),
            }),
            tls_session: (!facts.server_name.is_empty()).then(|| TlsSession { sni: facts.server_name.to_owned() }),
        }
    }

    /// Fields of one name become one (RFC 9110 §5.3), so that the service can't see another value than the backend.
    fn headers(&self, request: &RequestHead) -> BTreeMap<String, String> {
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        let mut add = |name: &[u8], value: &[u8]| {
            let joint = if name == b"cookie" { "; " } else { "," };
            let value = text(value);
            headers
                .entry(text(name))
                .and_modify(|all| {
                    all.push_str(joint);
                    all.push_str(&value);
                })
                .or_insert(value);
        };
        if self.sent.is_empty() {
            add(b":authority", request.authority());
            add(b":method", request.method_bytes());
            add(b":path", request.path_and_query());
            add(b":scheme", request.scheme.name().as_bytes());
            for field in request.fields.iter() {
                add(field.name, field.value);
            }
        }
        for name in &self.sent {
            for value in request.fields.all_name(name) {
                add(name, value);
            }
            if **name == *b"host" {
                add(name, request.authority());
            }
        }
        headers
    }

    pub(super) fn decide(&self, head: &ResponseHead, body: &[u8], trailers: &Fields) -> Decision {
        let status = trailers.get(Known::GrpcStatus).or_else(|| head.fields.get(Known::GrpcStatus));
        if head.status != 200 || status != Some(b"0") {
            return Decision::Error(None);
        }
        let Some(response) = message(body).and_then(|message| CheckResponse::decode(message).ok()) else {
            return Decision::Error(None);
        };
        let consents = response.status.is_none_or(|status| status.code == 0);
        let decision = match (response.error_response, response.denied_response, response.ok_response) {
            (Some(error), ..) => denial(Some(error), ERROR).map(|reply| Decision::Error(Some(reply))),
            (None, None, ok) if consents => {
                ok.map(grant).transpose().map(|grant| Decision::Allow(grant.unwrap_or_default()))
            }
            (None, denied, _) => denial(denied, DENIED).map(Decision::Deny),
        };
        decision.unwrap_or(Decision::Invalid)
    }
}

/// The only message of a unary response, not compressed.
fn message(body: &[u8]) -> Option<&[u8]> {
    let (head, message) = body.split_first_chunk::<FRAME_HEAD>()?;
    let [compressed, length @ ..] = head;
    (*compressed == 0 && u32::from_be_bytes(*length) as usize == message.len()).then_some(message)
}

fn grant(ok: OkHttpResponse) -> Result<Grant, Invalid> {
    let (mut request, mut response) = (Changes::default(), Changes::default());
    for option in &ok.headers {
        add(option, &mut request)?;
    }
    for name in &ok.headers_to_remove {
        request.add(name.as_bytes(), b"", Action::Remove)?;
    }
    for option in &ok.response_headers_to_add {
        add(option, &mut response)?;
    }
    let set = ok.query_parameters_to_set.into_iter().map(|parameter| (parameter.key, parameter.value)).collect();
    Grant::new(request, response).with_query(ok.query_parameters_to_remove, set)
}

/// What the client is told; 403 when the service does not say.
fn denial(denied: Option<DeniedHttpResponse>, details: &'static str) -> Result<Box<Reply>, Invalid> {
    let denied = denied.unwrap_or_default();
    let status = denied.status.map(|status| status.code).unwrap_or_default();
    let status = u16::try_from(status).ok().filter(|status| (200..600).contains(status)).unwrap_or(403);
    let mut changes = Changes::default();
    for option in &denied.headers {
        add(option, &mut changes)?;
    }
    let mut fields = Fields::new();
    changes.apply(&mut fields);
    let body = if matches!(status, 204 | 205 | 304) { String::new() } else { denied.body };
    Ok(Box::new(Reply { status, fields, body: body.into(), details }))
}

/// `append` where it is set; it counts as false in these messages, and so does the default of `append_action`.
fn add(option: &HeaderValueOption, changes: &mut Changes) -> Result<(), Invalid> {
    let Some(header) = &option.header else { return Ok(()) };
    let value = if header.raw_value.is_empty() { header.value.as_bytes() } else { &header.raw_value };
    let action = match (option.append, option.append_action) {
        (Some(true), _) => Action::Append,
        (Some(false), _) | (None, 0 | 2) => Action::Set,
        (None, 1) => Action::AddIfAbsent,
        (None, 3) => Action::SetIfPresent,
        (None, _) => return Err(Invalid),
    };
    changes.add(header.key.as_bytes(), value, action)
}

fn peer(address: SocketAddr) -> Peer {
    let socket = SocketAddress { address: address.ip().to_canonical().to_string(), port_value: address.port().into() };
    Peer { address: Some(Address { socket_address: Some(socket) }), ..Peer::default() }
}

/// Protobuf's strings are UTF-8; what is not becomes `!`, as by Envoy.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.utf8_chunks().fold(String::with_capacity(bytes.len()), |mut text, chunk| {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|_| '!'));
            text
        }),
    }
}

/// Flag and length before a message.
const FRAME_HEAD: usize = 5;
