//! Accepting connections without binding them to a worker yet.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::task::{Context, Poll, ready};

use rustix::net::{SocketFlags, acceptfrom_with};
use tokio::io::unix::AsyncFd;

use crate::Stream;

/// A listening socket of one worker.
#[derive(Debug)]
pub struct Listener {
    socket: AsyncFd<std::net::TcpListener>,
    local: SocketAddr,
}

impl Listener {
    /// Registers a non-blocking listening socket with the current runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O, as all of tokio's sockets.
    pub fn new(socket: std::net::TcpListener) -> io::Result<Listener> {
        socket.set_nonblocking(true)?;
        let local = canonical(socket.local_addr()?);
        // SAFETY: the `TcpListener` owns one open descriptor, moves into the `AsyncFd`, and is only lent out by reference, so
        // the descriptor stays open and the same until it is dropped.
        let socket = unsafe { AsyncFd::register_with_interest(socket, tokio::io::Interest::READABLE) }?;
        Ok(Listener { socket, local })
    }

    /// The address it listens on, with the port that was taken when 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The next connection.
    ///
    /// Connections that died while they waited are skipped. An error is one of the process or the machine (out of file
    /// descriptors or memory): it will come again, so wait a little before the next call.
    pub async fn accept(&self) -> io::Result<Accepted> {
        std::future::poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// See [`Listener::accept`].
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(cx))?;
            match ready.try_io(|socket| accept(socket.get_ref())) {
                Ok(Ok((socket, peer))) => return Poll::Ready(self.accepted(socket, peer)),
                Ok(Err(e)) if is_of_the_connection(&e) => {}
                Ok(Err(e)) => return Poll::Ready(Err(e)),
                Err(_would_block) => {}
            }
        }
    }

    fn accepted(&self, socket: TcpStream, peer: SocketAddr) -> io::Result<Accepted> {
        // Only a listener on all addresses has to ask which one the connection came to.
        let local = if self.local.ip().is_unspecified() { socket.local_addr()? } else { self.local };
        Ok(Accepted { socket, peer: canonical(peer), local: canonical(local) })
    }
}

/// A new connection that no runtime knows yet, so it may be sent to another worker.
#[derive(Debug)]
pub struct Accepted {
    /// The socket; it does not block.
    pub socket: TcpStream,
    /// The other end; an IPv4 client of an IPv6 socket has its IPv4 address here.
    pub peer: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
}

impl Accepted {
    /// Registers the connection with the current worker's runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O.
    pub fn into_stream(self) -> io::Result<Stream> {
        tokio::net::TcpStream::from_std(self.socket).map(Stream::Tcp)
    }
}

/// `accept4`, which makes the new socket non-blocking without a further system call (the standard library's does not).
fn accept(listener: &std::net::TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (socket, peer) = acceptfrom_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    let peer = peer.and_then(|peer| peer.try_into().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok((TcpStream::from(socket), peer))
}

/// Errors that `accept(2)` passes on from the new connection; they say nothing about the listening socket.
fn is_of_the_connection(e: &io::Error) -> bool {
    matches!(
        e.raw_os_error(),
        Some(
            libc::ECONNABORTED
                | libc::ECONNRESET
                | libc::EINTR
                | libc::EPROTO
                | libc::EPERM
                | libc::ENETDOWN
                | libc::ENOPROTOOPT
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::EHOSTUNREACH
                | libc::EOPNOTSUPP
                | libc::ENETUNREACH
                | libc::ETIMEDOUT
        )
    )
}

/// IPv4-mapped IPv6 addresses as the IPv4 addresses they are, for logs and headers.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

#[cfg(test)]
mod tests;
