//! An HTTP/2 connection: a task per stream, all on this worker.

use super::Connection;
use crate::cause::Cause;
use crate::connection::Phase;
use crate::exchange::{self, Exchange};
use crate::timer::Timer;
use fairlead_http::h2::{self, Accepted, Reason, Server, ServerSettings};
use fairlead_http::{Error, Event, Framing, Leg, Limits, Reject};
use fairlead_net::Stream;
use fairlead_telemetry::RejectReason;
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// The client's preface and SETTINGS must arrive in this time.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A client that was told of the end, and has no streams left, closes in this time or is left. Envoy's `drain_timeout`.
const GOODBYE: Duration = Duration::from_secs(5);

/// Serves streams until either side closes, the idle timeout passes, or a drain asks for the end (GOAWAY).
pub async fn serve(connection: Connection, stream: Stream) {
    let http = connection.http();
    let settings = ServerSettings {
        max_concurrent_streams: http.max_concurrent_streams,
        max_header_list_size: http.max_head_bytes,
        ..ServerSettings::default()
    };
    let handshake = Box::pin(h2::serve(stream, &settings));
    let Ok(Ok(server)) = tokio::time::timeout(HANDSHAKE, handshake).await else { return };
    let limits = connection.limits();
    let connection = Rc::new(connection);
    let mut session = Session {
        server,
        limits,
        timer: Timer::default(),
        streams: Rc::default(),
        served: false,
        idle_since: None,
        end: End::None,
    };
    loop {
        let mut ex = connection.worker.exchange();
        match poll_fn(|cx| session.poll_next(cx, &connection, &mut ex)).await {
            Next::Stream(accepted) => {
                session.served = true;
                session.streams.set(session.streams.get() + 1);
                tokio::task::spawn_local(one(connection.clone(), session.streams.clone(), accepted, ex));
            }
            Next::Ending => {
                (session.end, session.idle_since) = (End::Graceful, None);
                session.server.graceful_shutdown();
            }
            Next::Slow => {
                connection.count_reject(RejectReason::Timeout);
                (session.end, session.idle_since) = (End::Abrupt, None);
                session.server.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
            Next::Failed(error) => {
                if error == Server::FLOOD {
                    connection.count_reject(RejectReason::Flood);
                }
                tracing::debug!(peer = %connection.info.peer, %error, "HTTP/2 connection ended");
                return;
            }
            Next::Over => return,
        }
    }
}

/// An HTTP/2 connection and what is to become of it.
struct Session {
    server: Server,
    limits: Limits,
    timer: Timer,
    /// Streams that are served.
    streams: Rc<Cell<usize>>,
    /// Whether there was a stream.
    served: bool,
    /// Since when there is none. Frames that open no stream, such as PING, do not count.
    idle_since: Option<Instant>,
    end: End,
}

/// Whether the client was told of the end.
#[derive(Clone, Copy, PartialEq)]
enum End {
    None,
    /// Streams under way finish.
    Graceful,
    /// They don't.
    Abrupt,
}

// It is matched at once and stored nowhere: a box would cost an allocation per stream.
#[allow(clippy::large_enum_variant)]
enum Next {
    Stream(Accepted),
    /// The client is to be told that no more streams are taken.
    Ending,
    /// A head, in HEADERS and CONTINUATION frames, is not complete in time.
    Slow,
    Failed(Error),
    Over,
}

impl Session {
    fn poll_next(&mut self, cx: &mut Context<'_>, connection: &Connection, ex: &mut Exchange) -> Poll<Next> {
        if let Poll::Ready(next) = self.server.poll_request(cx, &mut ex.request, &self.limits) {
            return Poll::Ready(match next {
                Some(Ok(accepted)) => Next::Stream(accepted),
                Some(Err(error)) => Next::Failed(error),
                None => Next::Over,
            });
        }
        let ends = match connection.registered.phase(cx) {
            Phase::Open => false,
            // A connection that comes now gets its first request through; a GOAWAY before that could send it around in circles.
            Phase::Announced => self.served,
            Phase::Draining => true,
        };
        if ends && self.end == End::None {
            return Poll::Ready(Next::Ending);
        }
        self.poll_timer(cx, connection)
    }

    /// Whichever comes first: the end of patience with a head, or with a connection that has no streams.
    fn poll_timer(&mut self, cx: &mut Context<'_>, connection: &Connection) -> Poll<Next> {
        let limit = connection.http().header_timeout.limit().filter(|_| self.end != End::Abrupt);
        let head = self.server.head_since().zip(limit).map(|(since, limit)| since + limit);
        let idle = if self.streams.get() > 0 {
            self.idle_since = None;
            None
        } else {
            let limit = if self.end == End::None { connection.http().idle_timeout.limit() } else { Some(GOODBYE) };
            limit.map(|limit| *self.idle_since.get_or_insert_with(Instant::now) + limit)
        };
        let deadline = match (head, idle) {
            (Some(head), Some(idle)) => Some(head.min(idle)),
            (head, idle) => head.or(idle),
        };
        self.timer.set(deadline);
        ready!(self.timer.poll_expired(cx));
        Poll::Ready(match self.end {
            _ if head.is_some() && head == deadline => Next::Slow,
            End::None => Next::Ending,
            End::Graceful | End::Abrupt => Next::Over,
        })
    }
}

async fn one(connection: Rc<Connection>, streams: Rc<Cell<usize>>, accepted: Accepted, mut ex: Box<Exchange>) {
    let Accepted { mut leg, framing } = accepted;
    let checked = match framing {
        Ok(Framing::Length(0)) if !leg.recv_done() => nothing_follows(&connection, &mut leg).await,
        Ok(_) => Ok(()),
        Err(reject) => Err(Cause::from(reject)),
    };
    match (framing, checked) {
        (Ok(framing), Ok(())) => exchange::run(&connection.worker, &connection.info, &mut leg, &mut ex, framing).await,
        (_, Err(cause)) => exchange::reject(&connection.worker, &connection.info, &mut leg, &mut ex, cause).await,
        (Err(_), Ok(())) => {}
    }
    connection.worker.recycle(ex);
    streams.set(streams.get() - 1);
}

/// Waits for the end of a request without content whose head did not end it. No backend is to get a request that is refused after all,
/// for content that follows.
async fn nothing_follows(connection: &Connection, leg: &mut Leg) -> Result<(), Cause> {
    let mut timer = Timer::default();
    timer.set(connection.http().header_timeout.limit().map(|limit| Instant::now() + limit));
    poll_fn(|cx| match leg.poll_data(cx) {
        Poll::Ready(Ok(Event::Data)) => Poll::Ready(Err(Cause::from(Reject::bad("http2.content_length_mismatch")))),
        Poll::Ready(Ok(_)) => Poll::Ready(Ok(())),
        Poll::Ready(Err(error)) => Poll::Ready(Err(exchange::pump::cause_of_client(&error))),
        Poll::Pending => timer.poll_expired(cx).map(|()| Err(Cause::HeaderTimeout)),
    })
    .await
}
