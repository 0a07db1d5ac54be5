//! The client side: requests out, responses in.

use std::task::{Context, Poll, ready};

use crate::error::Error;
use crate::framing::Framing;
use crate::h1::decode::Decoder;
use crate::h1::{Conn, Facts, encode, parse};
use crate::leg::Incoming;
use crate::limits::Limits;
use crate::method::Method;
use crate::request::RequestHead;
use crate::response::ResponseHead;

/// Interim responses a server may send for one request.
const MAX_INTERIMS: u8 = 32;

impl Conn {
    /// Queues a request's head; it leaves with the first content or flush.
    pub(crate) fn send_request(&mut self, head: &RequestHead, framing: Framing) -> Result<(), Error> {
        if !self.is_idle() || self.facts.broken || self.facts.send_broken {
            return Err(Error::local("http1.connection_in_use"));
        }
        self.decoder = Decoder::DONE;
        self.ready = 0;
        self.clear_trailers();
        self.facts = Facts {
            to_head: head.method() == Method::Head,
            close: self.facts.close,
            upgrade: head.upgrade.is_some(),
            awaits_head: true,
            ..Facts::default()
        };
        self.encoder = encode::request(head, framing, &mut self.output)?;
        Ok(())
    }

    /// Reads the next response head into `head`, which is cleared first: interim ones, then the final one.
    pub(crate) fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut ResponseHead,
        limits: &Limits,
    ) -> Poll<Result<Incoming, Error>> {
        debug_assert!(self.facts.awaits_head, "a response was received already");
        let mut fresh = !self.facts.partial;
        loop {
            if fresh && !self.input.is_empty() {
                head.clear();
                match self.parse_response(head, limits) {
                    Ok(Some(incoming)) => return Poll::Ready(Ok(incoming)),
                    Ok(None) => self.facts.partial = true,
                    Err(e) => return Poll::Ready(Err(self.fail(e))),
                }
            }
            match ready!(self.poll_fill(cx)) {
                Ok(0) => return Poll::Ready(Err(self.fail(Error::CLOSED))),
                Ok(n) => {
                    let new = &self.input.bytes()[self.input.len() - n..];
                    fresh = !self.facts.partial
                        || memchr::memchr(b'\n', new).is_some()
                        || self.input.len() > limits.max_head_bytes as usize;
                }
                Err(e) => return Poll::Ready(Err(self.fail(e))),
            }
        }
    }

    fn parse_response(&mut self, head: &mut ResponseHead, limits: &Limits) -> Result<Option<Incoming>, Error> {
        let Some(parsed) = parse::response(self.input.bytes(), head, limits, self.facts.to_head)? else {
            return Ok(None);
        };
        self.input.consume(parsed.len);
        self.facts.partial = false;
        if head.is_interim() {
            self.facts.interims += 1;
            if self.facts.interims > MAX_INTERIMS {
                return Err(Error::protocol("http1.too_many_interim_responses"));
            }
            return Ok(Some(Incoming::Interim));
        }
        if head.status == 101 {
            return self.switch(head).map(Some);
        }
        self.facts.awaits_head = false;
        self.facts.keep_alive = parsed.keep_alive;
        self.decoder = Decoder::new(parsed.framing);
        self.set_bounds(limits);
        Ok(Some(Incoming::Final(parsed.framing)))
    }

    /// A switch counts only when it was asked for, and to the protocol that was asked for (RFC 9110 §7.8).
    fn switch(&mut self, head: &ResponseHead) -> Result<Incoming, Error> {
        let to_websocket = head.fields.get(crate::Known::Upgrade).is_some_and(|v| v.eq_ignore_ascii_case(b"websocket"));
        if !self.facts.upgrade || !to_websocket {
            return Err(Error::protocol("http1.unexpected_switch"));
        }
        self.facts.awaits_head = false;
        self.start_tunnel();
        Ok(Incoming::Upgraded)
    }

    /// Notes that writing makes no sense any more. An early answer that the peer sent before it went away may still be read.
    pub(crate) fn fail_sending(&mut self, e: Error) -> Error {
        self.facts.send_broken = true;
        e
    }

    /// Notes that what comes can't be understood any more. A server may still say so, and then closes.
    pub(crate) fn fail_receiving(&mut self, e: Error) -> Error {
        self.facts.recv_broken = true;
        self.facts.close = true;
        e
    }

    /// Notes that nothing of this connection can be trusted any more.
    pub(crate) fn fail(&mut self, e: Error) -> Error {
        self.facts.broken = true;
        e
    }
}
