//! Bytes from one plain TCP connection to another without a copy: `splice(2)` through a pipe of the kernel's.
//!
//! A pipe holds references to the memory that bytes arrived in. It pays where much arrives at once; little is cheaper read and
//! written, since a move takes two calls of its own.

use std::io::{self, PipeReader, PipeWriter};
use std::task::{Context, Poll, ready};

use rustix::fd::AsFd;
use rustix::pipe::SpliceFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::Stream;

/// Bytes on their way between two connections: what one poll took from the one and the other did not take yet.
#[derive(Debug)]
pub struct Pipe {
    reader: PipeReader,
    writer: PipeWriter,
    held: usize,
}

/// Bytes that one move takes at most: what a pipe holds where nobody changed that (16 pages).
const MOST: usize = 64 * 1024;

impl Pipe {
    /// A new pipe, which takes two file descriptors.
    ///
    /// # Errors
    /// When there are no more descriptors.
    pub fn new() -> io::Result<Pipe> {
        let (reader, writer) = io::pipe()?;
        Ok(Pipe { reader, writer, held: 0 })
    }

    /// Whether bytes can go from `from` to `to` through a pipe: neither is encrypted or has bytes that were read ahead.
    pub fn fits(from: &Stream, to: &Stream) -> bool {
        matches!((from, to), (Stream::Tcp(_), Stream::Tcp(_)))
    }

    /// Nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Takes what has arrived, up to 64 KiB; 0 is the end of the stream. Only for a pipe that is empty: on another one it can't be
    /// told which side has to be waited for.
    ///
    /// # Errors
    /// Those of the connection. [`io::ErrorKind::Unsupported`]: it is not a plain one.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, from: &Stream) -> Poll<io::Result<usize>> {
        let Stream::Tcp(from) = from else { return Poll::Ready(Err(io::ErrorKind::Unsupported.into())) };
        loop {
            ready!(from.poll_read_ready(cx))?;
            match attempt(from, Interest::READABLE, || splice(from, &self.writer, MOST)) {
                Ok(n) => {
                    self.held += n;
                    return Poll::Ready(Ok(n));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }

    /// Gives `to` what it takes at once; how many bytes these are. At least one, of a pipe that is not empty.
    ///
    /// # Errors
    /// As for [`Pipe::poll_fill`]. What is in the pipe stays there.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>, to: &Stream) -> Poll<io::Result<usize>> {
        let Stream::Tcp(to) = to else { return Poll::Ready(Err(io::ErrorKind::Unsupported.into())) };
        loop {
            ready!(to.poll_write_ready(cx))?;
            match attempt(to, Interest::WRITABLE, || splice(&self.reader, to, self.held)) {
                Ok(n) => {
                    self.held -= n.min(self.held);
                    return Poll::Ready(Ok(n));
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
        }
    }
}

/// A call on a socket that is said to be ready; when it is not, the runtime learns of it.
fn attempt(socket: &TcpStream, interest: Interest, call: impl Fn() -> io::Result<usize>) -> io::Result<usize> {
    socket.try_io(interest, || {
        loop {
            match call() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    })
}

fn splice(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
    Ok(rustix::pipe::splice(from, None, to, None, most, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?)
}

#[cfg(test)]
mod tests;
