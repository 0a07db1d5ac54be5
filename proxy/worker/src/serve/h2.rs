//! An HTTP/2 connection: a task per stream, all on this worker.

use super::Connection;
use crate::cause::Cause;
use crate::exchange;
use crate::timer::Timer;
use fairlead_http::h2 as codec;
use fairlead_net::Stream;
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// The client's preface and SETTINGS must arrive in this time.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Serves streams until either side closes, the idle timeout passes, or a drain asks for the end (GOAWAY).
pub async fn serve(connection: Connection, stream: Stream) {
    let handshake = Box::pin(codec::accept(stream, &connection.limits(), connection.http().max_concurrent_streams));
    let Ok(Ok(mut conn)) = tokio::time::timeout(HANDSHAKE, handshake).await else { return };
    let connection = Rc::new(connection);
    let streams = Rc::new(Cell::new(0usize));
    let mut timer = Timer::default();
    let mut draining = false;
    loop {
        let next = poll_fn(|cx| {
            if let Poll::Ready(accepted) = conn.poll_accept(cx) {
                return Poll::Ready(Some(accepted));
            }
            if !draining && connection.registered.is_draining(cx) {
                return Poll::Ready(None);
            }
            if streams.get() > 0 {
                return Poll::Pending;
            }
            timer.set(connection.http().idle_timeout.limit().map(|limit| Instant::now() + limit));
            timer.poll_expired(cx).map(|()| None)
        })
        .await;
        match next {
            Some(Some(Ok(accepted))) => {
                streams.set(streams.get() + 1);
                tokio::task::spawn_local(one(connection.clone(), streams.clone(), accepted));
            }
            Some(Some(Err(error))) => {
                tracing::debug!(peer = %connection.info.peer, %error, "HTTP/2 connection ended");
                return;
            }
            Some(None) => return,
            None if draining => return,
            None => {
                draining = true;
                conn.graceful_shutdown();
            }
        }
    }
}

async fn one(connection: Rc<Connection>, streams: Rc<Cell<usize>>, accepted: codec::Accepted) {
    let mut ex = connection.worker.exchange();
    let (mut leg, head) = accepted.into_leg(&mut ex.request, &connection.limits());
    match head {
        Ok(framing) => exchange::run(&connection.worker, &connection.info, &mut leg, &mut ex, framing).await,
        Err(reject) => {
            let cause = Cause::Rejected { status: reject.status, details: reject.details, close: reject.close };
            exchange::reject(&connection.worker, &connection.info, &mut leg, &mut ex, cause).await;
        }
    }
    connection.worker.recycle(ex);
    streams.set(streams.get() - 1);
}
