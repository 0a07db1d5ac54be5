//! An HTTP/1 connection: one request after the other. A plain one may turn out to speak HTTP/2 with its first bytes.

use super::{Connection, h2};
use crate::cause::Cause;
use crate::connection::Phase;
use crate::exchange::{self, Exchange};
use crate::timer::Timer;
use fairlead_http::h1::{Conn, RequestError};
use fairlead_http::{Framing, Leg, Reject};
use fairlead_net::Stream;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// What a head that came too slowly is refused with.
const SLOW: Reject = Reject::closing(408, "request_header_timeout");

/// How long a client may take to notice that its connection was closed, before it is closed for good. Envoy's `delayed_close_timeout`.
const LINGER: Duration = Duration::from_secs(1);

/// Serves requests until either side closes, the idle timeout passes, or a drain asks for the end.
pub async fn serve(connection: Connection, stream: Stream) {
    let mut timer = Timer::default();
    let mut leg = Leg::H1(Conn::new(stream));
    timer.set(connection.idle_until(Instant::now()));
    while let Next::Readable = next(&connection, &mut leg, &mut timer).await {
        let mut ex = connection.worker.exchange();
        let after = one(&connection, &mut leg, &mut ex, &mut timer).await;
        timer.set(connection.idle_until(ex.notes.end));
        connection.worker.recycle(ex);
        match after {
            After::Next => {}
            After::Linger => return linger(&mut leg, &mut timer).await,
            After::Close => return,
            After::Abort => return leg.abort(),
            After::Http2 => {
                if let Some(conn) = leg.into_h1() {
                    tokio::task::spawn_local(h2::serve(connection, conn.into_stream()));
                }
                return;
            }
        }
    }
}

enum Next {
    Readable,
    Over,
}

enum After {
    /// Another request may follow.
    Next,
    /// Close, but let the client read what was sent.
    Linger,
    /// Close.
    Close,
    /// Close so that the client can't take what it got for a complete response.
    Abort,
    /// The client speaks HTTP/2.
    Http2,
}

/// Waits for the first byte of a request, or the end of the timer. The connection owns no buffer and no exchange meanwhile.
async fn next(connection: &Connection, leg: &mut Leg, timer: &mut Timer) -> Next {
    let Leg::H1(conn) = leg else { return Next::Over };
    poll_fn(|cx| {
        if conn.poll_readable(cx).is_ready() {
            return Poll::Ready(Next::Readable);
        }
        if connection.registered.phase(cx) == Phase::Draining {
            return Poll::Ready(Next::Over);
        }
        timer.poll_expired(cx).map(|()| Next::Over)
    })
    .await
}

/// One request. What is needed for its head only is in a future of its own, so that it takes no place while the request is served.
async fn one(connection: &Connection, leg: &mut Leg, ex: &mut Exchange, timer: &mut Timer) -> After {
    let framing = match head(connection, leg, ex, timer).await {
        Ok(Some(framing)) => framing,
        Ok(None) | Err(RequestError::Closed(_)) => return After::Close,
        Err(RequestError::Reject(_)) if matches!(leg, Leg::H1(conn) if conn.speaks_http2()) => return After::Http2,
        Err(RequestError::Reject(reject)) => {
            let cause = if reject == SLOW { Cause::HeaderTimeout } else { Cause::from(reject) };
            exchange::reject(&connection.worker, &connection.info, leg, ex, cause).await;
            return After::Linger;
        }
    };
    ex.clock.swap_timer(timer);
    exchange::run(&connection.worker, &connection.info, leg, ex, framing).await;
    ex.clock.swap_timer(timer);
    if leg.reusable() {
        After::Next
    } else if ex.notes.cut {
        After::Abort
    } else {
        After::Linger
    }
}

/// Reads a request's head.
async fn head(
    connection: &Connection,
    leg: &mut Leg,
    ex: &mut Exchange,
    timer: &mut Timer,
) -> Result<Option<Framing>, RequestError> {
    let Leg::H1(conn) = leg else { return Ok(None) };
    let limits = connection.limits();
    let mut waiting = false;
    poll_fn(|cx| {
        if let Poll::Ready(result) = conn.poll_request(cx, &mut ex.request, &limits) {
            return Poll::Ready(result);
        }
        if !waiting {
            waiting = true;
            timer.set(connection.http().header_timeout.limit().map(|limit| Instant::now() + limit));
        }
        timer.poll_expired(cx).map(|()| Err(RequestError::Reject(SLOW)))
    })
    .await
}

/// Sends what is queued, then waits for the client to close too.
async fn linger(leg: &mut Leg, timer: &mut Timer) {
    let Leg::H1(conn) = leg else { return };
    timer.set(Some(Instant::now() + LINGER));
    poll_fn(|cx| if conn.poll_close(cx).is_ready() { Poll::Ready(()) } else { timer.poll_expired(cx) }).await;
}
