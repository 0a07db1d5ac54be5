//! One type for every kind of connection the proxy reads from and writes to.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{client, server};

/// A byte stream: a plain socket, TLS over one, or either with bytes to be read first.
///
/// An enum and not a trait object, so that the calls of the plain case inline; the rarer kinds are boxed, which keeps a
/// plain stream at five words.
///
/// Reads go through [`AsyncRead::poll_read`] of the socket and never through `try_read`: the former notes a short read as
/// "drained" and so saves one `recvfrom` that fails with `EAGAIN` per request, and without that note [`Stream::is_stale`]
/// would call every idle socket readable.
///
/// On TLS a write is only handed to the kernel for certain after [`Stream::poll_flush`]; on plain sockets flushing costs
/// nothing. Callers flush whenever they stop writing.
#[derive(Debug)]
pub enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A unix domain socket.
    Unix(UnixStream),
    /// TLS where we are the server (downstream).
    TlsServer(Box<server::TlsStream<Stream>>),
    /// TLS where we are the client (upstream).
    TlsClient(Box<client::TlsStream<Stream>>),
    /// A stream some of whose bytes were read ahead; turns into the inner stream once they are read.
    Prefixed(Box<Prefixed>),
}

impl Stream {
    /// Gives `bytes` back: they are read before anything else. An empty prefix changes nothing.
    pub fn with_prefix(self, bytes: Bytes) -> Stream {
        if bytes.is_empty() {
            return self;
        }
        Stream::Prefixed(Box::new(Prefixed { bytes, inner: Some(self) }))
    }

    /// Whether bytes travel encrypted.
    pub fn is_tls(&self) -> bool {
        match self {
            Stream::Tcp(_) | Stream::Unix(_) => false,
            Stream::TlsServer(_) | Stream::TlsClient(_) => true,
            Stream::Prefixed(p) => p.inner.as_ref().is_some_and(Stream::is_tls),
        }
    }

    /// The protocol agreed by ALPN (RFC 7301); `None` on plain streams and when the peers agreed on none.
    pub fn alpn(&self) -> Option<&[u8]> {
        match self {
            Stream::Tcp(_) | Stream::Unix(_) => None,
            Stream::TlsServer(s) => s.get_ref().1.alpn_protocol(),
            Stream::TlsClient(s) => s.get_ref().1.alpn_protocol(),
            Stream::Prefixed(p) => p.inner.as_ref().and_then(Stream::alpn),
        }
    }

