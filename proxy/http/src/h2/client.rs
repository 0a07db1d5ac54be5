//! Making requests on an HTTP/2 connection.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use fairlead_net::Stream;

use crate::error::Error;
use crate::h2::stream::ClientStream;
use crate::h2::watched::Watched;
use crate::leg::Leg;

/// What an HTTP/2 server may do on one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// Bytes a server may send on a stream before we consume them.
    pub stream_window: u32,
    /// Bytes a server may send on all streams together before we consume them.
    pub connection_window: u32,
    /// Bytes of a head as RFC 9113 §6.5.2 counts them.
    pub max_header_list_size: u32,
    /// Bytes per stream that wait in us for the server to take them.
    pub max_send_buffer_size: u32,
    /// Streams at a time before the server has said how many it takes.
    pub initial_max_streams: u32,
}

impl Default for ClientSettings {
    fn default() -> ClientSettings {
        ClientSettings {
            stream_window: 1024 * 1024,
            connection_window: 16 * 1024 * 1024,
            max_header_list_size: 60 * 1024,
            max_send_buffer_size: 256 * 1024,
            initial_max_streams: 100,
        }
    }
}

/// Opens streams on a connection. Clones share it.
#[derive(Clone)]
pub struct Sender {
    inner: ::h2::client::SendRequest<Bytes>,
}

/// Moves a connection's bytes; run it in a task of the same worker. Ends when the connection does: after an error, a GOAWAY, or when all
/// senders and streams are gone.
pub struct Driver {
    inner: ::h2::client::Connection<Watched, Bytes>,
}

/// Starts HTTP/2 with prior knowledge or after ALPN. Does not wait for the server's settings.
///
/// # Errors
/// When the preface cannot be written.
pub async fn connect(stream: Stream, settings: &ClientSettings) -> Result<(Sender, Driver), Error> {
    let (inner, connection) = ::h2::client::Builder::new()
        .initial_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .max_header_list_size(settings.max_header_list_size)
        .max_send_buffer_size(settings.max_send_buffer_size as usize)
        .initial_max_send_streams(settings.initial_max_streams as usize)
        .max_concurrent_reset_streams(GIVEN_UP)
        .reset_stream_duration(REMEMBERED)
        .max_local_error_reset_streams(Some(ERRORS))
        .enable_push(false)
        .handshake(Watched::server(stream))
        .await?;
    Ok((Sender { inner }, Driver { inner: connection }))
}

impl Sender {
    /// A leg for one request. Opens its stream when the request is sent; beyond the server's limit it waits its turn.
    pub fn leg(&self) -> Leg {
        Leg::H2Client(ClientStream::new(self.inner.clone()))
    }

    /// Whether the connection takes no more requests: it failed, or the server announced its end.
    pub fn is_closed(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        matches!(self.inner.clone().poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    /// Streams that the server takes at a time, as far as it has said.
    pub fn max_streams(&self) -> usize {
        self.inner.current_max_send_streams()
    }

    /// Whether WebSockets can be opened (RFC 8441). False until the server's settings have arrived.
    pub fn supports_websocket(&self) -> bool {
        self.inner.is_extended_connect_protocol_enabled()
    }
}

/// Streams that we gave up and of which frames may still come. Beyond, such a frame is the server's error, and its errors end the
/// connection with all its streams: clients that give up 50 streams in a second, which is the crate's default, would harm all others.
const GIVEN_UP: usize = 10_000;

/// How long frames may still come for a stream that we gave up: as long as a server takes to notice.
const REMEMBERED: Duration = Duration::from_secs(5);

/// Errors on streams that a server may make in the life of a connection.
const ERRORS: usize = 50_000;

impl Future for Driver {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.inner).poll(cx).map_err(Error::from)
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl From<::h2::client::SendRequest<Bytes>> for Sender {
    fn from(inner: ::h2::client::SendRequest<Bytes>) -> Sender {
        Sender { inner }
    }
}
