//! Moves bodies between two legs with back-pressure: nothing is read that the other side has not taken.

use crate::cause::Cause;
use crate::exchange::Exchange;
use crate::exchange::clock::Expired;
use crate::exchange::mirror::Tee;
use fairlead_http::{Error, Event, Framing, Leg, ResponseHead};
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

/// The most of a request's body that is kept so that an attempt can be repeated: 64 KiB.
const REPLAY_LIMIT: usize = 64 * 1024;

/// Replay buffers larger than this are not kept for the next request.
const KEPT: usize = 4096;

/// Which side of an exchange failed.
#[derive(Debug)]
pub enum Failure {
    /// The client: it went away, or what it sends is no valid message.
    Downstream(Error),
    /// The endpoint.
    Upstream(Error),
}

/// The request's body on its way up, over all attempts.
pub struct RequestBody {
    framing: Framing,
    /// The client waits for `100 Continue`.
    expected: bool,

    /// What was taken from the client: collected, or as long as an attempt may have to be repeated.
    replay: Vec<u8>,
    /// How much of `replay` this attempt has sent.
    sent: usize,
    /// Whether `replay` holds all that was taken so far.
    whole: bool,
    /// Whether what is taken is kept.
    keep: bool,
    /// The client's side is at its end, trailers included.
    ended: bool,
    /// This attempt has sent everything.
    done: bool,
    /// Bytes taken from the client.
    pub bytes: u64,
    /// When the client's side came to its end.
    pub received: Option<Instant>,
    /// Whether somebody wants to know when all was sent.
    timed: bool,
    /// When this attempt had sent everything; only if timed.
    pub sent_at: Option<Instant>,
}

impl Default for RequestBody {
    fn default() -> Self {
        RequestBody {
            framing: Framing::Empty,
            expected: false,
            replay: Vec::new(),
            sent: 0,
            whole: true,
            keep: false,
            ended: true,
            done: false,
            bytes: 0,
            received: None,
            timed: false,
            sent_at: None,
        }
    }
}

impl RequestBody {
    /// For a new request; `timed` when the log wants to know when it was sent.
    pub fn start(&mut self, framing: Framing, timed: bool) {
        self.replay.clear();
        // In place and not as a new value: it is done for every request. Each field is named, so that none outlives its request.
        let RequestBody {
            framing: new_framing,
            timed: new_timed,
            replay: _,
            expected,
            sent,
            whole,
            keep,
            ended,
            done,
            bytes,
            received,
            sent_at,
        } = self;
        (*new_framing, *new_timed, *ended) = (framing, timed, framing.is_empty());
        (*expected, *sent, *whole, *keep, *done, *bytes) = (false, 0, true, false, false, 0);
        (*received, *sent_at) = (None, None);
    }

    /// Forgets what was taken; large buffers are not kept. What else there is, [`RequestBody::start`] forgets.
    pub fn clear(&mut self) {
        if self.replay.capacity() > KEPT {
            self.replay = Vec::new();
        }
        self.replay.clear();
    }

    /// Whether what is taken from now on is kept, because an attempt may have to be repeated.
    pub fn keep(&mut self, keep: bool) {
        self.keep = keep;
    }

    /// How the body is delimited.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// For another attempt; false when what was sent is not kept.
    pub fn rewind(&mut self) -> bool {
        if !self.whole {
            return false;
        }
        (self.sent, self.done, self.sent_at) = (0, false, None);
        true
    }

    /// The client waits for `100 Continue`: it gets it when its body is first wanted.
    pub fn expect(&mut self) {
        self.expected = !self.ended;
    }

    /// Whether an attempt could be repeated.
    pub fn can_rewind(&self) -> bool {
        self.whole
    }

    /// Whether this attempt has sent everything.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Sends no more of it: the endpoint takes nothing, but may have answered.
    pub fn give_up(&mut self) {
        self.done = true;
    }

    /// Whether the request was received whole.
    pub fn is_received(&self) -> bool {
        self.ended
    }

    /// What was collected, and whether that is all.
    pub fn collected(&self) -> (&[u8], bool) {
        (&self.replay, self.ended)
    }