    /// Ready when a read would return something: bytes, end of stream, or an error. Makes no system call.
    ///
    /// Wait with this before taking a read buffer, so that an idle connection owns none. On TLS it may be ready although
    /// only a part of a record (or a session ticket) has arrived; the read is pending then.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(s) => s.poll_read_ready(cx),
            Stream::Unix(s) => s.poll_read_ready(cx),
            Stream::TlsServer(s) => {
                let (io, session) = s.get_mut();
                // Not wanting to read means that plaintext, or the peer's close_notify, waits inside the session.
                if session.wants_read() { io.poll_readable(cx) } else { Poll::Ready(Ok(())) }
            }
            Stream::TlsClient(s) => {
                let (io, session) = s.get_mut();
                if session.wants_read() { io.poll_readable(cx) } else { Poll::Ready(Ok(())) }
            }
            Stream::Prefixed(_) => Poll::Ready(Ok(())),
        }
    }

    /// Whether an idle pooled connection must not be used again: it is readable, so the peer closed it or is out of step.
    ///
    /// Makes no system call on a quiet socket. A TLS client that was sent something reads it: session tickets and other
    /// messages without application data don't make it stale.
    pub fn is_stale(&mut self) -> bool {
        if !self.readable_now() {
            return false;
        }
        match self {
            Stream::TlsClient(_) => {
                let mut byte = [0u8; 1];
                let mut cx = Context::from_waker(Waker::noop());
                let read = pin!(tokio::task::coop::unconstrained(std::future::poll_fn(|cx| {
                    self.poll_read_into(cx, &mut byte)
                })))
                .poll(&mut cx);
                read.is_ready()
            }
            _ => true,
        }
    }

    /// [`Stream::poll_readable`] asked once, without waiting and without regard to tokio's cooperative budget (a task that
    /// used its budget up would otherwise take every connection for a quiet one).
    fn readable_now(&mut self) -> bool {
        if let Stream::Tcp(s) = self {
            // Asks the runtime only, as the poll would.
            return s.try_io(Interest::READABLE, || Ok(())).is_ok();
        }
        let mut cx = Context::from_waker(Waker::noop());
        pin!(tokio::task::coop::unconstrained(std::future::poll_fn(|cx| self.poll_readable(cx))))
            .poll(&mut cx)
            .is_ready()
    }

    /// Reads into `buf`; 0 is the end of the stream (or an empty `buf`).
    ///
    /// On TLS an end without the peer's close_notify is [`io::ErrorKind::UnexpectedEof`] (RFC 8446 §6.1).
    #[inline]
    pub fn poll_read_into(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(self).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    /// Writes some of `buf`; see the type's notes on flushing.
    #[inline]
    pub fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Tcp(s) => Pin::new(s).poll_write(cx, buf),
            Stream::Unix(s) => Pin::new(s).poll_write(cx, buf),
            Stream::TlsServer(s) => Pin::new(s).poll_write(cx, buf),
            Stream::TlsClient(s) => Pin::new(s).poll_write(cx, buf),
            Stream::Prefixed(p) => p.inner()?.poll_write(cx, buf),
        }
    }

    /// Writes some of `bufs`, in order, with one system call on plain sockets.
    #[inline]
    pub fn poll_write_vectored(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Tcp(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Stream::Unix(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Stream::TlsServer(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Stream::TlsClient(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Stream::Prefixed(p) => p.inner()?.poll_write_vectored(cx, bufs),
        }
    }

    /// Hands everything written so far to the kernel.
    #[inline]
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(_) | Stream::Unix(_) => Poll::Ready(Ok(())),
            Stream::TlsServer(s) => Pin::new(s).poll_flush(cx),
            Stream::TlsClient(s) => Pin::new(s).poll_flush(cx),
            Stream::Prefixed(p) => p.inner()?.poll_flush(cx),
        }
    }

    /// Ends the sending direction (after a close_notify on TLS). Reading stays possible.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Unix(s) => Pin::new(s).poll_shutdown(cx),
            Stream::TlsServer(s) => Pin::new(s).poll_shutdown(cx),
            Stream::TlsClient(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Prefixed(p) => p.inner()?.poll_shutdown(cx),
        }
    }

    /// Closes at once; on TCP the peer sees a reset, so that it cannot take a cut-off message for a complete one.
    pub fn abort(self) {
        if let Stream::Tcp(s) = self.socket() {
            // A socket whose peer is gone already may refuse; it is closed all the same.
            let _ = s.set_zero_linger();
        }
    }

    /// Our address, on TCP.
    pub fn local_addr(&self) -> Option<std::net::SocketAddr> {
        match self.socket() {
            Stream::Tcp(s) => s.local_addr().ok(),
            _ => None,
        }
    }

    /// The plain stream under all layers.
    fn socket(&self) -> &Stream {
        match self {
            Stream::Tcp(_) | Stream::Unix(_) => self,
            Stream::TlsServer(s) => s.get_ref().0.socket(),
            Stream::TlsClient(s) => s.get_ref().0.socket(),
            Stream::Prefixed(p) => p.inner.as_ref().map_or(self, Stream::socket),
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(s: TcpStream) -> Stream {
        Stream::Tcp(s)
    }
}

impl From<UnixStream> for Stream {
    fn from(s: UnixStream) -> Stream {
        Stream::Unix(s)
    }
}

/// A stream with bytes to be read before the socket's.
pub struct Prefixed {
    bytes: Bytes,
    /// Taken out at the moment the prefix is used up and the outer stream becomes the inner one.
    inner: Option<Stream>,
}

impl Prefixed {
    fn inner(&mut self) -> io::Result<&mut Stream> {
        self.inner.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl std::fmt::Debug for Prefixed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The bytes are a peer's and may be secret.
        f.debug_struct("Prefixed").field("bytes", &self.bytes.len()).field("inner", &self.inner).finish()
    }
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this {
            Stream::Tcp(s) => Pin::new(s).poll_read(cx, buf),
            Stream::Unix(s) => Pin::new(s).poll_read(cx, buf),
            Stream::TlsServer(s) => Pin::new(s).poll_read(cx, buf),
            Stream::TlsClient(s) => Pin::new(s).poll_read(cx, buf),
            Stream::Prefixed(p) => {
                let n = p.bytes.len().min(buf.remaining());
                buf.put_slice(&p.bytes[..n]);
                p.bytes.advance(n);
                if p.bytes.is_empty()
                    && let Some(inner) = p.inner.take()
                {
                    *this = inner;
                }
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Stream::poll_write(self.get_mut(), cx, buf)
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Stream::poll_write_vectored(self.get_mut(), cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Stream::poll_flush(self.get_mut(), cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Stream::poll_shutdown(self.get_mut(), cx)
    }
}

#[cfg(test)]
mod tests;
