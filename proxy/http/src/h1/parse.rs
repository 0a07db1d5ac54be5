//! Heads from bytes, strictly.
//!
//! httparse checks the grammar; this module adds what it is lenient about (line ends, empty lines, targets) and what a proxy
//! must decide once (authority, framing, persistence). All functions work on a prefix of the stream and say `None` when it ends too early.

use std::mem::MaybeUninit;

use httparse::{Error as Grammar, Status};

use crate::authority;
use crate::error::{Error, Reject};
use crate::fields::Fields;
use crate::framing::Framing;
use crate::h1::preface::PREFACE_LINE;
use crate::known::Known;
use crate::limits::{Limits, Underscores};
use crate::method::{Method, Scheme, Version};
use crate::request::{RequestHead, Upgrade};
use crate::response::ResponseHead;
use crate::target::{self, Target};

/// A complete head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Bytes of the head, with what was skipped before it.
    pub len: usize,
    /// How its content is delimited.
    pub framing: Framing,
    /// Whether the peer is willing to use the connection again.
    pub keep_alive: bool,
}

/// Most fields a head can have, whatever the limit says.
const MAX_FIELDS: usize = 256;

/// Parses a request head into `head`, which is empty. `scheme` is the connection's.
pub(crate) fn request(
    input: &[u8],
    head: &mut RequestHead,
    limits: &Limits,
    scheme: Scheme,
) -> Result<Option<Parsed>, Reject> {
    let Some(skip) = empty_line(input)? else { return Ok(None) };
    let bytes = &input[skip..];
    if bytes[0] == b'P' && PREFACE_LINE.starts_with(bytes) && bytes != PREFACE_LINE {
        // Who serves the connection tells HTTP/2 by the whole line.
        return Ok(None);
    }
    let mut slots = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let slots = &mut slots[..MAX_FIELDS.min(limits.max_headers as usize)];
    let mut parsed = httparse::Request::new(&mut []);
    let len = match parsed.parse_with_uninit_headers(bytes, slots) {
        Ok(Status::Complete(len)) if len > limits.max_head_bytes as usize => return Err(HEAD_TOO_LARGE),
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return partial_request(bytes, limits).map(|()| None),
        Err(e) => return Err(bad_request(e, bytes)),
    };
    let (Some(method), Some(path), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Reject::bad("http1.codec_error"));
    };
    if path.len() > limits.max_target_bytes as usize {
        return Err(TARGET_TOO_LONG);
    }
    head.version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    head.scheme = scheme;
    head.set_method(method.as_bytes());
    if head.version == Version::Http10 && !limits.accept_http10 {
        return Err(Reject::closing(426, "low_version"));
    }
    let (host, options) = take_fields(&bytes[..len], parsed.headers, &mut head.fields, Some(limits.underscores))?;
    place_target(head, path.as_bytes(), host, limits)?;
    let framing = Framing::of_request(head.version, &head.fields, None)?;
    head.upgrade = requested_upgrade(head, options);
    if head.upgrade.is_some() && framing != Framing::Empty {
        // Behind an upgrade a body and the new protocol's first bytes cannot be told apart by everyone.
        return Err(Reject::bad("http1.body_disallowed"));
    }
    check_expect(head)?;
    Ok(Some(Parsed { len: skip + len, framing, keep_alive: options.keep_alive(head.version) }))
}

/// Parses a response head into `head`, which is empty. `to_head` is whether it answers a HEAD request.
pub(crate) fn response(
    bytes: &[u8],
    head: &mut ResponseHead,
    limits: &Limits,
    to_head: bool,
) -> Result<Option<Parsed>, Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    // httparse skips empty lines first, even in responses.
    if bytes[0] != b'H' {
        return Err(Error::protocol("http1.invalid_status_line"));
    }
    let mut slots = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let slots = &mut slots[..MAX_FIELDS.min(limits.max_headers as usize)];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let len = match config.parse_response_with_uninit_headers(&mut parsed, bytes, slots) {
        Ok(Status::Complete(len)) if len <= limits.max_head_bytes as usize => len,
        Ok(Status::Partial) if bytes.len() <= limits.max_head_bytes as usize => return Ok(None),
        Ok(_) => return Err(Error::too_large("http1.headers_too_large")),
        Err(e) => return Err(bad_response(e)),
    };
    let (Some(status), Some(minor)) = (parsed.code, parsed.version) else {
        return Err(Error::protocol("http1.codec_error"));
    };
    if status < 100 {
        return Err(Error::protocol("http1.invalid_status_line"));
    }
    head.status = status;
    head.version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let (_, options) =
        take_fields(&bytes[..len], parsed.headers, &mut head.fields, None).map_err(|r| Error::protocol(r.details))?;
    let framing = Framing::of_response(head.version, &head.fields, status, to_head, None)?;
    let keep_alive = framing != Framing::UntilClose && options.keep_alive(head.version);
    Ok(Some(Parsed { len, framing, keep_alive }))
}

