//! HTTP/1.1 (and 1.0 from clients): one connection, either side, without tasks, channels or copies of bodies.
//!
//! ```text
//! poll_request ─▶ head ─▶ poll_data … consume … ─▶ Trailers ─▶ End        coming in
//! send_response ─▶ poll_write … ─▶ poll_finish                            going out
//! ```
//!
//! Heads and small content are queued and leave in one write; large content is written from where it lies. Both directions
//! may be polled in turn from one task: reads and writes register the task separately with the socket.

use std::task::{Context, Poll, ready};

use fairlead_net::Stream;

use crate::buf::Buf;
use crate::error::Error;
use crate::fields::Fields;
use crate::limits::Limits;

mod body;
mod client;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod parse;
mod preface;
mod server;

pub(crate) use decode::is_forbidden_trailer;
pub(crate) use parse::{Options, tokens};
pub use server::RequestError;

use decode::{Bounds, Decoder};
use encode::Encoder;

/// An HTTP/1 connection, as server or as client, with the state of the message that each direction is in.
///
/// About 170 bytes; owns buffers only while bytes wait in them.
pub struct Conn {
    stream: Stream,
    /// What was read and not used yet; may reach into the next message.
    input: Buf,
    /// What is to be written before anything else.
    output: Buf,
    /// Bytes of content at the front of `input`.
    ready: u32,
    decoder: Decoder,
    encoder: Encoder,
    bounds: Bounds,
    /// Trailers of the message coming in; kept for the next once there was one.
    trailers: Option<Box<Fields>>,
    facts: Facts,
}

/// What is known of the exchange under way.
#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    /// The request is (or asked by us was) HEAD.
    to_head: bool,
    /// The client speaks HTTP/1.0.
    http10: bool,
    /// The peer lets the connection live after this exchange.
    keep_alive: bool,
    /// We want the connection to end after this exchange.
    close: bool,
    /// An error happened; nothing can be trusted any more.
    broken: bool,
    /// Writing failed; what the peer sent before may still be read.
    send_broken: bool,
    /// The peer broke the rules of a message; it may still be told.
    recv_broken: bool,
    /// Bytes go through without framing.
    tunnel: bool,
    /// The request asks to switch protocols.
    upgrade: bool,
    /// [`crate::Event::Trailers`] was reported.
    trailers_told: bool,
    /// What is in `input` was parsed and is not a whole head.
    partial: bool,
    /// The response's head was not read yet (client).
    awaits_head: bool,
    /// The client waits for `100 Continue`, which was not sent.
    expects_continue: bool,
    /// Whether bytes were waited for since the last read.
    waited: bool,
    /// Interim responses so far.
    interims: u8,
    /// Our direction was ended.
    shut: bool,
}

impl Conn {
    /// A connection with no exchange under way, for either side.
    pub fn new(stream: Stream) -> Conn {
        Conn {
            stream,
            input: Buf::default(),
            output: Buf::default(),
            ready: 0,
            decoder: Decoder::DONE,
            encoder: Encoder::Done,
            bounds: Bounds { extension_bytes: 0, trailer_bytes: 0, trailers: 0 },
            trailers: None,
            facts: Facts { keep_alive: true, ..Facts::default() },
        }
    }

    /// The stream underneath.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Whether nothing of a next message was read: what waits here may be closed without harm.
    pub fn is_idle(&self) -> bool {
        self.input.is_empty() && self.output.is_empty()
    }

    /// Whether a pooled connection must not be used again: the peer closed it, or sent what nobody asked for.
    pub fn is_stale(&mut self) -> bool {
        !self.is_idle() || self.facts.broken || self.stream.is_stale()
    }

    /// Whether the exchange ended so that another can follow: both messages complete, both sides willing, nothing left over on
    /// the client side. A server may hold the next, pipelined request already.
    pub fn reusable(&self) -> bool {
        let f = &self.facts;
        let over = self.decoder.is_done() && self.encoder == Encoder::Done && self.output.is_empty();
        over && f.keep_alive
            && !f.close
            && !f.broken
            && !f.send_broken
            && !f.tunnel
            && !f.awaits_head
            && self.ready == 0
    }

    /// Whether the stream carries TLS.
    pub fn is_tls(&self) -> bool {
        self.stream.is_tls()
    }

    /// Asks for the connection to end after this exchange. A server says so if the response's head is not queued yet.
    pub fn set_close(&mut self, close: bool) {
        self.facts.close = close;
    }

    /// Writes all that is queued and ends our direction, then waits until the peer ends its own, dropping what it sends:
    /// closing at once would make the kernel reset the connection and the peer lose our last bytes. Bound this with a timer.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.facts.broken || self.facts.send_broken {
            return Poll::Ready(());
        }
        if !self.facts.shut {
            let ended = ready!(self.poll_drain(cx)).is_ok() && ready!(self.stream.poll_shutdown(cx)).is_ok();
            self.facts.shut = true;
            if !ended {
                return Poll::Ready(());
            }
        }
        self.ready = 0;
        loop {
            self.input.release();
            match ready!(self.poll_fill(cx)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }

    /// Closes at once, so that the peer cannot take a truncated message for a complete one.
    pub fn abort(self) {
        self.stream.abort();
    }

    /// The stream and the bytes read ahead of their use.
    pub fn into_parts(self) -> (Stream, Vec<u8>) {
        let Conn { stream, input, .. } = self;
        (stream, input.bytes().to_vec())
    }

    /// Waits for bytes without owning a buffer, then reads some; 0 is the end of the stream.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Error>> {
        if self.input.is_empty() && !self.facts.waited {
            // Asks the runtime only; from now on there is likely something when we are woken, and asking first would be in vain.
            self.facts.waited = true;
            ready!(self.stream.poll_readable(cx))?;
        }
        match self.stream.poll_read_into(cx, self.input.spare()) {
            Poll::Ready(Ok(n)) => {
                self.input.filled(n);
                self.facts.waited = false;
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(e.into())),
            Poll::Pending => {
                if self.input.is_empty() {
                    self.input.release();
                }
                Poll::Pending
            }
        }
    }

    /// Writes all that is queued and gives its buffer back.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.output.is_empty() {
            let n = ready!(self.stream.poll_write(cx, self.output.bytes()))?;
            if n == 0 {
                return Poll::Ready(Err(Error::CLOSED));
            }
            self.output.consume(n);
        }
        self.stream.poll_flush(cx).map_err(Error::from)
    }

    fn clear_trailers(&mut self) {
        if let Some(trailers) = &mut self.trailers {
            trailers.clear();
        }
    }

    fn set_bounds(&mut self, limits: &Limits) {
        self.bounds = Bounds {
            extension_bytes: limits.max_chunk_extension_bytes,
            trailer_bytes: limits.max_trailer_bytes.min(Limits::HEAD_CEILING),
            trailers: limits.max_headers,
        };
    }
}

impl std::fmt::Debug for Conn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The bytes are a peer's and may be secret.
        f.debug_struct("Conn")
            .field("stream", &self.stream)
            .field("input", &self.input.len())
            .field("output", &self.output.len())
            .field("decoder", &self.decoder)
            .field("encoder", &self.encoder)
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
