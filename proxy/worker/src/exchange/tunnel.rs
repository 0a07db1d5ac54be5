//! After a 101 (or an extended CONNECT's 200): bytes both ways until both sides are done, or nothing moves for too long.
//!
//! A side that has ended waits for no answer but the other's goodbye (RFC 6455 §7.1.1), so that what lingers half-closed is over soon.

use crate::cause::Cause;
use crate::exchange::Exchange;
use fairlead_http::{Event, Framing, Leg, hop};
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// How long a side may be silent once the other has ended.
const GOODBYE: Duration = Duration::from_secs(5);

/// Passes the 101 on, then everything.
pub async fn run(ex: &mut Exchange, down: &mut Leg) -> Result<(), Cause> {
    hop::strip_response(&mut ex.response);
    ex.notes.status = ex.response.status;
    ex.clock.set_request(None);
    ex.clock.set_attempt(None);
    down.send_response(&ex.response, Framing::Empty).map_err(|_| Cause::ClientGone)?;
    let Exchange { clock, up: Some(up), .. } = ex else { return Err(Cause::UpstreamClosed) };
    let up = up.leg();
    let (mut there, mut back) = (Way::default(), Way::default());
    let mut ending = false;
    poll_fn(|cx| {
        let mut moved = false;
        let a = there.poll(cx, down, up, &mut moved);
        let b = back.poll(cx, up, down, &mut moved);
        clock.progress(moved);
        let one_ended = a.is_ready() != b.is_ready();
        if one_ended && (moved || !ending) {
            ending = true;
            clock.set_request(Some(Instant::now() + GOODBYE));
        }
        if (a.is_ready() && b.is_ready()) || there.failed || back.failed || clock.poll_expired(cx).is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
    ex.body.bytes += there.bytes;
    ex.reply.bytes += back.bytes;
    Ok(())
}

/// One direction.
#[derive(Default)]
struct Way {
    bytes: u64,
    ended: bool,
    done: bool,
    failed: bool,
}

impl Way {
    fn poll(&mut self, cx: &mut Context<'_>, from: &mut Leg, to: &mut Leg, moved: &mut bool) -> Poll<()> {
        if self.done {
            return Poll::Ready(());
        }
        let result = ready!(self.poll_move(cx, from, to, moved));
        self.done = true;
        self.failed |= result.is_err();
        Poll::Ready(())
    }

    fn poll_move(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Leg,
        to: &mut Leg,
        moved: &mut bool,
    ) -> Poll<Result<(), fairlead_http::Error>> {
        loop {
            if self.ended {
                return to.poll_finish(cx, None);
            }
            match from.poll_data(cx)? {
                Poll::Ready(Event::Data) => {
                    self.bytes += ready!(Leg::poll_pass(cx, from, to))? as u64;
                    *moved = true;
                }
                Poll::Ready(_) => self.ended = true,
                Poll::Pending => {
                    let _ = to.poll_flush(cx)?;
                    return Poll::Pending;
                }
            }
        }
    }
}