/// What the `Connection` fields of a message say.
#[derive(Clone, Copy, Default)]
pub(crate) struct Options {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    /// There are other words: names of fields that concern this connection only.
    pub(crate) nominates: bool,
}

impl Options {
    #[inline]
    pub(crate) fn of(fields: &Fields) -> Options {
        let mut options = Options::default();
        for value in fields.all(Known::Connection) {
            options.nominates |= options.add_all(value);
        }
        options
    }

    /// Whether a word is no field's name but says something itself.
    pub(crate) fn is_option(token: &[u8]) -> bool {
        Options::default().add(token)
    }

    /// Whether the connection outlives the exchange, as far as the peer is concerned (RFC 9112 §9.3).
    fn keep_alive(self, version: Version) -> bool {
        !self.close && (self.keep_alive || version != Version::Http10)
    }

    /// Takes a field's value; says whether it nominates.
    #[inline]
    fn add_all(&mut self, value: &[u8]) -> bool {
        // Nearly always one word.
        let mut nominates = false;
        if !self.add(value) {
            tokens(value).for_each(|token| nominates |= !self.add(token));
        }
        nominates
    }

    #[inline]
    fn add(&mut self, word: &[u8]) -> bool {
        match word.len() {
            10 if word == b"keep-alive" || word.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
            5 if word == b"close" || word.eq_ignore_ascii_case(b"close") => self.close = true,
            7 if word.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            2 if word.eq_ignore_ascii_case(b"te") => {}
            _ => return false,
        }
        true
    }
}

/// The elements of a comma-separated list, trimmed.
pub(crate) fn tokens(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|c| *c == b',').map(<[u8]>::trim_ascii).filter(|t| !t.is_empty())
}

/// Length of the one empty line that is allowed before a request (RFC 9112 §2.2); `None` when it is cut off.
fn empty_line(input: &[u8]) -> Result<Option<usize>, Reject> {
    let skip = match input {
        [] | [b'\r'] => return Ok(None),
        [b'\r', b'\n', ..] => 2,
        _ => 0,
    };
    match input.get(skip) {
        None => Ok(None),
        Some(b'\r' | b'\n') => Err(Reject::bad("http1.invalid_line_end")),
        Some(_) => Ok(Some(skip)),
    }
}

/// Moves the fields into the head: all lines with one copy, and again those that are not `name: value\r\n` to the byte. For requests, which
/// `underscores` is given for, `Host` is returned instead. A response's `Connection` that nominates nothing has said all with the options
/// that are returned, and is left out.
///
/// Refuses line feeds without a carriage return, which httparse accepts. Carriage returns elsewhere it refuses itself.
#[inline]
fn take_fields<'a>(
    bytes: &'a [u8],
    headers: &[httparse::Header<'a>],
    fields: &mut Fields,
    underscores: Option<Underscores>,
) -> Result<(Option<&'a [u8]>, Options), Reject> {
    let offset = |part: *const u8| part as usize - bytes.as_ptr() as usize;
    // The start line ends where the first field begins, or the empty line.
    let first = headers.first().map_or(bytes.len().saturating_sub(2), |h| offset(h.name.as_ptr()));
    if !bytes[..first].ends_with(b"\r\n") || !bytes.ends_with(b"\r\n") {
        return Err(BARE_LF);
    }
    let copied = fields.copy_lines(&bytes[first..]);
    let (mut host, mut options, mut underscored) = (None, Options::default(), false);
    for h in headers {
        let (name, value) = (h.name.as_bytes(), h.value);
        let (start, value_start) = (offset(name.as_ptr()), offset(value.as_ptr()));
        let end = value_start + value.len();
        let ends = bytes[end..].starts_with(b"\r\n");
        let (at, known) = if ends && bytes[start + name.len()..value_start] == *b": " {
            let at = copied + start - first;
            (at, fields.name_line(at, name.len()))
        } else if ends || bytes[end..].iter().find(|c| !matches!(c, b' ' | b'\t')) == Some(&b'\r') {
            fields.copy_line(name, value)
        } else {
            return Err(BARE_LF);
        };
        match (known, underscores) {
            (Known::Connection, _) => {
                let nominates = options.add_all(value);
                if underscores.is_none() && !nominates {
                    continue;
                }
            }
            (Known::Host, Some(_)) => {
                if host.replace(value).is_some() {
                    return Err(Reject::bad("http1.several_hosts"));
                }
                continue;
            }
            // No known name has one.
            (Known::Other, Some(wanted)) if wanted != Underscores::Allow && name.contains(&b'_') => {
                if wanted == Underscores::Drop {
                    continue;
                }
                underscored = true;
            }
            _ => {}
        }
        fields.push_line(at, name.len(), value.len(), known);
    }
    if underscored && underscores.is_some_and(|underscores| underscores.refuse(fields)) {
        return Err(Reject::bad("http1.unexpected_underscore"));
    }
    Ok((host, options))
}

const BARE_LF: Reject = Reject::bad("http1.invalid_line_end");

