//! An HTTP/2 connection: a task per stream, all on this worker.

use super::Connection;
use crate::cause::Cause;
use crate::exchange::{self, Exchange};
use crate::timer::Timer;
use fairlead_http::h2::{self, Accepted, ServerSettings};
use fairlead_net::Stream;
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
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
    let Ok(Ok(mut server)) = tokio::time::timeout(HANDSHAKE, handshake).await else { return };
    let limits = connection.limits();
    let connection = Rc::new(connection);
    let streams = Rc::new(Cell::new(0usize));
    let mut timer = Timer::default();
    let (mut draining, mut idle_since) = (false, None);
    loop {
        let mut ex = connection.worker.exchange();
        let next = poll_fn(|cx| {
            if let Poll::Ready(accepted) = server.poll_request(cx, &mut ex.request, &limits) {
                return Poll::Ready(Some(accepted));
            }
            if !draining && connection.registered.is_draining(cx) {
                return Poll::Ready(None);
            }
            if streams.get() > 0 {
                idle_since = None;
                return Poll::Pending;
            }
            // Frames that open no stream, such as PING, do not count.
            let since = *idle_since.get_or_insert_with(Instant::now);
            let limit = if draining { Some(GOODBYE) } else { connection.http().idle_timeout.limit() };
            timer.set(limit.map(|limit| since + limit));
            timer.poll_expired(cx).map(|()| None)
        })
        .await;
        match next {
            Some(Some(Ok(accepted))) => {
                streams.set(streams.get() + 1);
                tokio::task::spawn_local(one(connection.clone(), streams.clone(), accepted, ex));
            }
            Some(Some(Err(error))) => {
                tracing::debug!(peer = %connection.info.peer, %error, "HTTP/2 connection ended");
                return;
            }
            Some(None) => return,
            None if draining => return,
            None => {
                (draining, idle_since) = (true, None);
                server.graceful_shutdown();
            }
        }
    }
}

async fn one(connection: Rc<Connection>, streams: Rc<Cell<usize>>, accepted: Accepted, mut ex: Box<Exchange>) {
    let Accepted { mut leg, framing } = accepted;
    match framing {
        Ok(framing) => exchange::run(&connection.worker, &connection.info, &mut leg, &mut ex, framing).await,
        Err(reject) => {
            let cause = Cause::from(reject);
            exchange::reject(&connection.worker, &connection.info, &mut leg, &mut ex, cause).await;
        }
    }
    connection.worker.recycle(ex);
    streams.set(streams.get() - 1);
}
