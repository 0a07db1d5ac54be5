//! Bytes both ways, until both sides are done or nothing moves for too long.
//!
//! * A side that ends its sending direction is passed on as that (half-close), and the other direction goes on.
//! * What one side does not take stops the other one (back-pressure): at most one read of [`SCRATCH`](crate::worker::SCRATCH) bytes
//!   is kept. A connection on which nothing moves owns no buffer.
//! * Where both sides are plain TCP and much arrives at once, bytes are moved in the kernel and not copied ([`Pipe`]).
//! * An upstream that resets its connection ends it for the client in order: what was received before is delivered. A client that
//!   does so resets the upstream's.
//! * A drain leaves connections alone for [`DRAIN`]; those that are open then are closed.

use super::Flow;
use super::pipes::Lent;
use crate::connection::Phase;
use crate::serve::Connection;
use crate::timer::Timer;
use crate::worker::Worker;
use fairlead_net::{Pipe, Stream};
use fairlead_upstream::Link;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// How long the connections of a listener that is gone, or of a process that ends, may stay. Envoy's `--drain-time-s`.
const DRAIN: Duration = Duration::from_secs(600);

/// How long a client may take to notice that its upstream is gone.
const LINGER: Duration = Duration::from_secs(1);

/// Bytes that arrive at once from which on the next ones are not copied. A read fetches 64 KiB at most.
const BULK: usize = 16 * 1024;

/// How it ended.
pub enum End {
    /// Both sides ended their direction.
    Done,
    Idle,
    Drained,
    ClientGone,
    UpstreamGone,
}

/// See the module.
pub struct Pump<'a> {
    connection: &'a Connection,
    flow: &'a mut Flow,
    idle: Option<Duration>,
    /// From the client.
    there: Way,
    /// To the client.
    back: Way,
    timer: Timer,
    moved_at: Instant,
    /// When a drain, or the time after the upstream's end, is over.
    last: Option<Instant>,
    upstream_gone: bool,
}

impl<'a> Pump<'a> {
    pub fn new(connection: &'a Connection, flow: &'a mut Flow, idle: Option<Duration>) -> Self {
        Pump {
            connection,
            flow,
            idle,
            there: Way::default(),
            back: Way::default(),
            timer: Timer::default(),
            moved_at: Instant::now(),
            last: None,
            upstream_gone: false,
        }
    }

    /// Pumps to the end, then closes both.
    pub async fn run(mut self, mut down: Stream, mut up: Link<Stream>) -> End {
        let end = poll_fn(|cx| self.poll(cx, &mut down, up.io())).await;
        match end {
            End::ClientGone => up.abort(),
            End::Idle | End::Drained => {
                down.abort();
                up.abort();
            }
            End::Done | End::UpstreamGone => {}
        }
        end
    }

    fn poll(&mut self, cx: &mut Context<'_>, down: &mut Stream, up: &mut Stream) -> Poll<End> {
        let before = (self.there.bytes, self.back.bytes);
        let over = self.poll_both(cx, down, up);
        self.count(before);
        if let Poll::Ready(end) = over {
            return Poll::Ready(end);
        }
        if self.last.is_none() && self.connection.registered.phase(cx) == Phase::Draining {
            self.last = Some(Instant::now() + DRAIN);
        }
        let idle = self.idle.map(|idle| self.moved_at + idle);
        self.timer.set(idle.into_iter().chain(self.last).min());
        if self.timer.poll_expired(cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(match self.last {
            _ if self.upstream_gone => End::UpstreamGone,
            Some(last) if last <= Instant::now() => End::Drained,
            _ => End::Idle,
        })
    }

    fn poll_both(&mut self, cx: &mut Context<'_>, down: &mut Stream, up: &mut Stream) -> Poll<End> {
        let worker = &*self.connection.worker;
        let scratch = &mut *worker.scratch();
        if !self.there.done {
            match self.there.poll(cx, down, up, (worker, scratch)) {
                Poll::Ready(Err(Failed::Reading)) => return Poll::Ready(End::ClientGone),
                // There may still be bytes to read from it.
                Poll::Ready(Err(Failed::Writing)) => self.there.discard(),
                _ => {}
            }
        }
        if !self.back.done {
            match self.back.poll(cx, up, down, (worker, scratch)) {
                Poll::Ready(Err(Failed::Writing)) => return Poll::Ready(End::ClientGone),
                Poll::Ready(Err(Failed::Reading)) => {
                    self.upstream_gone = true;
                    self.last = Some(Instant::now() + LINGER);
                    self.there.discard();
                    self.back.end();
                    cx.waker().wake_by_ref();
                }
                _ => {}
            }
        }
        if self.there.done && self.back.done {
            return Poll::Ready(if self.upstream_gone { End::UpstreamGone } else { End::Done });
        }
        Poll::Pending
    }

    /// Counts at once what moved: connections may stay for days.
    fn count(&mut self, before: (u64, u64)) {
        let (received, sent) = (self.there.bytes - before.0, self.back.bytes - before.1);
        if received + sent == 0 {
            return;
        }
        self.moved_at = Instant::now();
        (self.flow.received, self.flow.sent) = (self.there.bytes, self.back.bytes);
        super::record::count_bytes(self.flow, self.connection.worker.index, received, sent);
    }
}

/// Which side of a [`Way`] failed.
enum Failed {
    Reading,
    Writing,
}

/// One direction.
#[derive(Default)]
struct Way {
    bytes: u64,
    /// Read, and not taken yet by the other side; `at` bytes of it were.
    pending: Vec<u8>,
    at: usize,
    /// Likewise, uncopied.
    piped: Option<Lent>,
    /// Much arrived at once the last time.
    bulk: bool,
    /// The end was read.
    ended: bool,
    /// Nobody takes what is read any more.
    discards: bool,
    /// The end was passed on.
    done: bool,
}

impl Way {
    /// Ready once the end was passed on.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
        (worker, scratch): (&Worker, &mut [u8]),
    ) -> Poll<Result<(), Failed>> {
        loop {
            ready!(self.poll_pending(cx, to))?;
            ready!(self.poll_piped(cx, to))?;
            if self.ended {
                return self.poll_end(cx, to);
            }
            let polled = match self.pipe(from, to, worker) {
                Some(pipe) => self.poll_move(cx, from, pipe),
                None => self.poll_copy(cx, from, to, scratch),
            };
            if polled?.is_pending() {
                return match to.poll_flush(cx) {
                    Poll::Ready(Err(_)) if !self.discards => Poll::Ready(Err(Failed::Writing)),
                    _ => Poll::Pending,
                };
            }
        }
    }

