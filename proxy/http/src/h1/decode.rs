//! Where the content of a message ends: a state machine over bytes, without I/O.

use crate::error::Error;
use crate::fields::Fields;
use crate::framing::Framing;
use crate::known::Known;

/// Finds content in what follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decoder {
    state: State,
    /// Bytes of chunk extensions and trailers seen so far.
    overhead: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing more belongs to this message.
    Done,
    /// Content by `content-length`: bytes left.
    Length(u64),
    /// At the start of a chunk's size line.
    ChunkSize,
    /// In a chunk: bytes left.
    ChunkData(u64),
    /// After a chunk's data, before its line end.
    ChunkEnd,
    /// In the trailer section, at the start of a line.
    Trailers,
    /// Content ends with the connection.
    UntilClose,
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// This many bytes at the front are content; tell [`Decoder::took`] how many were used.
    Content(usize),
    /// This many bytes at the front are framing: drop them and go on.
    Skip(usize),
    /// This many bytes at the front are a trailer field: hand the line to [`trailer`], drop them and go on.
    Trailer(usize),
    /// More bytes are needed.
    More,
    /// The message is complete.
    Done,
}

/// Bounds of framing overhead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) extension_bytes: u32,
    pub(crate) trailer_bytes: u32,
    pub(crate) trailers: u16,
}

impl Decoder {
    pub(crate) const DONE: Decoder = Decoder { state: State::Done, overhead: 0 };
    pub(crate) const UNTIL_CLOSE: Decoder = Decoder { state: State::UntilClose, overhead: 0 };