    /// Takes the whole body before anything of it is sent, `limit` bytes at most; says whether it was not longer. What is collected is sent
    /// by every attempt.
    pub fn poll_collect(
        &mut self,
        cx: &mut Context<'_>,
        down: &mut Leg,
        limit: usize,
        moved: &mut bool,
    ) -> Poll<Result<bool, Error>> {
        if matches!(self.framing, Framing::Length(length) if length > limit as u64) {
            return Poll::Ready(Ok(false));
        }
        if std::mem::take(&mut self.expected) {
            go_on(cx, down)?;
        }
        while !self.ended {
            if !matches!(ready!(down.poll_data(cx))?, Event::Data) {
                self.ended = true;
                self.received = Some(Instant::now());
                break;
            }
            let data = down.data();
            let n = data.len();
            self.bytes += n as u64;
            *moved = true;
            if self.replay.len() + n > limit {
                return Poll::Ready(Ok(false));
            }
            self.replay.extend_from_slice(data);
            down.consume(n);
        }
        Poll::Ready(Ok(self.replay.len() <= limit))
    }

    /// Moves what can be moved; ready when all is sent and flushed.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        down: &mut Leg,
        up: &mut Leg,
        mut tee: Option<&mut Tee>,
        moved: &mut bool,
    ) -> Poll<Result<(), Failure>> {
        if self.done {
            return Poll::Ready(Ok(()));
        }
        loop {
            if let Some(rest) = self.replay.get(self.sent..).filter(|rest| self.whole && !rest.is_empty()) {
                self.sent += ready!(up.poll_write(cx, rest)).map_err(Failure::Upstream)?;
                *moved = true;
                continue;
            }
            if self.ended {
                let trailers = Some(down.trailers()).filter(|t| !t.is_empty());
                ready!(up.poll_finish(cx, trailers)).map_err(Failure::Upstream)?;
                self.done = true;
                if self.timed {
                    self.sent_at = Some(Instant::now());
                }
                *moved = true;
                return Poll::Ready(Ok(()));
            }
            if std::mem::take(&mut self.expected) {
                go_on(cx, down).map_err(Failure::Downstream)?;
            }
            let event = match down.poll_data(cx) {
                Poll::Ready(event) => event.map_err(Failure::Downstream)?,
                Poll::Pending => {
                    let _ = up.poll_flush(cx).map_err(Failure::Upstream)?;
                    return Poll::Pending;
                }
            };
            if !matches!(event, Event::Data) {
                self.ended = true;
                self.received = Some(Instant::now());
                if let Some(tee) = tee.as_deref_mut() {
                    tee.end();
                }
                continue;
            }
            if tee.is_none() && !(self.keep && self.whole) {
                self.whole = false;
                self.bytes += ready!(Leg::poll_pass(cx, down, up)).map_err(Failure::Upstream)? as u64;
                *moved = true;
                continue;
            }
            let Poll::Ready(written) = up.poll_write(cx, down.data()) else {
                down.gather(cx);
                return Poll::Pending;
            };
            let n = written.map_err(Failure::Upstream)?;
            if let Some(tee) = tee.as_deref_mut() {
                tee.data(down.data().get(..n).unwrap_or_default());
            }
            self.remember(down, n);
            down.consume(n);
            self.bytes += n as u64;
            *moved = true;
        }
    }

    fn remember(&mut self, down: &Leg, n: usize) {
        if self.keep && self.whole && self.replay.len() + n <= REPLAY_LIMIT {
            self.replay.extend_from_slice(down.data().get(..n).unwrap_or_default());
            self.sent = self.replay.len();
        } else {
            self.whole = false;
        }
    }
}

/// Answers `Expect: 100-continue` (RFC 9110 §10.1.1).
fn go_on(cx: &mut Context<'_>, down: &mut Leg) -> Result<(), Error> {
    let head = ResponseHead { status: 100, ..ResponseHead::default() };
    down.send_interim(&head)?;
    match down.poll_flush(cx) {
        Poll::Ready(result) => result,
        Poll::Pending => Ok(()),
    }
}

/// The response's body on its way down.
#[derive(Default)]
pub struct ResponseBody {
    ended: bool,
    done: bool,
    /// Bytes given to the client.
    pub bytes: u64,
    /// Whether somebody wants to know when it came.
    timed: bool,
    /// When the first of it came; only if timed.
    pub first: Option<Instant>,
    /// When all of it had come; only if timed.
    pub received: Option<Instant>,
}

