//! A worker's pipes: a connection has one only while bytes are in it.

use fairlead_net::{Pipe, Stream};
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

/// How many pipes a worker lends at a time. Each takes two file descriptors, and room of which the kernel gives a user without
/// privileges 1,024 times 64 KiB (`fs.pipe-user-pages-soft`). What is beyond is copied.
const MAX_PIPES: usize = 256;

/// Pipes that are kept for the next one.
const SPARE_PIPES: usize = 8;

/// See the module.
#[derive(Default)]
pub(crate) struct Pipes {
    spare: RefCell<Vec<Pipe>>,
    lent: Cell<usize>,
}

/// A pipe of a worker's. Goes back when it is dropped; what is in it then is lost.
pub(super) struct Lent {
    /// `None` once it is dropped.
    pipe: Option<Pipe>,
    pipes: Rc<Pipes>,
}

impl Pipes {
    /// An empty pipe. `None`: copy.
    pub(super) fn take(self: &Rc<Self>) -> Option<Lent> {
        if self.lent.get() >= MAX_PIPES {
            return None;
        }
        let spare = self.spare.borrow_mut().pop();
        // It can't be made when there are no more descriptors.
        let pipe = spare.or_else(|| Pipe::new().ok())?;
        self.lent.set(self.lent.get() + 1);
        Some(Lent { pipe: Some(pipe), pipes: self.clone() })
    }
}

impl Lent {
    /// As [`Pipe::poll_fill`].
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, from: &Stream) -> Poll<io::Result<usize>> {
        self.pipe.as_mut().map_or(Poll::Ready(Ok(0)), |pipe| pipe.poll_fill(cx, from))
    }

    /// As [`Pipe::poll_drain`].
    pub fn poll_drain(&mut self, cx: &mut Context<'_>, to: &Stream) -> Poll<io::Result<usize>> {
        self.pipe.as_mut().map_or(Poll::Ready(Ok(0)), |pipe| pipe.poll_drain(cx, to))
    }

    /// As [`Pipe::is_empty`].
    pub fn is_empty(&self) -> bool {
        self.pipe.as_ref().is_none_or(Pipe::is_empty)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Pipes { spare, lent } = &*self.pipes;
        lent.set(lent.get() - 1);
        let mut spare = spare.borrow_mut();
        if spare.len() < SPARE_PIPES {
            spare.extend(self.pipe.take().filter(Pipe::is_empty));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::io::Write as _;

    #[test]
    fn pipes_are_used_again_and_never_too_many() {
        let pipes = Rc::<Pipes>::default();
        let lent: Vec<Lent> = std::iter::from_fn(|| pipes.take()).collect();
        assert_eq!((lent.len(), pipes.spare.borrow().len()), (MAX_PIPES, 0));
        drop(lent);
        assert_eq!((pipes.lent.get(), pipes.spare.borrow().len()), (0, SPARE_PIPES));
        let one = pipes.take();
        assert_eq!((pipes.lent.get(), pipes.spare.borrow().len()), (1, SPARE_PIPES - 1));
        drop(one);
    }

    #[tokio::test]
    async fn what_was_in_a_pipe_never_comes_to_another_connection() {
        let pipes = Rc::<Pipes>::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let from = Stream::Tcp(listener.accept().await.unwrap().0);
        peer.write_all(b"secret").unwrap();
        let mut pipe = pipes.take().unwrap();
        assert_eq!(poll_fn(|cx| pipe.poll_fill(cx, &from)).await.unwrap(), 6);
        drop(pipe);
        assert_eq!((pipes.lent.get(), pipes.spare.borrow().len()), (0, 0));
    }
}
