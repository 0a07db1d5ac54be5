//! The server side: requests in, responses out.

use std::task::{Context, Poll, ready};

use crate::error::{Error, Reject};
use crate::framing::Framing;
use crate::h1::Conn;
use crate::h1::decode::Decoder;
use crate::h1::encode::{self, Encoder, Recipient};
use crate::h1::{Facts, parse};
use crate::limits::Limits;
use crate::method::{Method, Scheme, Version};
use crate::request::RequestHead;
use crate::response::ResponseHead;

/// Why there is no next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The bytes are no request we serve. Answer with this (`send_response` works), then close.
    Reject(Reject),
    /// The connection ended or failed within a head; there is nobody to answer.
    Closed(Error),
}

impl From<Reject> for RequestError {
    fn from(reject: Reject) -> RequestError {
        RequestError::Reject(reject)
    }
}

impl From<Error> for RequestError {
    fn from(e: Error) -> RequestError {
        RequestError::Closed(e)
    }
}

impl Conn {
    /// Reads the next request's head into `head`, which is cleared first. `None` when the client closed between requests.
    ///
    /// Waits without a buffer. May be dropped and polled again at any time; what was read stays.
    ///
    /// # Errors
    /// [`RequestError::Reject`] for anything that is not a request we serve, [`RequestError::Closed`] when the connection failed.
    pub fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut RequestHead,
        limits: &Limits,
    ) -> Poll<Result<Option<Framing>, RequestError>> {
        debug_assert!(self.decoder.is_done() && self.encoder == Encoder::Done);
        let mut fresh = !self.facts.partial;
        loop {
            if fresh && !self.input.is_empty() {
                head.clear();
                match self.parse_request(head, limits) {
                    Ok(Some(framing)) => return Poll::Ready(Ok(Some(framing))),
                    Ok(None) => self.facts.partial = true,
                    Err(reject) => {
                        self.start_exchange(head, Decoder::DONE, false);
                        return Poll::Ready(Err(reject.into()));
                    }
                }
            }
            let n = ready!(self.poll_fill(cx))?;
            if n == 0 {
                let clean = self.input.is_empty();
                return Poll::Ready(if clean { Ok(None) } else { Err(Error::CLOSED.into()) });
            }
            // Without another line end there is nothing new to learn, unless the head outgrows its limit.
            let new = &self.input.bytes()[self.input.len() - n..];
            fresh = !self.facts.partial
                || memchr::memchr(b'\n', new).is_some()
                || self.input.len() > limits.max_head_bytes.min(limits.max_target_bytes) as usize;
        }
    }

    fn parse_request(&mut self, head: &mut RequestHead, limits: &Limits) -> Result<Option<Framing>, Reject> {
        let scheme = if self.stream.is_tls() { Scheme::Https } else { Scheme::Http };
        let Some(parsed) = parse::request(self.input.bytes(), head, limits, scheme)? else { return Ok(None) };
        self.input.consume(parsed.len);
        self.start_exchange(head, Decoder::new(parsed.framing), parsed.keep_alive);
        self.set_bounds(limits);
        Ok(Some(parsed.framing))
    }

    fn start_exchange(&mut self, head: &RequestHead, decoder: Decoder, keep_alive: bool) {
        self.decoder = decoder;
        self.encoder = Encoder::Done;
        self.ready = 0;
        self.clear_trailers();
        self.facts = Facts {
            to_head: head.method() == Method::Head,
            http10: head.version == Version::Http10,
            keep_alive,
            close: self.facts.close,
            upgrade: head.upgrade.is_some(),
            expects_continue: head.expects_continue() && !decoder.is_done(),
            ..Facts::default()
        };
    }

    /// Queues an interim response (1xx but 101). HTTP/1.0 clients know none and get none.
    pub(crate) fn send_interim(&mut self, head: &ResponseHead) -> Result<(), Error> {
        if self.facts.http10 || !head.is_interim() {
            return Ok(());
        }
        if head.status == 100 {
            self.facts.expects_continue = false;
        }
        let to = Recipient { to_head: false, http10: false, close: false };
        encode::response(head, Framing::Empty, to, &mut self.output)?;
        Ok(())
    }

    /// Queues the response's head. 101 turns the connection into a tunnel.
    pub(crate) fn send_response(&mut self, head: &ResponseHead, framing: Framing) -> Result<(), Error> {
        let facts = &mut self.facts;
        if head.status == 101 && !facts.upgrade {
            return Err(Error::local("http1.unexpected_switch"));
        }
        // A client that was never told to go on may or may not send its body: the connection is out of step.
        facts.close |= facts.expects_continue && !self.decoder.is_done();
        let close = facts.close || !facts.keep_alive;
        let to = Recipient { to_head: facts.to_head, http10: facts.http10, close };
        self.encoder = encode::response(head, framing, to, &mut self.output)?;
        if self.encoder == Encoder::UntilClose {
            self.facts.close = true;
        }
        if head.status == 101 {
            self.start_tunnel();
        }
        Ok(())
    }

    /// From here on bytes go through as they are, both ways.
    pub(crate) fn start_tunnel(&mut self) {
        self.decoder = Decoder::UNTIL_CLOSE;
        self.encoder = Encoder::UntilClose;
        self.facts.tunnel = true;
    }

    /// Ready when the client went away while it waits for its response; for use once its request is complete.
    ///
    /// A client that sends its next request already can no longer be watched: pending then. One that ends its direction counts as gone.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        if !self.input.is_empty() || !self.decoder.is_done() {
            return Poll::Pending;
        }
        // Nearly always pending.
        if let Err(e) = ready!(self.stream.poll_readable(cx)) {
            return Poll::Ready(e.into());
        }
        self.facts.waited = true;
        match ready!(self.poll_fill(cx)) {
            Ok(0) => Poll::Ready(Error::CLOSED),
            Ok(_) => Poll::Pending,
            Err(e) => Poll::Ready(e),
        }
    }
}
