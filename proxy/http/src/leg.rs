//! One side of an exchange, whatever its protocol.

use std::task::{Context, Poll, ready};

use ::h2::Reason;

use crate::error::Error;
use crate::fields::Fields;
use crate::framing::Framing;
use crate::limits::Limits;
use crate::method::Version;
use crate::request::RequestHead;
use crate::response::ResponseHead;
use crate::{h1, h2};

/// One side of an exchange: downstream, where we are the server, or upstream, where we are the client.
///
/// All calls are polls and register the current task for both directions separately, so that one task pumps both ways with
/// one `&mut Leg` per side. Nothing is read before what was read is consumed, and nothing more is taken than the peer accepts:
/// that is all there is to back-pressure.
///
/// Small content may stay queued: call [`Leg::poll_flush`] whenever there is nothing more to write for now.
#[derive(Debug)]
pub enum Leg {
    /// HTTP/1, either side.
    H1(h1::Conn),
    /// A stream of an HTTP/2 client's connection to us.
    H2Server(h2::ServerStream),
    /// A stream of our connection to an HTTP/2 server.
    H2Client(h2::ClientStream),
}

/// What comes next on the way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// [`Leg::data`] is not empty.
    Data,
    /// [`Leg::trailers`] is filled; [`Event::End`] follows.
    Trailers,
    /// The message is complete. Repeated when polled again.
    End,
}

/// A response's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// 1xx but 101; more heads follow.
    Interim,
    /// 101: raw bytes follow, both ways, through the same calls.
    Upgraded,
    /// The final response, with this framing.
    Final(Framing),
}

impl Leg {
    /// The protocol this leg speaks.
    pub fn version(&self) -> Version {
        match self {
            Leg::H1(_) => Version::Http11,
            Leg::H2Server(_) | Leg::H2Client(_) => Version::H2,
        }
    }

    /// Gets the next piece of content: [`Leg::data`] is what is there. Reads only when there is none left.
    ///
    /// # Errors
    /// When the peer goes away before the message is complete, or breaks its framing. The leg is then broken.
    #[inline]
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Error>> {
        match self {
            Leg::H1(conn) => conn.poll_data(cx),
            Leg::H2Server(stream) => stream.poll_data(cx),
            Leg::H2Client(stream) => stream.poll_data(cx),
        }
    }

    /// The content at hand.
    #[inline]
    pub fn data(&self) -> &[u8] {
        match self {
            Leg::H1(conn) => conn.data(),
            Leg::H2Server(stream) => stream.data(),
            Leg::H2Client(stream) => stream.data(),
        }
    }

    /// Drops the first `n` bytes of [`Leg::data`]; on HTTP/2 the peer may send as much more.
    #[inline]
    pub fn consume(&mut self, n: usize) {
        match self {
            Leg::H1(conn) => conn.consume(n),
            Leg::H2Server(stream) => stream.consume(n),
            Leg::H2Client(stream) => stream.consume(n),
        }
    }

    /// The trailers that came in, filled at [`Event::Trailers`]. Fields that have no business in trailers are dropped.
    pub fn trailers(&self) -> &Fields {
        match self {
            Leg::H1(conn) => conn.trailers(),
            Leg::H2Server(stream) => stream.trailers(),
            Leg::H2Client(stream) => stream.trailers(),
        }
    }

    /// Whether the incoming message was received to its end and consumed.
    #[inline]
    pub fn recv_done(&self) -> bool {
        match self {
            Leg::H1(conn) => conn.recv_done(),
            Leg::H2Server(stream) => stream.recv_done(),
            Leg::H2Client(stream) => stream.recv_done(),
        }
    }

    /// Takes some of `data` as content and says how much; the rest is to be offered again. Small pieces may stay queued.
    ///
    /// # Errors
    /// When the peer is gone, or `data` exceeds the declared length.
    #[inline]
    pub fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Error>> {
        match self {
            Leg::H1(conn) => conn.poll_write(cx, data),
            Leg::H2Server(stream) => stream.poll_write(cx, data),
            Leg::H2Client(stream) => stream.poll_write(cx, data),
        }
    }

