//! How the end of a message is found: one decision per message, the same for HTTP/1.1 and HTTP/2.

use crate::error::{Error, Reject};
use crate::fields::Fields;
use crate::known::Known;
use crate::method::Version;

/// How a message's content is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No content, and nothing said about it.
    Empty,
    /// This many bytes, as `content-length` says; may be 0.
    Length(u64),
    /// Until its own end mark: chunked on HTTP/1.1, DATA frames on HTTP/2.
    Streamed,
    /// Until the connection closes. Only received (HTTP/1 responses); sent on as [`Framing::Streamed`] where possible.
    UntilClose,
}

impl Framing {
    /// Whether no content follows the head.
    #[inline]
    pub const fn is_empty(self) -> bool {
        matches!(self, Framing::Empty | Framing::Length(0))
    }

    /// The framing of a received request.
    ///
    /// `ended` is whether HTTP/2 ended the stream with the head; HTTP/1 passes `None`.
    ///
    /// # Errors
    /// RFC 9112 §6.3, strict: both lengths, several or odd lengths, transfer codings other than exactly one `chunked`, any of
    /// them on HTTP/1.0, and on HTTP/2 a length that contradicts the end of the stream.
    #[inline]
    pub fn of_request(version: Version, fields: &Fields, ended: Option<bool>) -> Result<Framing, Reject> {
        if !fields.may_have_any(LENGTHS) {
            return Ok(if ended == Some(false) { Framing::Streamed } else { Framing::Empty });
        }
        match declared(version, fields) {
            Err(fault) => Err(fault.reject()),
            Ok(Some(Framing::Length(n))) if ended == Some(true) && n > 0 => Err(Reject::bad(LENGTH_MISMATCH)),
            Ok(Some(framing)) => Ok(framing),
            Ok(None) => Ok(if ended == Some(false) { Framing::Streamed } else { Framing::Empty }),
        }
    }

    /// The framing of a received final response, or 101.
    ///
    /// `to_head` is whether it answers a HEAD request; `ended` as for requests.
    ///
    /// # Errors
    /// As for requests; also transfer codings on 1xx and 204 (RFC 9112 §6.1). Lengths on HEAD, 204 and 304 responses describe what
    /// is not sent and are only checked for form.
    pub fn of_response(
        version: Version,
        fields: &Fields,
        status: u16,
        to_head: bool,
        ended: Option<bool>,
    ) -> Result<Framing, Error> {
        let declared = if fields.may_have_any(LENGTHS) {
            declared(version, fields).map_err(|fault| Error::protocol(fault.details()))?
        } else {
            None
        };
        if status < 200 || status == 204 {
            return match declared {
                Some(Framing::Streamed) => Err(Error::protocol("http1.transfer_encoding_not_allowed")),
                Some(Framing::Length(n)) if n > 0 => Err(Error::protocol("http1.content_length_not_allowed")),
                _ => Ok(Framing::Empty),
            };
        }
        if to_head || status == 304 {
            return Ok(Framing::Empty);
        }
        match (declared, ended) {
            (Some(Framing::Length(n)), Some(true)) if n > 0 => Err(Error::protocol(LENGTH_MISMATCH)),
            (Some(framing), _) => Ok(framing),
            (None, Some(true)) => Ok(Framing::Empty),
            (None, Some(false)) => Ok(Framing::Streamed),
            (None, None) => Ok(Framing::UntilClose),
        }
    }
}

/// Reads one `content-length` value: digits only, at most `i64::MAX` (RFC 9110 §8.6, without lists).
pub fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    let mut n = 0u64;
    for digit in value {
        if !digit.is_ascii_digit() {
            return None;
        }
        n = n * 10 + u64::from(digit - b'0');
    }
    (n <= i64::MAX as u64).then_some(n)
}

enum Fault {
    BadLength,
    BothLengths,
    NotChunked,
    OldVersion,
}

impl Fault {
    const fn details(&self) -> &'static str {
        match self {
            Fault::BadLength => "http.invalid_content_length",
            Fault::BothLengths => "http1.content_length_and_chunked_not_allowed",
            Fault::NotChunked => "http1.invalid_transfer_encoding",
            Fault::OldVersion => "http1.transfer_encoding_not_allowed",
        }
    }

    const fn reject(&self) -> Reject {
        match self {
            // RFC 9112 §6.1: a coding that is not understood is 501.
            Fault::NotChunked => Reject::closing(501, self.details()),
            _ => Reject::bad(self.details()),
        }
    }
}

fn declared(version: Version, fields: &Fields) -> Result<Option<Framing>, Fault> {
    let mut lengths = fields.all(Known::ContentLength);
    let length = lengths.next();
    let several = lengths.next().is_some();
    let mut codings = fields.all(Known::TransferEncoding);
    match (codings.next(), length) {
        (Some(_), Some(_)) => Err(Fault::BothLengths),
        (Some(_), None) if version != Version::Http11 => Err(Fault::OldVersion),
        (Some(coding), None) => {
            if codings.next().is_some() || !coding.eq_ignore_ascii_case(b"chunked") {
                return Err(Fault::NotChunked);
            }
            Ok(Some(Framing::Streamed))
        }
        (None, Some(length)) => match parse_length(length) {
            Some(n) if !several => Ok(Some(Framing::Length(n))),
            _ => Err(Fault::BadLength),
        },
        (None, None) => Ok(None),
    }
}

const LENGTHS: u128 = Known::ContentLength.bit() | Known::TransferEncoding.bit();
const LENGTH_MISMATCH: &str = "http2.content_length_mismatch";

#[cfg(test)]
mod tests;