    pub(crate) const fn new(framing: Framing) -> Decoder {
        let state = match framing {
            Framing::Empty | Framing::Length(0) => State::Done,
            Framing::Length(n) => State::Length(n),
            Framing::Streamed => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        };
        Decoder { state, overhead: 0 }
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the end of the stream ends the message well.
    #[inline]
    pub(crate) fn may_end(&self) -> bool {
        matches!(self.state, State::Done | State::UntilClose)
    }

    /// Notes that the stream has ended where it may.
    #[inline]
    pub(crate) fn end(&mut self) {
        debug_assert!(self.may_end());
        self.state = State::Done;
    }

    /// Tells what `input` starts with. Called again with more input after [`Step::More`].
    #[inline]
    pub(crate) fn step(&mut self, input: &[u8], bounds: &Bounds) -> Result<Step, Error> {
        let content = match self.state {
            State::Done => return Ok(Step::Done),
            State::Length(left) | State::ChunkData(left) => left.min(input.len() as u64) as usize,
            State::UntilClose => input.len(),
            State::ChunkSize => return self.chunk_size(input, bounds),
            State::ChunkEnd => return self.chunk_end(input),
            State::Trailers => return self.trailer_line(input, bounds),
        };
        Ok(if content == 0 { Step::More } else { Step::Content(content) })
    }

    /// Counts `n` bytes of content.
    #[inline]
    pub(crate) fn took(&mut self, n: usize) {
        let n = n as u64;
        match &mut self.state {
            State::Length(left) => {
                debug_assert!(n <= *left);
                *left -= n.min(*left);
                if *left == 0 {
                    self.state = State::Done;
                }
            }
            State::ChunkData(left) => {
                debug_assert!(n <= *left);
                *left -= n.min(*left);
                if *left == 0 {
                    self.state = State::ChunkEnd;
                }
            }
            _ => debug_assert!(self.state == State::UntilClose || n == 0),
        }
    }

    fn chunk_size(&mut self, input: &[u8], bounds: &Bounds) -> Result<Step, Error> {
        let Some(line) = line(input)? else {
            // Refuse early what cannot become a size line any more.
            let allowance = bounds.extension_bytes.saturating_sub(self.overhead) as usize + MAX_SIZE_DIGITS + 1;
            return if input.len() > allowance { Err(EXTENSIONS_TOO_LARGE) } else { Ok(Step::More) };
        };
        let digits = line.iter().take_while(|c| c.is_ascii_hexdigit()).count();
        if digits == 0 || digits > MAX_SIZE_DIGITS {
            return Err(Error::protocol("http1.invalid_chunk_size"));
        }
        let mut size = 0u64;
        for digit in &line[..digits] {
            size = size << 4 | u64::from((*digit as char).to_digit(16).unwrap_or_default());
        }
        if size > i64::MAX as u64 {
            return Err(Error::protocol("http1.invalid_chunk_size"));
        }
        if digits < line.len() {
            check_extensions(&line[digits..])?;
            self.overhead = self.overhead.saturating_add((line.len() - digits) as u32);
            if self.overhead > bounds.extension_bytes {
                return Err(EXTENSIONS_TOO_LARGE);
            }
        }
        if size > 0 {
            self.state = State::ChunkData(size);
        } else {
            self.state = State::Trailers;
            self.overhead = 0;
        }
        Ok(Step::Skip(line.len() + 2))
    }

    fn chunk_end(&mut self, input: &[u8]) -> Result<Step, Error> {
        match input {
            [] | [b'\r'] => Ok(Step::More),
            [b'\r', b'\n', ..] => {
                self.state = State::ChunkSize;
                Ok(Step::Skip(2))
            }
            _ => Err(Error::protocol("http1.invalid_chunk_end")),
        }
    }

    fn trailer_line(&mut self, input: &[u8], bounds: &Bounds) -> Result<Step, Error> {
        let Some(line) = line(input)? else {
            let allowance = bounds.trailer_bytes.saturating_sub(self.overhead) as usize + 1;
            return if input.len() > allowance { Err(TRAILERS_TOO_LARGE) } else { Ok(Step::More) };
        };
        if line.is_empty() {
            self.state = State::Done;
            return Ok(Step::Skip(2));
        }
        self.overhead = self.overhead.saturating_add(line.len() as u32);
        if self.overhead > bounds.trailer_bytes {
            return Err(TRAILERS_TOO_LARGE);
        }
        Ok(Step::Trailer(line.len() + 2))
    }
}

/// Parses a trailer line (with its line end) and keeps it, unless trailers must not carry it (RFC 9110 §6.5.1).
pub(crate) fn trailer(line: &[u8], trailers: &mut Fields, bounds: &Bounds) -> Result<(), Error> {
    let line = line.strip_suffix(b"\r\n").unwrap_or(line);
    let colon = memchr::memchr(b':', line).ok_or(Error::protocol("http1.invalid_trailer"))?;
    let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
    if name.is_empty() || !name.iter().all(|c| is_token(*c)) || !value.iter().all(|c| is_value(*c)) {
        return Err(Error::protocol("http1.invalid_trailer"));
    }
    if trailers.len() >= bounds.trailers as usize {
        return Err(Error::too_large("http1.too_many_trailers"));
    }
    trailers.push_any_case(name, value);
    Ok(())
}

/// Drops what must not arrive, or be sent, in a trailer section: framing, routing, authentication, and what belongs to one connection.
pub(crate) fn drop_forbidden(trailers: &mut Fields) {
    trailers.retain(|f| !is_forbidden_trailer(f.known));
}

/// Whether a field must not stand in a trailer section (RFC 9110 §6.5.1): framing, routing, authentication, and what we tell of the
/// client, since some join trailers and headers.
pub(crate) fn is_forbidden_trailer(known: Known) -> bool {
    use Known::{
        Authorization, CacheControl, Connection, ContentEncoding, ContentLength, ContentType, Cookie, Expect,
        Forwarded, Host, Http2Settings, KeepAlive, Location, ProxyAuthorization, ProxyConnection, Range, SetCookie, Te,
        Trailer, TransferEncoding, Upgrade, XForwardedFor, XForwardedHost, XForwardedPort, XForwardedProto, XRealIp,
    };
    matches!(
        known,
        Authorization
            | CacheControl
            | Connection
            | ContentEncoding
            | ContentLength
            | ContentType
            | Cookie
            | Expect
            | Forwarded
            | Host
            | Http2Settings
            | KeepAlive
            | Location
            | ProxyAuthorization
            | ProxyConnection
            | Range
            | SetCookie
            | Te
            | Trailer
            | TransferEncoding
            | Upgrade
            | XForwardedFor
            | XForwardedHost
            | XForwardedPort
            | XForwardedProto
            | XRealIp
    )
}

/// The first line without its CRLF; `None` when it is cut off. Bare CR and LF are errors.
#[inline]
fn line(input: &[u8]) -> Result<Option<&[u8]>, Error> {
    let Some(at) = memchr::memchr2(b'\r', b'\n', input) else { return Ok(None) };
    match (input[at], input.get(at + 1)) {
        (b'\r', Some(b'\n')) => Ok(Some(&input[..at])),
        (b'\r', None) => Ok(None),
        _ => Err(Error::protocol("http1.invalid_line_end")),
    }
}

/// Checks chunk extensions (RFC 9112 §7.1.1) without the optional white space that the grammar calls bad.
fn check_extensions(mut rest: &[u8]) -> Result<(), Error> {
    const BAD: Error = Error::protocol("http1.invalid_chunk_extension");
    while let Some((b';', after)) = rest.split_first() {
        rest = skip_token(after).ok_or(BAD)?;
        if let Some((b'=', after)) = rest.split_first() {
            rest = match after.first() {
                Some(b'"') => skip_quoted(&after[1..]).ok_or(BAD)?,
                _ => skip_token(after).ok_or(BAD)?,
            };
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(BAD) }
}

fn skip_token(bytes: &[u8]) -> Option<&[u8]> {
    let n = bytes.iter().take_while(|c| is_token(**c)).count();
    (n > 0).then(|| &bytes[n..])
}

fn skip_quoted(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (mut c, mut rest) = bytes.split_first()?;
        match c {
            b'"' => return Some(rest),
            b'\\' => (c, rest) = rest.split_first()?,
            _ => {}
        }
        if !is_value(*c) {
            return None;
        }
        bytes = rest;
    }
}

/// Without the optional white space around it. Not `trim_ascii`, which takes a form feed for white space.
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// A character of a token (RFC 9110 §5.6.2).
#[inline]
pub(crate) const fn is_token(c: u8) -> bool {
    matches!(c, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
        || c.is_ascii_alphanumeric()
}

/// A character of a field value (RFC 9110 §5.5).
#[inline]
pub(crate) const fn is_value(c: u8) -> bool {
    c == b'\t' || (c >= 0x20 && c != 0x7f)
}

const MAX_SIZE_DIGITS: usize = 16;
const EXTENSIONS_TOO_LARGE: Error = Error::protocol("http1.chunk_extensions_too_large");
const TRAILERS_TOO_LARGE: Error = Error::too_large("http1.trailers_too_large");

#[cfg(test)]
mod tests;