    /// Ends the outgoing message and flushes. Trailers go where the framing has a place for them and are dropped elsewhere; those
    /// that must not be sent as trailers are left out. In a tunnel this ends our direction.
    ///
    /// Idempotent: poll again while pending.
    ///
    /// # Errors
    /// When the peer is gone, or less content was written than declared.
    #[inline]
    pub fn poll_finish(&mut self, cx: &mut Context<'_>, trailers: Option<&Fields>) -> Poll<Result<(), Error>> {
        match self {
            Leg::H1(conn) => conn.poll_finish(cx, trailers),
            Leg::H2Server(stream) => Poll::Ready(stream.finish(trailers)),
            Leg::H2Client(stream) => Poll::Ready(stream.finish(trailers)),
        }
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// When the peer is gone.
    #[inline]
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self {
            Leg::H1(conn) => conn.poll_flush(cx),
            Leg::H2Server(stream) => Poll::Ready(stream.flush()),
            Leg::H2Client(stream) => Poll::Ready(stream.flush()),
        }
    }

    /// Client: starts a request. On HTTP/1 the head is only queued; follow with [`Leg::poll_write`], [`Leg::poll_finish`] (also without
    /// content) or [`Leg::poll_flush`].
    ///
    /// # Errors
    /// When the head is too large to send, or the peer takes no more requests.
    pub fn send_request(&mut self, head: &RequestHead, framing: Framing) -> Result<(), Error> {
        match self {
            Leg::H1(conn) => conn.send_request(head, framing),
            Leg::H2Client(stream) => stream.send_request(head, framing),
            Leg::H2Server(_) => Err(WRONG_SIDE),
        }
    }

