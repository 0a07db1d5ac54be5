//! Heads and trailers between the `http` crate's types and ours.
//!
//! The `h2` crate has refused upper-case names, connection fields, `TE` other than `trailers`, misplaced, repeated or missing
//! pseudo fields, and bytes that no field may have. What is left is checked here, as strictly as on HTTP/1.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery};

use crate::authority;
use crate::error::{Error, Reject};
use crate::fields::Fields;
use crate::framing::Framing;
use crate::h1::is_forbidden_trailer;
use crate::h2::websocket;
use crate::known::{self, Known, Set};
use crate::limits::{Limits, Underscores};
use crate::method::{Method, Scheme, Version};
use crate::request::{RequestHead, Upgrade};
use crate::response::ResponseHead;
use crate::target;

/// Fills `head`, which is empty, from a request's head. `ended` is whether no content follows.
pub(super) fn request(
    parts: &http::request::Parts,
    head: &mut RequestHead,
    limits: &Limits,
    scheme: Scheme,
    ended: bool,
) -> Result<Framing, Reject> {
    head.version = Version::H2;
    head.set_method(parts.method.as_str().as_bytes());
    // What the client claims is only checked: backends are told (`x-forwarded-proto`) what the connection is.
    if parts.uri.scheme_str().is_some_and(|name| Scheme::of(name.as_bytes()).is_none()) {
        return Err(Reject::bad("http2.invalid_scheme"));
    }
    head.scheme = scheme;
    if parts.headers.len() > limits.max_headers as usize {
        return Err(Reject::closing(431, "http2.too_many_headers"));
    }
    let host = take_fields(&parts.headers, &mut head.fields, limits.underscores)?;
    place_target(parts, head, host, limits)?;
    let framing = Framing::of_request(Version::H2, &head.fields, Some(ended))?;
    if head.fields.all(Known::Expect).any(|v| !v.eq_ignore_ascii_case(b"100-continue")) {
        return Err(Reject::closing(417, "http2.invalid_expectation"));
    }
    head.fields.join(Known::Cookie, b"; ");
    if head.method() == Method::Connect {
        return extended_connect(parts, head, framing);
    }
    Ok(framing)
}

/// An extended CONNECT to a WebSocket reads as the upgrade it stands for; other CONNECTs are not served.
fn extended_connect(parts: &http::request::Parts, head: &mut RequestHead, framing: Framing) -> Result<Framing, Reject> {
    let to = parts.extensions.get::<::h2::ext::Protocol>();
    if !to.is_some_and(|p| p.as_str().eq_ignore_ascii_case("websocket")) {
        return Err(target::CONNECT);
    }
    if framing != Framing::Streamed {
        return Err(Reject::bad("http2.body_disallowed"));
    }
    head.set_method(b"GET");
    head.upgrade = Some(Upgrade::WebSocket);
    head.fields.push_known(Known::Connection, b"upgrade");
    head.fields.push_known(Known::Upgrade, b"websocket");
    if !head.fields.contains(Known::SecWebsocketKey) {
        head.fields.push_known(Known::SecWebsocketKey, &websocket::key());
    }
    Ok(Framing::Empty)
}

fn take_fields<'a>(
    map: &'a HeaderMap,
    fields: &mut Fields,
    underscores: Underscores,
) -> Result<Option<&'a [u8]>, Reject> {
    let (mut host, mut underscored) = (None, false);
    for (name, value) in map {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        if name == b"host" {
            if host.replace(value).is_some() {
                return Err(Reject::bad("http2.several_hosts"));
            }
            continue;
        }
        if underscores != Underscores::Allow && name.contains(&b'_') {
            if underscores == Underscores::Drop {
                continue;
            }
            underscored = true;
        }
        // RFC 9113 §8.2.1: no white space around values.
        if value.trim_ascii().len() != value.len() {
            return Err(Reject::bad("http2.invalid_header_value"));
        }
        fields.push(name, value);
    }
    if underscored && underscores.refuse(fields) {
        return Err(Reject::bad("http2.unexpected_underscore"));
    }
    Ok(host)
}

