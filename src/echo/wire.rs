//! A connection whose raw bytes a handler can reach, past the HTTP library: for 1xx answers, broken ones and resets.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use fairlead_net::Stream;
use hyper::rt::{Read, ReadBufCursor, Write};

/// The handler's side. hyper wants connections that may move between threads, hence the lock; nobody ever waits for it.
#[derive(Clone, Debug, Default)]
pub struct Wire(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Goes out before anything else.
    pending: Vec<u8>,
    end: Option<End>,
    /// Of the task that drives the connection.
    waker: Option<Waker>,
}

/// How a connection ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// After what is pending, in order.
    Close,
    /// At once, so that the peer sees a reset.
    Reset,
}

impl Wire {
    /// Writes `bytes` as they are, before what hyper has still to write.
    pub fn write(&self, bytes: &[u8]) {
        let mut state = self.lock();
        state.pending.extend_from_slice(bytes);
        state.wake();
    }

    /// Ends the connection.
    pub fn end(&self, end: End) {
        let mut state = self.lock();
        state.end = Some(end);
        state.wake();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    fn watch(&mut self, cx: &Context<'_>) {
        if self.waker.as_ref().is_none_or(|w| !w.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }
}

/// The connection's side.
pub struct Tap {
    /// `None` once it is ended.
    stream: Option<Stream>,
    wire: Wire,
    /// What a read goes through, as hyper's buffers may be uninitialised.
    buffer: Box<[u8]>,
}

impl Tap {
    /// Wraps a connection.
    pub fn new(stream: Stream, wire: Wire) -> Tap {
        Tap { stream: Some(stream), wire, buffer: vec![0; 16 * 1024].into() }
    }

    fn stream(&mut self) -> io::Result<&mut Stream> {
        self.stream.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Does what the handler asked for.
    fn poll_wire(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.wire.lock();
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if state.end == Some(End::Reset) {
            if let Some(stream) = self.stream.take() {
                stream.abort();
            }
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        while !state.pending.is_empty() {
            let n = ready!(stream.poll_write(cx, &state.pending))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            state.pending.drain(..n);
        }
        if state.end == Some(End::Close) {
            ready!(stream.poll_flush(cx))?;
            // The peer may be gone already, which is as good.
            let _ = ready!(stream.poll_shutdown(cx));
            self.stream = None;
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl Read for Tap {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let ended = {
            let mut state = this.wire.lock();
            state.watch(cx);
            state.end.is_some()
        };
        if ended {
            ready!(this.poll_wire(cx))?;
        }
        let limit = buf.remaining().min(this.buffer.len());
        let Tap { stream: Some(stream), buffer, .. } = this else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let n = ready!(stream.poll_read_into(cx, &mut buffer[..limit]))?;
        buf.put_slice(&buffer[..n]);
        Poll::Ready(Ok(()))
    }
}

impl Write for Tap {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_wire(cx))?;
        this.stream()?.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_wire(cx))?;
        this.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream()?.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_wire(cx))?;
        this.stream()?.poll_write_vectored(cx, bufs)
    }
}
