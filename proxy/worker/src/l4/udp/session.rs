//! One session: its task takes replies, its socket's task the client's datagrams.

use super::{BATCH, DRAIN_IDLE, IDLE, Socket};
use crate::connection::{Phase, Registered};
use crate::l4::Flow;
use crate::l4::record::{self, Ends};
use crate::timer::Timer;
use crate::worker::Worker;
use fairlead_ir::Bind;
use fairlead_net::{Path, UdpLink};
use fairlead_snapshot::{Port, Target};
use fairlead_telemetry::Flag;
use fairlead_upstream::{Cluster, Endpoint, Link};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::time::Instant;

/// See the module.
pub(super) struct Session {
    flow: RefCell<Flow>,
    link: Link<UdpLink>,
    endpoint: Rc<Endpoint>,
    cluster: Rc<Cluster>,
    moved_at: Cell<Instant>,
    /// Of the snapshot by which it was last found to lead where it should.
    epoch: Cell<u64>,
    over: Cell<bool>,
    task: Cell<Option<Waker>>,
}

/// What a session's task needs.
pub(super) struct Life {
    pub worker: Rc<Worker>,
    pub socket: Rc<Socket>,
    pub port: Arc<Port>,
    pub path: Path,
}

impl Session {
    /// Counts the session in and starts its task. `flow` has a cluster and a pick.
    pub fn start(life: Life, flow: Flow, (link, cluster, endpoint): Linked, registered: Registered) -> Rc<Session> {
        let index = life.worker.index;
        let cells = life.port.metrics.at(index);
        cells.connections.inc();
        cells.connections_active.inc();
        if let Some(listener) = &flow.listener {
            listener.metrics.at(index).connections.inc();
            listener.metrics.at(index).connections_active.inc();
        }
        let session = Rc::new(Session {
            moved_at: Cell::new(flow.start),
            flow: RefCell::new(flow),
            link,
            endpoint,
            cluster,
            epoch: Cell::new(life.worker.epoch()),
            over: Cell::new(false),
            task: Cell::default(),
        });
        life.worker.udp_sessions.open.update(|open| open + 1);
        tokio::task::spawn_local(session.clone().serve(life, registered));
        session
    }

    pub fn endpoint(&self) -> &Rc<Endpoint> {
        &self.endpoint
    }

    /// Whether the configuration still leads its datagrams where they go.
    pub fn is_current(&self, worker: &Worker, bind: Bind) -> bool {
        // First, since this is what retires endpoints.
        let current = worker.current();
        if self.over.get() || self.endpoint.is_retired() {
            return false;
        }
        if self.epoch.get() == worker.epoch() {
            return true;
        }
        let listener = current.snapshot.port(bind).and_then(|port| port.listeners.find(b""));
        let Some(route) = listener.and_then(|listener| listener.connection_route("")) else { return false };
        let leads_here = route.backends.iter().zip(&route.config.backends).any(|(backend, config)| {
            let Target::Cluster(slot) = backend.target else { return false };
            config.weight > 0 && current.cluster(slot).is_some_and(|cluster| Rc::ptr_eq(cluster, &self.cluster))
        });
        if leads_here {
            self.epoch.set(worker.epoch());
        }
        leads_here
    }

    /// Sends a datagram of the client. False: the endpoint does not take datagrams.
    pub fn send(&self, worker: &Worker, datagram: &[u8]) -> bool {
        match self.link.socket().send(datagram) {
            Ok(()) => {
                self.count(worker, datagram.len() as u64, 0);
                true
            }
            // No room just now, or too large for the way: lost, as UDP has it.
            Err(error) => !is_refusal(error.kind()),
        }
    }

    /// Ends it.
    pub fn end(&self, why: &'static str) {
        self.flow.borrow_mut().termination = why;
        self.over.set(true);
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    /// Ends it because of its endpoint.
    pub fn fail(&self, why: &'static str) {
        self.endpoint.cells().failures.inc();
        self.flow.borrow_mut().flags |= Flag::UpstreamConnectionFailure;
        self.end(why);
    }

    fn count(&self, worker: &Worker, received: u64, sent: u64) {
        self.moved_at.set(Instant::now());
        let mut flow = self.flow.borrow_mut();
        flow.received += received;
        flow.sent += sent;
        record::count_bytes(&flow, worker.index, received, sent);
    }

    async fn serve(self: Rc<Self>, life: Life, registered: Registered) {
        let idle = self.flow.borrow().idle(IDLE);
        let mut timer = Timer::default();
        poll_fn(|cx| self.poll(cx, &life, &registered, idle, &mut timer)).await;
        let Life { worker, socket, port, path } = life;
        let mut sessions = socket.sessions.borrow_mut();
        if sessions.get(&path).is_some_and(|session| Rc::ptr_eq(session, &self)) {
            sessions.remove(&path);
        }
        drop(sessions);
        worker.udp_sessions.open.update(|open| open - 1);
        port.metrics.at(worker.index).connections_active.dec();
        let local = SocketAddr::new(path.local, socket.io.local_addr().port());
        let ends =
            Ends { peer: path.peer, local, id: worker.serial(), tls_version: "", tls_cipher: "", certificate: None };
        record::end(&worker, &self.flow.borrow(), &ends);
    }

    /// Takes replies; ready when it is over.
    fn poll(
        &self,
        cx: &mut Context<'_>,
        life: &Life,
        registered: &Registered,
        idle: Option<Duration>,
        timer: &mut Timer,
    ) -> Poll<()> {
        if self.over.get() || self.poll_replies(cx, life).is_ready() {
            return Poll::Ready(());
        }
        let limit = match registered.phase(cx) {
            Phase::Draining => Some(DRAIN_IDLE.min(idle.unwrap_or(DRAIN_IDLE))),
            _ => idle,
        };
        timer.set(limit.map(|limit| self.moved_at.get() + limit));
        self.task.set(Some(cx.waker().clone()));
        ready!(timer.poll_expired(cx));
        self.flow.borrow_mut().termination = "idle_timeout";
        Poll::Ready(())
    }

    fn poll_replies(&self, cx: &mut Context<'_>, life: &Life) -> Poll<()> {
        let scratch = &mut *life.worker.scratch();
        for _ in 0..BATCH {
            match self.link.socket().poll_recv(cx, scratch) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(n)) => {
                    // What the kernel has no room for is lost.
                    if life.socket.io.send(&scratch[..n], life.path).is_ok() {
                        self.count(&life.worker, 0, n as u64);
                    }
                }
                Poll::Ready(Err(error)) if is_refusal(error.kind()) => {
                    self.fail("upstream_refused");
                    return Poll::Ready(());
                }
                Poll::Ready(Err(error)) => {
                    tracing::debug!(endpoint = self.endpoint.name(), %error, "cannot receive replies");
                    self.fail("upstream_error");
                    return Poll::Ready(());
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A session's socket, and where it leads.
pub(in crate::l4) type Linked = (Link<UdpLink>, Rc<Cluster>, Rc<Endpoint>);

/// What ICMP says of an endpoint.
fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable)
}