fn place_target(
    parts: &http::request::Parts,
    head: &mut RequestHead,
    host: Option<&[u8]>,
    limits: &Limits,
) -> Result<(), Reject> {
    let named = parts.uri.authority().map(|a| a.as_str().as_bytes());
    if let (Some(named), Some(host)) = (named, host)
        && !limits.allow_host_mismatch
        && !authority::same(named, host, head.scheme.default_port())
    {
        return Err(Reject::bad("http2.host_mismatch"));
    }
    let authority = named.or(host).ok_or(Reject::bad("missing_host_header"))?;
    if !authority::is_valid(authority) {
        return Err(Reject::bad("http2.invalid_authority"));
    }
    head.set_authority(authority);
    let Some(path) = parts.uri.path_and_query().map(|p| p.as_str().as_bytes()) else {
        // Only a plain CONNECT has none.
        return Err(target::CONNECT);
    };
    if path.len() > limits.max_target_bytes as usize {
        return Err(Reject::closing(414, "http2.target_too_long"));
    }
    target::check_characters(path).map_err(|_| Reject::bad("http2.invalid_path"))?;
    if path.first() != Some(&b'/') && !(path == b"*" && head.method() == Method::Options) {
        return Err(Reject::bad("http2.invalid_path"));
    }
    head.set_path_and_query(path);
    Ok(())
}

/// Fills `head`, which is empty, from a response's head.
pub(super) fn response(parts: &http::response::Parts, head: &mut ResponseHead, limits: &Limits) -> Result<(), Error> {
    head.status = parts.status.as_u16();
    head.version = Version::H2;
    if parts.headers.len() > limits.max_headers as usize {
        return Err(Error::too_large("http2.too_many_headers"));
    }
    for (name, value) in &parts.headers {
        head.fields.push(name.as_str().as_bytes(), value.as_bytes().trim_ascii());
    }
    Ok(())
}

/// Fills `trailers`, which is empty, without what trailers must not carry.
pub(super) fn trailers(map: &HeaderMap, trailers: &mut Fields) {
    for (name, value) in map {
        if !is_forbidden_trailer(Known::of(name.as_str().as_bytes())) {
            trailers.push(name.as_str().as_bytes(), value.as_bytes().trim_ascii());
        }
    }
}

/// The request to send for a head.
pub(super) fn to_request(head: &RequestHead, framing: Framing) -> Result<http::Request<()>, Error> {
    const UNSENDABLE: Error = Error::local("http2.unsendable_head");
    let mut request = http::Request::new(());
    *request.method_mut() = match head.upgrade {
        Some(Upgrade::WebSocket) => {
            request.extensions_mut().insert(::h2::ext::Protocol::from_static("websocket"));
            http::Method::CONNECT
        }
        None => http::Method::from_bytes(head.method_bytes()).map_err(|_| UNSENDABLE)?,
    };
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = Some(path_and_query(head.path_and_query()).ok_or(UNSENDABLE)?);
    if !head.authority().is_empty() {
        let authority = Bytes::copy_from_slice(head.authority());
        uri.authority = Some(Authority::from_maybe_shared(authority).map_err(|_| UNSENDABLE)?);
        uri.scheme = Some(match head.scheme {
            Scheme::Http => http::uri::Scheme::HTTP,
            Scheme::Https => http::uri::Scheme::HTTPS,
        });
        *request.version_mut() = http::Version::HTTP_2;
    }
    *request.uri_mut() = http::Uri::from_parts(uri).map_err(|_| UNSENDABLE)?;
    let map = request.headers_mut();
    map.reserve(head.fields.len() + 1);
    fill(&head.fields, map, |f| match f {
        Known::Te => head.fields.get(Known::Te) == Some(b"trailers"),
        Known::SecWebsocketKey => head.upgrade.is_none(),
        f => !NOT_FOR_HTTP2.contains(f),
    })?;
    match framing {
        Framing::Length(n) => put_length(map, n),
        Framing::Empty if head.method().expects_content() => put_length(map, 0),
        _ => {}
    }
    Ok(request)
}

