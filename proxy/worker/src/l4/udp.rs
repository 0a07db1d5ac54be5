//! UDP sessions: a pair of addresses, the backend that was drawn for it, and a socket towards that.
//!
//! `datagram ─► session of its path, or: find ─► draw ─► socket ─► session ─► endpoint; replies go back along the path`
//!
//! * The kernel gives all datagrams of a pair of addresses to the same worker, so sessions are a worker's own.
//! * Weights are per session. A session stays with its endpoint until it is idle for its route's time (60 s as Envoy), the endpoint leaves
//!   its cluster, the route no longer leads there, or the endpoint's machine says by ICMP that nobody listens: the datagram in hand
//!   then begins a new session, with another endpoint if there is one.
//! * What can't go anywhere is dropped, and counted as a rejected request of its listener; nothing is ever answered by ourselves.
//! * At most [`MAX_SESSIONS`] sessions per socket and worker, and half of the file descriptors that the process may have; datagrams of further clients are dropped (flag `UO` has no session to be
//!   logged with).
//! * A drain lets sessions go on, and ends those that are idle for [`DRAIN_IDLE`]. A listener that is removed ends them at once, since its port
//!   is to be free.

mod session;

use super::Flow;
use crate::cause::Cause;
use crate::connection::Connections;
use crate::worker::Worker;
use fairlead_ir::Bind;
use fairlead_net::{Datagrams, Path};
use fairlead_telemetry::RejectReason;
use fairlead_upstream::Endpoint;
pub(super) use session::Linked;
use session::{Life, Session};
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::AbortHandle;

/// How many sessions a socket may have on a worker. Each takes a file descriptor.
const MAX_SESSIONS: usize = 10_000;

/// A session on which nothing moves for this time ends, unless its route says otherwise. Envoy's `idle_timeout`.
const IDLE: Duration = Duration::from_secs(60);

/// Likewise while draining.
const DRAIN_IDLE: Duration = Duration::from_secs(5);

/// So many datagrams are taken before other tasks have their turn.
const BATCH: usize = 64;

/// A UDP socket of a worker, with its sessions.
pub(crate) struct Socket {
    io: Datagrams,
    bind: Bind,
    sessions: RefCell<HashMap<Path, Rc<Session>>>,
    connections: Rc<Connections>,
}

impl Socket {
    /// Registers a bound socket, and serves it in a task of its own until that is aborted.
    ///
    /// # Errors
    /// When it can't be registered.
    pub fn start(
        worker: &Rc<Worker>,
        bind: Bind,
        socket: std::net::UdpSocket,
        connections: Rc<Connections>,
    ) -> io::Result<(Rc<Socket>, AbortHandle)> {
        let io = Datagrams::new(socket)?;
        let socket = Rc::new(Socket { io, bind, sessions: RefCell::default(), connections });
        let serving = tokio::task::spawn_local(socket.clone().serve(worker.clone()));
        Ok((socket, serving.abort_handle()))
    }

    /// Ends all sessions.
    pub fn close(&self) {
        let sessions = std::mem::take(&mut *self.sessions.borrow_mut());
        sessions.into_values().for_each(|session| session.end("listener_removed"));
    }

    async fn serve(self: Rc<Self>, worker: Rc<Worker>) {
        loop {
            let error = poll_fn(|cx| self.poll_take(cx, &worker)).await;
            if let Some(port) = worker.current().snapshot.port(self.bind) {
                port.metrics.at(worker.index).accept_errors.inc();
            }
            tracing::warn!(worker = worker.index, port = self.bind.port, %error, "cannot receive datagrams");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Takes datagrams until there are none; ready with an error.
    fn poll_take(self: &Rc<Self>, cx: &mut Context<'_>, worker: &Rc<Worker>) -> Poll<io::Error> {
        let scratch = &mut *worker.scratch();
        for _ in 0..BATCH {
            match self.io.poll_recv(cx, scratch) {
                Poll::Ready(Ok((n, path))) => self.take(worker, path, &scratch[..n]),
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn take(self: &Rc<Self>, worker: &Rc<Worker>, path: Path, datagram: &[u8]) {
        let known = self.sessions.borrow().get(&path).cloned();
        let mut tried = Vec::new();
        if let Some(session) = known {
            if !session.is_current(worker, self.bind) {
                session.end("endpoint_or_route_gone");
            } else if session.send(worker, datagram) {
                return;
            } else {
                tried.push(session.endpoint().clone());
                session.fail("upstream_refused");
            }
            self.sessions.borrow_mut().remove(&path);
        }
        if let Err(cause) = self.begin(worker, path, datagram, tried) {
            self.reject(worker, cause);
        }
    }

    /// A new session, with the datagram that begins it.
    fn begin(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        path: Path,
        datagram: &[u8],
        tried: Vec<Rc<Endpoint>>,
    ) -> Result<(), Cause> {
        let current = worker.current();
        let port = current.snapshot.port(self.bind).ok_or(Cause::NoRoute)?;
        let all = &worker.udp_sessions;
        if self.sessions.borrow().len() >= MAX_SESSIONS || all.open.get() >= all.most {
            return Err(Cause::Overflow);
        }
        // UDP listeners have no host names.
        let mut flow = Flow::new(port.listeners.find(b"").cloned(), "");
        flow.tried = tried;
        flow.draw(&current)?;
        let link = flow.link_udp(worker.index)?;
        // Those of another session are no attempts of this one.
        flow.tried.clear();
        let life = Life { worker: worker.clone(), socket: self.clone(), port: port.clone(), path };
        let session = Session::start(life, flow, link, self.connections.register());
        self.sessions.borrow_mut().insert(path, session.clone());
        session.send(worker, datagram);
        Ok(())
    }

    fn reject(&self, worker: &Worker, cause: Cause) {
        let reason = match cause {
            Cause::Overflow => RejectReason::Overload,
            _ => RejectReason::Other,
        };
        let current = worker.current();
        let Some(port) = current.snapshot.port(self.bind) else { return };
        let listener = port.listeners.find(b"").map_or(&port.metrics, |listener| &listener.metrics);
        listener.at(worker.index).rejects.inc(reason);
    }
}
