//! Looking at a ClientHello without answering it: where a TLS connection wants to go when it is only passed through.

use std::future::poll_fn;
use std::io;

use bytes::{Bytes, BytesMut};

use crate::Stream;

/// What a ClientHello asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The host name (SNI, RFC 6066 §3), lower-case. Letters, digits, `-`, `_` and `.` only, so it is safe to log.
    pub server_name: Option<Box<str>>,
    /// The protocols offered (RFC 7301), in the client's order.
    pub alpn: Vec<Box<[u8]>>,
}

/// Reads the ClientHello and gives it back with the stream, which then reads as if nothing had happened.
///
/// At most `limit` bytes are read (Envoy's TLS inspector takes 16 KiB). Has no time limit.
pub async fn peek_client_hello(mut stream: Stream, limit: usize) -> Result<(ClientHello, Stream), PeekError> {
    let mut seen = BytesMut::new();
    loop {
        match parse_client_hello(&seen) {
            Ok(Some(hello)) => return Ok((hello, stream.with_prefix(seen.freeze()))),
            Ok(None) if seen.len() >= limit => return Err(PeekError::TooLarge),
            Ok(None) => {}
            Err(MalformedHello) => return Err(PeekError::NotTls { stream: Box::new(stream), seen: seen.freeze() }),
        }
        poll_fn(|cx| stream.poll_readable(cx)).await?;
        let start = seen.len();
        seen.resize(limit.min(start + STEP), 0);
        let n = poll_fn(|cx| stream.poll_read_into(cx, &mut seen[start..])).await?;
        if n == 0 {
            return Err(PeekError::Closed);
        }
        seen.truncate(start + n);
    }
}

/// Why there is no ClientHello.
#[derive(Debug, thiserror::Error)]
pub enum PeekError {
    /// The client closed before it had sent one.
    #[error("the peer closed the connection before it had sent a ClientHello")]
    Closed,
    /// It is larger than allowed.
    #[error("the ClientHello is too large")]
    TooLarge,
    /// It is something else; what was read is here, for protocols that are told apart this way.
    #[error("the peer does not speak TLS")]
    NotTls {
        /// Where the bytes came from; they are not put back.
        stream: Box<Stream>,
        /// All that was read.
        seen: Bytes,
    },
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The bytes cannot become a ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a TLS ClientHello")]
pub struct MalformedHello;

/// Parses the beginning of a connection: one ClientHello (RFC 8446 §4.1.2, also of TLS 1.0 to 1.2), which may be split over
/// several records in any way.
///
/// `Ok(None)` asks for more bytes. What does not fit is noticed at the first wrong byte, and lengths are never trusted
/// beyond the bytes that are there. The result does not depend on how the bytes came in pieces.
pub fn parse_client_hello(bytes: &[u8]) -> Result<Option<ClientHello>, MalformedHello> {
    let mut joined = Vec::new();
    let mut rest = bytes;
    loop {
        let record = record(&mut rest)?;
        let Some((fragment, complete)) = record else {
            return Ok(None);
        };
        joined.extend_from_slice(fragment);
        if let Some(body) = message(&joined)? {
            return hello(body).map(Some);
        }
        if !complete {
            return Ok(None);
        }
    }
}

/// Bytes asked for at once; most hellos fit, those with post-quantum keys need two.
const STEP: usize = 2048;

/// RFC 8446 §5.1.
const MAX_RECORD: usize = 1 << 14;

/// The payload of the next record, as far as it is there, and whether that is all of it. `None` when the record's head is
/// not complete.
fn record<'a>(rest: &mut &'a [u8]) -> Result<Option<(&'a [u8], bool)>, MalformedHello> {
    let bytes = *rest;
    // Handshake, then major version 3 with a minor that has ever existed.
    let plausible = [|b| b == 22, |b| b == 3, |b| b <= 4] as [fn(u8) -> bool; 3];
    if bytes.iter().zip(plausible).any(|(byte, is_plausible)| !is_plausible(*byte)) {
        return Err(MalformedHello);
    }
    let Some((head, payload)) = bytes.split_at_checked(5) else {
        return Ok(None);
    };
    let len = usize::from(u16::from_be_bytes([head[3], head[4]]));
    if len == 0 || len > MAX_RECORD {
        return Err(MalformedHello);
    }
    match payload.split_at_checked(len) {
        Some((fragment, after)) => {
            *rest = after;
            Ok(Some((fragment, true)))
        }
        None => Ok(Some((payload, false))),
    }
}