/// The response to send for a head. `bodiless` is whether no content follows whatever the framing says.
pub(super) fn to_response(
    head: &ResponseHead,
    framing: Framing,
    to_head: bool,
    switched: bool,
) -> Result<http::Response<()>, Error> {
    let mut response = http::Response::new(());
    let status = if switched { 200 } else { head.status };
    *response.status_mut() = http::StatusCode::from_u16(status).map_err(|_| Error::local("http2.unsendable_head"))?;
    let map = response.headers_mut();
    map.reserve(head.fields.len() + 1);
    fill(&head.fields, map, |f| match f {
        Known::SecWebsocketAccept => !switched,
        f => !NOT_FOR_HTTP2.contains(f),
    })?;
    match framing {
        _ if switched || status < 200 || status == 204 => {}
        Framing::Length(n) => put_length(map, n),
        _ if to_head || status == 304 => {
            if let Some(n) = head.fields.get(Known::ContentLength).and_then(crate::parse_length) {
                put_length(map, n);
            }
        }
        _ => {}
    }
    Ok(response)
}

/// The trailers to send.
pub(super) fn to_trailers(trailers: &Fields) -> Result<HeaderMap, Error> {
    let mut map = HeaderMap::with_capacity(trailers.len());
    fill(trailers, &mut map, |f| !is_forbidden_trailer(f))?;
    Ok(map)
}

fn fill(fields: &Fields, map: &mut HeaderMap, keep: impl Fn(Known) -> bool) -> Result<(), Error> {
    const UNSENDABLE: Error = Error::local("http2.unsendable_head");
    for f in fields.iter() {
        if keep(f.known) {
            let name = match f.known {
                Known::Other => HeaderName::from_lowercase(f.name).map_err(|_| UNSENDABLE)?,
                known => NAMES[known as usize].clone(),
            };
            let value = HeaderValue::from_bytes(f.value).map_err(|_| UNSENDABLE)?;
            map.try_append(name, value).map_err(|_| Error::too_large("http2.headers_too_large"))?;
        }
    }
    Ok(())
}

fn put_length(map: &mut HeaderMap, n: u64) {
    map.insert(http::header::CONTENT_LENGTH, HeaderValue::from(n));
}

/// Fields that only have a meaning on HTTP/1 connections, or that this module writes itself.
static NOT_FOR_HTTP2: Set = Set::of(&[
    Known::Connection,
    Known::ContentLength,
    Known::Host,
    Known::Http2Settings,
    Known::KeepAlive,
    Known::ProxyConnection,
    Known::Te,
    Known::TransferEncoding,
    Known::Upgrade,
]);

/// A path as the `http` crate takes it; it insists on percent-encoding for three characters that HTTP/1 clients send as they are.
fn path_and_query(path: &[u8]) -> Option<PathAndQuery> {
    if let Ok(path) = PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(path)) {
        return Some(path);
    }
    let mut encoded = Vec::with_capacity(path.len() + 16);
    for c in path {
        match c {
            b'<' => encoded.extend_from_slice(b"%3C"),
            b'>' => encoded.extend_from_slice(b"%3E"),
            b'`' => encoded.extend_from_slice(b"%60"),
            c => encoded.push(*c),
        }
    }
    PathAndQuery::from_maybe_shared(Bytes::from(encoded)).ok()
}

/// The `http` crate's names of the known fields.
static NAMES: LazyLock<Vec<HeaderName>> = LazyLock::new(|| {
    known::all().map(|k| HeaderName::from_static(if k == Known::Other { "x" } else { k.name() })).collect()
});