impl ResponseBody {
    /// For a new request; `timed` when the log wants to know when it came.
    pub fn start(&mut self, timed: bool) {
        let ResponseBody { ended, done, bytes, timed: new_timed, first, received } = self;
        (*ended, *done, *bytes, *new_timed) = (false, false, 0, timed);
        (*first, *received) = (None, None);
    }

    /// Moves what can be moved; ready when all is sent and flushed.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        up: &mut Leg,
        down: &mut Leg,
        moved: &mut bool,
    ) -> Poll<Result<(), Failure>> {
        if self.done {
            return Poll::Ready(Ok(()));
        }
        loop {
            if self.ended {
                let trailers = Some(up.trailers()).filter(|t| !t.is_empty());
                ready!(down.poll_finish(cx, trailers)).map_err(Failure::Downstream)?;
                self.done = true;
                *moved = true;
                return Poll::Ready(Ok(()));
            }
            let event = match up.poll_data(cx) {
                Poll::Ready(event) => event.map_err(Failure::Upstream)?,
                Poll::Pending => {
                    let _ = down.poll_flush(cx).map_err(Failure::Downstream)?;
                    return Poll::Pending;
                }
            };
            if self.timed {
                let now = Instant::now();
                let mark = if matches!(event, Event::Data) { &mut self.first } else { &mut self.received };
                mark.get_or_insert(now);
            }
            if !matches!(event, Event::Data) {
                self.ended = true;
                continue;
            }
            self.bytes += ready!(Leg::poll_pass(cx, up, down)).map_err(Failure::Downstream)? as u64;
            *moved = true;
        }
    }
}

/// Pumps both directions until the response is through. The rest of a request whose response is complete is not waited for.
pub async fn bodies(ex: &mut Exchange, down: &mut Leg) -> Result<(), Cut> {
    let Exchange { body, reply, trailers, tee, clock, up: Some(up), .. } = ex else { return Ok(()) };
    let up = up.leg();
    std::future::poll_fn(|cx| {
        let mut moved = false;
        if !body.is_done() {
            match body.poll(cx, down, up, tee.as_mut(), &mut moved) {
                // An endpoint may answer and close without reading the request: what it sent is read to its end.
                Poll::Ready(Err(Failure::Upstream(error))) if is_gone(&error) => body.give_up(),
                Poll::Ready(Err(failure)) if !up.recv_done() => return Poll::Ready(Err(Cut::from(failure))),
                _ => {}
            }
        }
        if let Poll::Ready(result) = reply.poll(cx, up, down, &mut moved) {
            if !up.trailers().is_empty() {
                trailers.copy_from(up.trailers());
            }
            return Poll::Ready(result.map_err(Cut::from));
        }
        clock.progress(moved);
        if let Poll::Ready(expired) = clock.poll_expired(cx) {
            return Poll::Ready(Err(Cut::TimedOut(expired)));
        }
        Poll::Pending
    })
    .await
}

/// Why a response was cut off.
#[derive(Debug)]
pub enum Cut {
    /// One side failed.
    Failed(Failure),
    /// A deadline passed.
    TimedOut(Expired),
}

impl From<Failure> for Cut {
    fn from(failure: Failure) -> Self {
        Cut::Failed(failure)
    }
}

/// Whether the other side is gone, so that reading from it ends soon: with an answer that it sent before, or with an error.
pub fn is_gone(error: &Error) -> bool {
    use fairlead_http::ErrorKind;
    matches!(error.kind, ErrorKind::Closed | ErrorKind::Io(_) | ErrorKind::Reset(_) | ErrorKind::Refused)
}

/// The cause of a client's failure: a broken body is answered as a broken head is.
pub fn cause_of_client(error: &Error) -> Cause {
    use fairlead_http::ErrorKind;
    match error.kind {
        ErrorKind::Protocol(details) => Cause::Rejected { status: 400, details, close: true },
        ErrorKind::TooLarge(details) => Cause::Rejected { status: 431, details, close: true },
        _ => Cause::ClientGone,
    }
}

/// The cause of an upstream failure before the response's head.
pub fn cause_of(error: &Error) -> Cause {
    use fairlead_http::ErrorKind;
    match error.kind {
        ErrorKind::Closed | ErrorKind::Io(_) => Cause::UpstreamClosed,
        ErrorKind::Reset(_) | ErrorKind::Refused => Cause::UpstreamReset,
        _ => Cause::UpstreamProtocol,
    }
}
