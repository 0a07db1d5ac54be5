//! Serving an HTTP/2 connection.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use ::h2::Reason;
use bytes::Bytes;
use fairlead_net::Stream;
use tokio::time::{Duration, Instant};

use crate::error::{Error, Reject};
use crate::framing::Framing;
use crate::h2::head;
use crate::h2::stream::ServerStream;
use crate::h2::watched::{Watch, Watched};
use crate::leg::Leg;
use crate::limits::Limits;
use crate::method::Scheme;
use crate::request::RequestHead;

/// What an HTTP/2 client may do on one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Streams at a time; more are refused.
    pub max_concurrent_streams: u32,
    /// Bytes a client may send on a stream before we consume them.
    pub stream_window: u32,
    /// Bytes a client may send on all streams together before we consume them.
    pub connection_window: u32,
    /// Bytes of a head as RFC 9113 §6.5.2 counts them. More is answered 431; several times more ends the connection.
    pub max_header_list_size: u32,
    /// Bytes per stream that wait in us for the client to take them.
    pub max_send_buffer_size: u32,
    /// Streams that were reset before they were looked at; more end the connection.
    pub max_pending_accept_reset_streams: u32,
    /// Streams that we had to reset for the client's errors ("MadeYouReset", CVE-2025-8671); more end the connection.
    pub max_local_error_reset_streams: u32,
    /// Streams that the client may give up within a second and before they were answered ("rapid reset", CVE-2023-44487), while they are
    /// at least half of all its streams; more end the connection. Envoy: `overload.premature_reset_total_stream_count`.
    pub premature_resets: u32,
}

impl Default for ServerSettings {
    fn default() -> ServerSettings {
        ServerSettings {
            max_concurrent_streams: 100,
            stream_window: 256 * 1024,
            connection_window: 4 * 1024 * 1024,
            max_header_list_size: 60 * 1024,
            max_send_buffer_size: 64 * 1024,
            max_pending_accept_reset_streams: 20,
            max_local_error_reset_streams: 128,
            premature_resets: 250,
        }
    }
}

/// An HTTP/2 connection that we serve.
pub struct Server {
    connection: ::h2::server::Connection<Watched, Bytes>,
    watch: Rc<Watch>,
    scheme: Scheme,
    tally: Rc<Tally>,
    premature_resets: u32,
    /// The client was told to calm down.
    calmed: bool,
}

/// A request that was received.
#[derive(Debug)]
pub struct Accepted {
    /// Its stream.
    pub leg: Leg,
    /// How its content is delimited, or what to answer when it cannot be served.
    pub framing: Result<Framing, Reject>,
}

/// Performs the handshake on a stream whose preface was not read yet.
///
/// # Errors
/// When the client does not speak HTTP/2, or went away.
pub async fn serve(stream: Stream, settings: &ServerSettings) -> Result<Server, Error> {
    let scheme = if stream.is_tls() { Scheme::Https } else { Scheme::Http };
    let (stream, watch) = Watched::client(stream);
    let connection = ::h2::server::Builder::new()
        .max_concurrent_streams(settings.max_concurrent_streams)
        .initial_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .max_header_list_size(settings.max_header_list_size)
        .max_send_buffer_size(settings.max_send_buffer_size as usize)
        .max_pending_accept_reset_streams(settings.max_pending_accept_reset_streams as usize)
        .max_local_error_reset_streams(Some(settings.max_local_error_reset_streams as usize))
        .enable_connect_protocol()
        .handshake(stream)
        .await?;
    let (tally, premature_resets) = (Rc::default(), settings.premature_resets);
    Ok(Server { connection, watch, scheme, tally, premature_resets, calmed: false })
}

impl Server {
    /// Drives the connection and gets its next request, whose head goes to `head`, which is cleared first. `None` when the connection
    /// has ended well. Keep polling while streams are served: nothing moves otherwise.
    ///
    /// # Errors
    /// When the connection failed or the client broke the protocol; it is over then. [`Server::FLOOD`] after a GOAWAY with
    /// ENHANCE_YOUR_CALM, to a client that resets its streams too often, or sends PING, SETTINGS or PRIORITY without end.
    pub fn poll_request(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut RequestHead,
        limits: &Limits,
    ) -> Poll<Option<Result<Accepted, Error>>> {
        if self.tally.is_flood(self.premature_resets) {
            return self.calm(cx);
        }
        let next = match self.connection.poll_accept(cx) {
            Poll::Pending if self.watch.is_flood() => return self.calm(cx),
            next => ready!(next),
        };
        let (request, respond) = match next {
            Some(Ok(next)) => next,
            Some(Err(e)) => return Poll::Ready(Some(Err(e.into()))),
            None => return Poll::Ready(None),
        };
        let (parts, recv) = request.into_parts();
        head.clear();
        let framing = head::request(&parts, head, limits, self.scheme, recv.is_end_stream());
        let resets = Resets { tally: Rc::clone(&self.tally), opened: Instant::now(), answered: false };
        let leg = Leg::H2Server(ServerStream::new(recv, respond, head, resets));
        Poll::Ready(Some(Ok(Accepted { leg, framing })))
    }

    /// Why a flood ended the connection.
    pub const FLOOD: Error = Error::protocol("http2.flood");

    /// Says GOAWAY, as far as the client takes it, and is done.
    fn calm<T>(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, Error>>> {
        if !std::mem::replace(&mut self.calmed, true) {
            self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        }
        let _ = self.connection.poll_closed(cx);
        Poll::Ready(Some(Err(Server::FLOOD)))
    }

    /// Since when the client owes the rest of a head that it began; everything else on the connection waits for it.
    pub fn head_since(&self) -> Option<Instant> {
        self.watch.head_since()
    }

    /// Drives the connection without taking more requests; ready once it is closed.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.connection.poll_closed(cx).map(|_| ())
    }

    /// Announces the end (GOAWAY): streams under way finish, requests that cross the announcement are still served, then
    /// [`Server::poll_request`] says `None`.
    pub fn graceful_shutdown(&mut self) {
        self.connection.graceful_shutdown();
    }

    /// Ends the connection now, with all its streams.
    pub fn abrupt_shutdown(&mut self, reason: Reason) {
        self.connection.abrupt_shutdown(reason);
    }

    /// Streams that were opened and given up, or finished, so far.
    pub fn closed_streams(&self) -> u32 {
        self.tally.closed.get()
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// How a connection's streams ended.
#[derive(Debug, Default)]
struct Tally {
    closed: Cell<u32>,
    premature: Cell<u32>,
}

impl Tally {
    fn is_flood(&self, allowed: u32) -> bool {
        let (closed, premature) = (self.closed.get(), self.premature.get());
        premature >= allowed && premature >= closed / 2
    }
}

/// One stream's part in its connection's [`Tally`].
#[derive(Debug)]
pub(super) struct Resets {
    tally: Rc<Tally>,
    opened: Instant,
    answered: bool,
}

impl Resets {
    /// The client got a response head, or we gave the stream up ourselves.
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for Resets {
    fn drop(&mut self) {
        self.tally.closed.set(self.tally.closed.get().saturating_add(1));
        if !self.answered && self.opened.elapsed() <= YOUNG {
            self.tally.premature.set(self.tally.premature.get().saturating_add(1));
        }
    }
}

/// A stream given up at a greater age is no part of a flood.
const YOUNG: Duration = Duration::from_secs(1);
