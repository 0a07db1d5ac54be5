//! Heads and framing to bytes.

use crate::buf::Buf;
use crate::error::Error;
use crate::fields::Fields;
use crate::framing::{Framing, parse_length};
use crate::h1::decode::is_forbidden_trailer;
use crate::known::{Known, Set};
use crate::request::{RequestHead, Upgrade};
use crate::response::{ResponseHead, reason};

/// Where the content we send ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoder {
    /// The message is complete, or none was begun.
    Done,
    /// Content of this many bytes is still owed.
    Length(u64),
    /// Chunked; this many bytes of an announced chunk are still owed.
    Chunked(u64),
    /// Content ends with the connection.
    UntilClose,
    /// Content is taken and dropped (the answer to HEAD).
    Discard,
    /// The head said that nothing follows; only the end is missing.
    Empty,
}

impl Encoder {
    pub(crate) const fn of_request(framing: Framing) -> Encoder {
        match framing {
            Framing::Empty => Encoder::Empty,
            Framing::Length(n) => Encoder::Length(n),
            Framing::Streamed | Framing::UntilClose => Encoder::Chunked(0),
        }
    }
}

/// Who gets a response, as far as its head depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipient {
    /// The request was HEAD.
    pub(crate) to_head: bool,
    /// The client speaks HTTP/1.0.
    pub(crate) http10: bool,
    /// The connection ends after this response.
    pub(crate) close: bool,
}

/// Writes a request head, all or nothing.
pub(crate) fn request(head: &RequestHead, framing: Framing, out: &mut Buf) -> Result<Encoder, Error> {
    let mut line = Line::new(out);
    line.put(&[head.method_bytes(), b" ", head.path_and_query(), b" HTTP/1.1\r\nhost: ", head.authority(), b"\r\n"]);
    let trailers = head.fields.get(Known::Te) == Some(b"trailers");
    line.fields(&head.fields, |f| !CONNECTIONS_OWN.contains(f) || (trailers && f == Known::Te));
    match framing {
        Framing::Empty if head.method().expects_content() => line.put(&[b"content-length: 0\r\n"]),
        Framing::Empty => {}
        Framing::Length(n) => line.length(n),
        Framing::Streamed | Framing::UntilClose => line.put(&[b"transfer-encoding: chunked\r\n"]),
    }
    match head.upgrade {
        Some(Upgrade::WebSocket) => line.put(&[b"connection: upgrade\r\nupgrade: websocket\r\n\r\n"]),
        None if trailers => line.put(&[b"connection: te\r\n\r\n"]),
        None => line.put(&[b"\r\n"]),
    }
    line.finish()?;
    Ok(Encoder::of_request(framing))
}

/// Writes a response head, all or nothing. 101 must be a switch that was asked for.
pub(crate) fn response(head: &ResponseHead, framing: Framing, to: Recipient, out: &mut Buf) -> Result<Encoder, Error> {
    let bodiless = to.to_head || head.status < 200 || head.status == 204 || head.status == 304;
    let encoder = match framing {
        _ if bodiless => Encoder::Discard,
        Framing::Empty => Encoder::Empty,
        Framing::Length(n) => Encoder::Length(n),
        Framing::Streamed | Framing::UntilClose if to.http10 => Encoder::UntilClose,
        Framing::Streamed | Framing::UntilClose => Encoder::Chunked(0),
    };
    let mut line = Line::new(out);
    line.status(head.status);
    line.fields(&head.fields, |f| !CONNECTIONS_OWN.contains(f));
    match encoder {
        Encoder::Discard if to.to_head || head.status == 304 => {
            match (framing, head.fields.get(Known::ContentLength)) {
                (Framing::Length(n), _) => line.length(n),
                (_, Some(value)) => {
                    if let Some(n) = parse_length(value) {
                        line.length(n);
                    }
                }
                _ => {}
            }
        }
        Encoder::Length(n) => line.length(n),
        Encoder::Empty => line.length(0),
        Encoder::Chunked(_) => line.put(&[b"transfer-encoding: chunked\r\n"]),
        Encoder::Discard | Encoder::UntilClose | Encoder::Done => {}
    }
    line.put(&[match head.status {
        101 => b"connection: upgrade\r\nupgrade: websocket\r\n\r\n",
        100..200 => b"\r\n",
        _ if to.close || encoder == Encoder::UntilClose => b"connection: close\r\n\r\n",
        _ if to.http10 => b"connection: keep-alive\r\n\r\n",
        _ => b"\r\n",
    }]);
    line.finish()?;
    Ok(encoder)
}

/// Writes the size line of a chunk.
#[inline]
pub(crate) fn chunk_size(n: usize, out: &mut Buf) -> bool {
    let mut text = [0u8; 18];
    text[16..].copy_from_slice(b"\r\n");
    let (mut at, mut n) = (16, n);
    loop {
        at -= 1;
        text[at] = b"0123456789abcdef"[n & 15];
        n >>= 4;
        if n == 0 {
            return out.put(&text[at..]);
        }
    }
}

/// Writes the last chunk and the trailer section, all or nothing.
pub(crate) fn chunks_end(trailers: Option<&Fields>, out: &mut Buf) -> Result<(), Error> {
    let mut line = Line::new(out);
    line.put(&[b"0\r\n"]);
    if let Some(trailers) = trailers {
        line.fields(trailers, |f| !is_forbidden_trailer(f));
    }
    line.put(&[b"\r\n"]);
    line.finish()
}

/// Fields that are for the codec to write and not for those who fill in heads.
static CONNECTIONS_OWN: Set = Set::of(&[
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

/// Text being written straight into a buffer's free part; counts only once it is finished.
struct Line<'a> {
    out: &'a mut Buf,
    at: usize,
    overflow: bool,
}

impl<'a> Line<'a> {
    fn new(out: &'a mut Buf) -> Line<'a> {
        Line { out, at: 0, overflow: false }
    }

    #[inline]
    fn put(&mut self, parts: &[&[u8]]) {
        let spare = self.out.spare();
        let mut at = self.at;
        for part in parts {
            match spare.get_mut(at..at + part.len()) {
                Some(to) => to.copy_from_slice(part),
                None => return self.overflow = true,
            }
            at += part.len();
        }
        self.at = at;
    }

    #[inline]
    fn fields(&mut self, fields: &Fields, keep: impl Fn(Known) -> bool) {
        fields.lines(keep, |lines| self.put(&[lines]));
    }

    #[inline]
    fn length(&mut self, n: u64) {
        self.put(&[b"content-length: ", itoa::Buffer::new().format(n).as_bytes(), b"\r\n"]);
    }

    fn status(&mut self, status: u16) {
        if status == 200 {
            return self.put(&[b"HTTP/1.1 200 OK\r\n"]);
        }
        let mut digits = itoa::Buffer::new();
        self.put(&[b"HTTP/1.1 ", digits.format(status).as_bytes(), b" ", reason(status).as_bytes(), b"\r\n"]);
    }

    fn finish(self) -> Result<(), Error> {
        if self.overflow {
            return Err(Error::too_large("http1.headers_too_large"));
        }
        self.out.filled(self.at);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