/// The body of the first handshake message, once it is complete.
fn message(bytes: &[u8]) -> Result<Option<&[u8]>, MalformedHello> {
    const CLIENT_HELLO: u8 = 1;
    // Larger ones exist nowhere, and 64 KiB is what rustls takes.
    const MAX_MESSAGE: usize = 0xffff;
    match bytes {
        [kind, ..] if *kind != CLIENT_HELLO => Err(MalformedHello),
        [_, a, b, c, body @ ..] => {
            let len = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            if len > MAX_MESSAGE { Err(MalformedHello) } else { Ok(body.get(..len)) }
        }
        _ => Ok(None),
    }
}

fn hello(body: &[u8]) -> Result<ClientHello, MalformedHello> {
    let mut body = Cursor(body);
    body.take(2 + 32)?; // legacy_version, random
    body.sized8()?; // legacy_session_id
    body.sized16()?; // cipher_suites
    body.sized8()?; // legacy_compression_methods
    let mut hello = ClientHello::default();
    if body.0.is_empty() {
        return Ok(hello); // RFC 5246 §7.4.1.2: extensions may be absent.
    }
    let mut extensions = Cursor(body.sized16()?);
    body.end()?;
    let (mut has_name, mut has_alpn) = (false, false);
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let data = Cursor(extensions.sized16()?);
        match kind {
            0 if std::mem::replace(&mut has_name, true) => return Err(MalformedHello),
            0 => hello.server_name = server_name(data)?,
            16 if std::mem::replace(&mut has_alpn, true) => return Err(MalformedHello),
            16 => hello.alpn = alpn(data)?,
            _ => {}
        }
    }
    Ok(hello)
}

/// RFC 6066 §3: one list with one host name; no other kind of name was ever defined.
fn server_name(mut data: Cursor<'_>) -> Result<Option<Box<str>>, MalformedHello> {
    let mut list = Cursor(data.sized16()?);
    data.end()?;
    let kind = list.take(1)?;
    let name = list.sized16()?;
    list.end()?;
    let is_host = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    if kind != [0] || name.is_empty() || name.len() > 255 || !name.iter().all(is_host) {
        return Err(MalformedHello);
    }
    let name = std::str::from_utf8(name).map_err(|_| MalformedHello)?.to_ascii_lowercase();
    Ok(Some(name.strip_suffix('.').unwrap_or(&name).into()))
}

/// RFC 7301 §3.1.
fn alpn(mut data: Cursor<'_>) -> Result<Vec<Box<[u8]>>, MalformedHello> {
    let mut list = Cursor(data.sized16()?);
    data.end()?;
    let mut protocols = Vec::new();
    while !list.0.is_empty() {
        let protocol = list.sized8()?;
        if protocol.is_empty() {
            return Err(MalformedHello);
        }
        protocols.push(protocol.into());
    }
    if protocols.is_empty() { Err(MalformedHello) } else { Ok(protocols) }
}

/// Takes bytes from the front.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], MalformedHello> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(MalformedHello)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, MalformedHello> {
        self.take(2).map(|b| u16::from_be_bytes([b[0], b[1]]))
    }

    fn sized8(&mut self) -> Result<&'a [u8], MalformedHello> {
        let len = self.take(1)?[0];
        self.take(usize::from(len))
    }

    fn sized16(&mut self) -> Result<&'a [u8], MalformedHello> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    fn end(&self) -> Result<(), MalformedHello> {
        if self.0.is_empty() { Ok(()) } else { Err(MalformedHello) }
    }
}

#[cfg(test)]
mod tests;
