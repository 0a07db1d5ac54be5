//! Before the first request: waiting for bytes, and finding out that a plain connection speaks HTTP/2.

use std::task::{Context, Poll, ready};

use fairlead_net::Stream;

use crate::error::Error;
use crate::h1::Conn;

/// How an HTTP/2 connection starts (RFC 9113 §3.4); as an HTTP/1 request it is none.
pub(super) const PREFACE_LINE: &[u8] = b"PRI * HTTP/2.0\r\n";

impl Conn {
    /// Ready when a read would give something, the end included, or when a pipelined request is here already. Takes no buffer.
    ///
    /// # Errors
    /// When the connection failed.
    #[inline]
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.input.is_empty() {
            ready!(self.stream.poll_readable(cx))?;
            self.facts.waited = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether what was refused as a request is the preface of HTTP/2.
    pub fn speaks_http2(&self) -> bool {
        self.input.bytes().starts_with(PREFACE_LINE)
    }

    /// The stream; bytes that were read ahead are read from it again.
    pub fn into_stream(self) -> Stream {
        let (stream, ahead) = self.into_parts();
        if ahead.is_empty() { stream } else { stream.with_prefix(ahead.into()) }
    }
}