    /// Where the next bytes are not to be copied: what takes them.
    fn pipe(&self, from: &Stream, to: &Stream, worker: &Worker) -> Option<Lent> {
        (self.bulk && !self.discards && Pipe::fits(from, to)).then(|| worker.pipes.take()).flatten()
    }

    /// Moves what has arrived into a pipe.
    fn poll_move(&mut self, cx: &mut Context<'_>, from: &mut Stream, mut pipe: Lent) -> Result<Poll<()>, Failed> {
        let n = match pipe.poll_fill(cx, from) {
            Poll::Ready(Ok(n)) => n,
            Poll::Ready(Err(_)) => return Err(Failed::Reading),
            Poll::Pending => return Ok(Poll::Pending),
        };
        (self.ended, self.bulk) = (n == 0, n >= BULK);
        self.piped = Some(pipe);
        Ok(Poll::Ready(()))
    }

    /// Reads what has arrived, and writes what `to` takes of it.
    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
        scratch: &mut [u8],
    ) -> Result<Poll<()>, Failed> {
        match from.poll_read_into(cx, scratch) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(Ok(0)) => self.ended = true,
            // A TLS peer that closes without saying so (RFC 8446 §6.1): who looks at the bytes must judge that.
            Poll::Ready(Err(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => self.ended = true,
            Poll::Ready(Err(_)) => return Err(Failed::Reading),
            Poll::Ready(Ok(_)) if self.discards => {}
            Poll::Ready(Ok(n)) => {
                self.bulk = n >= BULK;
                self.write(cx, to, &scratch[..n])?;
            }
        }
        Ok(Poll::Ready(()))
    }

    /// Writes what `to` takes at once, and keeps the rest.
    fn write(&mut self, cx: &mut Context<'_>, to: &mut Stream, mut bytes: &[u8]) -> Result<(), Failed> {
        while !bytes.is_empty() {
            match to.poll_write(cx, bytes) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.bytes += n as u64;
                    bytes = &bytes[n..];
                }
                Poll::Ready(_) => return Err(Failed::Writing),
                Poll::Pending => {
                    (self.pending, self.at) = (bytes.to_vec(), 0);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn poll_pending(&mut self, cx: &mut Context<'_>, to: &mut Stream) -> Poll<Result<(), Failed>> {
        while self.at < self.pending.len() {
            match to.poll_write(cx, &self.pending[self.at..]) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    self.bytes += n as u64;
                    self.at += n;
                }
                Poll::Ready(_) => return Poll::Ready(Err(Failed::Writing)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if !self.pending.is_empty() {
            (self.pending, self.at) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_piped(&mut self, cx: &mut Context<'_>, to: &mut Stream) -> Poll<Result<(), Failed>> {
        let Some(pipe) = &mut self.piped else { return Poll::Ready(Ok(())) };
        while !pipe.is_empty() {
            match ready!(pipe.poll_drain(cx, to)) {
                Ok(n) if n > 0 => self.bytes += n as u64,
                _ => return Poll::Ready(Err(Failed::Writing)),
            }
        }
        self.piped = None;
        Poll::Ready(Ok(()))
    }

    fn poll_end(&mut self, cx: &mut Context<'_>, to: &mut Stream) -> Poll<Result<(), Failed>> {
        if !self.discards && to.poll_shutdown(cx).is_pending() {
            return Poll::Pending;
        }
        // A side that is gone already has nothing to be told.
        self.done = true;
        Poll::Ready(Ok(()))
    }

    /// What comes from now on is thrown away: it is read so that the end is seen, and so that closing does not reset.
    fn discard(&mut self) {
        self.discards = true;
        (self.pending, self.at, self.piped) = (Vec::new(), 0, None);
    }

    /// Nothing more comes.
    fn end(&mut self) {
        self.ended = true;
    }
}