fn place_target(head: &mut RequestHead, target: &[u8], host: Option<&[u8]>, limits: &Limits) -> Result<(), Reject> {
    let parsed = match host {
        None if head.version == Version::Http10 => None,
        None => return Err(Reject::bad("missing_host_header")),
        Some(host) => Some(authority::parse(host).ok_or(Reject::bad("http1.invalid_host"))?),
    };
    match target::parse(head.method(), target)? {
        Target::Origin(path) => head.set_path_and_query(path),
        Target::Asterisk => head.set_path_and_query(b"*"),
        Target::Absolute { scheme, authority: named, path } => {
            if scheme == Scheme::Https && head.scheme == Scheme::Http {
                return Err(Reject::closing(403, "http1.invalid_scheme"));
            }
            let differs = host.is_some_and(|host| !authority::same(host, named, scheme.default_port()));
            if differs && !limits.allow_host_mismatch {
                return Err(Reject::bad("http1.host_mismatch"));
            }
            match path {
                // RFC 9112 §3.2.4: what a proxy's client says for the server as a whole.
                [] if head.method() == Method::Options => head.set_path_and_query(b"*"),
                path => head.set_absolute_path(path),
            }
            head.set_authority(named);
            return Ok(());
        }
    }
    if let (Some(host), Some(parsed)) = (host, parsed) {
        head.set_parsed_authority(host, parsed);
    }
    Ok(())
}

fn requested_upgrade(head: &RequestHead, options: Options) -> Option<Upgrade> {
    let asked = options.upgrade && head.version == Version::Http11 && head.method() == Method::Get;
    let mut protocols = head.fields.all(Known::Upgrade);
    let only = protocols.next().filter(|p| asked && p.eq_ignore_ascii_case(b"websocket"))?;
    (protocols.next().is_none() && !only.is_empty()).then_some(Upgrade::WebSocket)
}

/// Refuses expectations other than the one there is. From HTTP/1.0 they are ignored, and must not be passed on as ours (RFC 9110 §10.1.1).
fn check_expect(head: &mut RequestHead) -> Result<(), Reject> {
    if head.version == Version::Http10 {
        head.fields.remove_known(Known::Expect);
        return Ok(());
    }
    let odd = head.fields.all(Known::Expect).any(|v| !v.eq_ignore_ascii_case(b"100-continue"));
    if odd { Err(Reject::closing(417, "http1.invalid_expectation")) } else { Ok(()) }
}

/// Whether an incomplete head is too large already.
fn partial_request(bytes: &[u8], limits: &Limits) -> Result<(), Reject> {
    if memchr::memchr(b'\n', bytes).is_none()
        && let Some(space) = memchr::memchr(b' ', bytes)
    {
        let target = bytes[space + 1..].split(|c| *c == b' ').next().unwrap_or_default();
        if target.len() > limits.max_target_bytes as usize {
            return Err(TARGET_TOO_LONG);
        }
    }
    if bytes.len() > limits.max_head_bytes as usize { Err(HEAD_TOO_LARGE) } else { Ok(()) }
}

fn bad_request(e: Grammar, bytes: &[u8]) -> Reject {
    match e {
        Grammar::TooManyHeaders => Reject::closing(431, "http1.too_many_headers"),
        Grammar::HeaderName => Reject::bad("http1.invalid_header_name"),
        Grammar::HeaderValue => Reject::bad("http1.invalid_header_value"),
        Grammar::NewLine => Reject::bad("http1.invalid_line_end"),
        Grammar::Version if names_other_version(bytes) => Reject::closing(505, "http1.unsupported_version"),
        Grammar::Version => Reject::bad("http1.invalid_request_line"),
        Grammar::Token => Reject::bad("http1.invalid_request_line"),
        Grammar::Status => Reject::bad("http1.codec_error"),
    }
}

/// Whether a request line, complete or not, names a version that is not ours, such as `HTTP/2.0`.
fn names_other_version(bytes: &[u8]) -> bool {
    let mut words = bytes.split(|c| matches!(c, b' ' | b'\r' | b'\n')).skip(2);
    matches!(words.next(), Some([b'H', b'T', b'T', b'P', b'/', major, ..]) if major.is_ascii_digit())
}

fn bad_response(e: Grammar) -> Error {
    match e {
        Grammar::TooManyHeaders => Error::too_large("http1.too_many_headers"),
        Grammar::HeaderName => Error::protocol("http1.invalid_header_name"),
        Grammar::HeaderValue => Error::protocol("http1.invalid_header_value"),
        Grammar::NewLine => Error::protocol("http1.invalid_line_end"),
        Grammar::Status | Grammar::Token | Grammar::Version => Error::protocol("http1.invalid_status_line"),
    }
}

const HEAD_TOO_LARGE: Reject = Reject::closing(431, "http1.headers_too_large");
const TARGET_TOO_LONG: Reject = Reject::closing(414, "http1.target_too_long");

#[cfg(test)]
mod tests;