    /// Client: reads the next response head into `head`. Does not write: see [`Leg::send_request`].
    ///
    /// # Errors
    /// When the peer goes away ([`crate::ErrorKind::Closed`], on a reused connection a reason to try another), refuses, or answers
    /// what is no HTTP.
    #[inline]
    pub fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut ResponseHead,
        limits: &Limits,
    ) -> Poll<Result<Incoming, Error>> {
        match self {
            Leg::H1(conn) => conn.poll_response(cx, head, limits),
            Leg::H2Client(stream) => stream.poll_response(cx, head, limits),
            Leg::H2Server(_) => Poll::Ready(Err(WRONG_SIDE)),
        }
    }

    /// Server: sends an interim response, if the client understands such.
    ///
    /// # Errors
    /// When it cannot be queued.
    pub fn send_interim(&mut self, head: &ResponseHead) -> Result<(), Error> {
        match self {
            Leg::H1(conn) => conn.send_interim(head),
            Leg::H2Server(stream) => stream.send_interim(head),
            Leg::H2Client(_) => Err(WRONG_SIDE),
        }
    }

    /// Server: starts the response. The codec writes the framing fields itself and adapts `framing` to the client: what was received
    /// [`Framing::UntilClose`] may be passed on as it is, and content of answers to HEAD is taken and dropped. After 101 raw bytes
    /// go both ways through [`Leg::poll_data`] and [`Leg::poll_write`].
    ///
    /// # Errors
    /// When the head is too large to send; nothing is queued then and another may be sent.
    pub fn send_response(&mut self, head: &ResponseHead, framing: Framing) -> Result<(), Error> {
        match self {
            Leg::H1(conn) => conn.send_response(head, framing),
            Leg::H2Server(stream) => stream.send_response(head, framing),
            Leg::H2Client(_) => Err(WRONG_SIDE),
        }
    }

    /// Server: asks for the connection to end after this exchange (HTTP/1; HTTP/2 connections are ended by GOAWAY).
    pub fn set_close(&mut self, close: bool) {
        if let Leg::H1(conn) = self {
            conn.set_close(close);
        }
    }

    /// Server: ready when the client went away while its response is awaited. For use once [`Leg::recv_done`].
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        match self {
            Leg::H1(conn) => conn.poll_gone(cx),
            Leg::H2Server(stream) => stream.poll_gone(cx),
            Leg::H2Client(_) => Poll::Ready(WRONG_SIDE),
        }
    }

    /// Gives the exchange up: HTTP/2 resets the stream, an HTTP/1 connection cannot be used any more and is reset when dropped through
    /// [`Leg::abort`].
    pub fn reset(&mut self) {
        match self {
            Leg::H1(conn) => {
                conn.fail(Error::CLOSED);
            }
            Leg::H2Server(stream) => stream.reset(Reason::INTERNAL_ERROR),
            Leg::H2Client(stream) => stream.reset(Reason::CANCEL),
        }
    }

    /// Gives the exchange up for good, so that the peer cannot take what it got for a complete message.
    pub fn abort(mut self) {
        match self {
            Leg::H1(conn) => conn.abort(),
            _ => self.reset(),
        }
    }

    /// The HTTP/1 connection, to wait for the next request on it or to give it back to its pool.
    pub fn into_h1(self) -> Option<h1::Conn> {
        match self {
            Leg::H1(conn) => Some(conn),
            Leg::H2Server(_) | Leg::H2Client(_) => None,
        }
    }

    /// Whether an idle HTTP/1 connection must not be used again: the peer closed it, or sent what nobody asked for.
    #[inline]
    pub fn is_stale(&mut self) -> bool {
        match self {
            Leg::H1(conn) => conn.is_stale(),
            Leg::H2Server(_) | Leg::H2Client(_) => false,
        }
    }

    /// Whether the exchange ended so that another can follow on the same HTTP/1 connection; HTTP/2: whether the stream is over.
    #[inline]
    pub fn reusable(&self) -> bool {
        match self {
            Leg::H1(conn) => conn.reusable(),
            Leg::H2Server(stream) => stream.done(),
            Leg::H2Client(stream) => stream.done(),
        }
    }

    /// Writes some of the content at hand in `from` to `to` and consumes it there; says how much. Between two HTTP/2 streams nothing is
    /// copied.
    ///
    /// # Errors
    /// `to`'s, as of [`Leg::poll_write`].
    #[inline]
    pub fn poll_pass(cx: &mut Context<'_>, from: &mut Leg, to: &mut Leg) -> Poll<Result<usize, Error>> {
        let passed = Leg::poll_pass_now(cx, from, to);
        if passed.is_pending() {
            from.gather(cx);
        }
        passed
    }

    /// For who must wait before [`Leg::data`] is taken: content that comes in tiny frames meanwhile is gathered, as far as the peer has
    /// credit. Wakes when there is more.
    pub fn gather(&mut self, cx: &mut Context<'_>) {
        match self {
            Leg::H1(_) => {}
            Leg::H2Server(stream) => stream.gather(cx),
            Leg::H2Client(stream) => stream.gather(cx),
        }
    }

    fn poll_pass_now(cx: &mut Context<'_>, from: &mut Leg, to: &mut Leg) -> Poll<Result<usize, Error>> {
        match (from, to) {
            (Leg::H2Client(from), Leg::H2Server(to)) => {
                let n = ready!(to.poll_room(cx, from.data().len()))?;
                let last = n == from.data().len();
                to.send(from.take(n), last)?;
                Poll::Ready(Ok(n))
            }
            (Leg::H2Server(from), Leg::H2Client(to)) => {
                let n = ready!(to.poll_room(cx, from.data().len()))?;
                let last = n == from.data().len();
                to.send(from.take(n), last)?;
                Poll::Ready(Ok(n))
            }
            (from, to) => {
                let n = ready!(to.poll_write(cx, from.data()))?;
                from.consume(n);
                Poll::Ready(Ok(n))
            }
        }
    }
}

const WRONG_SIDE: Error = Error::local("http.wrong_side");

#[cfg(test)]
pub(crate) mod harness;
#[cfg(test)]
mod tests;
