//! One worker: a thread with its own event loop, sockets, pools and counters. Nothing in here is shared with another worker.

use crate::connection::Connections;
use crate::exchange::Exchange;
use crate::l4::{pipes::Pipes, udp};
use crate::serve;
use crate::workers::{Command, Load};
use fairlead_http::Limits;
use fairlead_ir::Bind;
use fairlead_net::{Accepted, Listener};
use fairlead_snapshot::{Cell as Snapshots, ClusterEntry, Snapshot};
use fairlead_telemetry::trace::{Batch, SpanBuffer};
use fairlead_telemetry::{AccessLog, Clock, LogSink, LogWriter, Needs, Scope, Timestamp, WorkerCells};
use fairlead_upstream::Cluster;
use std::cell::{Cell, OnceCell, RefCell, RefMut};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Sender, UnboundedReceiver, UnboundedSender, WeakUnboundedSender};
use tokio::task::AbortHandle;

/// How often idle pool connections are looked at and the access log is handed over.
const TICK: Duration = Duration::from_millis(500);

/// How often a listener that cannot accept says so.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Exchanges that wait to be used again.
const SPARE_EXCHANGES: usize = 256;

/// Bytes of a worker's [`Worker::scratch`]: a datagram fits, and a read of a connection that is only passed on.
pub const SCRATCH: usize = fairlead_net::MAX_DATAGRAM + 1;

/// What a worker is made from.
pub(crate) struct Seed {
    pub index: usize,
    pub snapshots: Arc<Snapshots>,
    pub access_log: Option<(AccessLog, Arc<LogWriter>)>,
    pub peers: Vec<UnboundedSender<Command>>,
    pub loads: Arc<[Load]>,
    /// File descriptors that the process may have.
    pub descriptors: usize,
    pub metrics: Arc<Scope<WorkerCells>>,
    pub exporter: Sender<Batch>,
}

/// A worker's own state.
pub struct Worker {
    /// 0 and up; the place of this worker's cells in every metric.
    pub index: usize,
    snapshots: Arc<Snapshots>,
    current: RefCell<Rc<Current>>,
    epoch: Cell<u64>,
    // Boxes, because one is taken per request and must not be copied.
    #[allow(clippy::vec_box)]
    spare: RefCell<Vec<Box<Exchange>>>,
    /// What responses may be.
    pub response_limits: Limits,
    /// Where the access log goes.
    pub log: Option<LogSink>,
    /// What it wants to know of requests.
    pub(crate) needs: Needs,
    /// Spans that were not handed over yet.
    pub(crate) spans: SpanBuffer,
    /// Where they go.
    pub(crate) exporter: Sender<Batch>,
    clock: Clock,
    ports: RefCell<HashMap<Bind, Port>>,
    announced: Cell<bool>,
    peers: Vec<WeakUnboundedSender<Command>>,
    loads: Arc<[Load]>,
    open: Cell<usize>,
    serial: Cell<u64>,
    metrics: Arc<Scope<WorkerCells>>,
    scratch: RefCell<Box<[u8]>>,
    pub(crate) pipes: Rc<Pipes>,
    pub(crate) udp_sessions: Sessions,
}

/// The UDP sessions of a worker, over all its sockets.
pub(crate) struct Sessions {
    pub(crate) open: Cell<usize>,
    /// Each takes a file descriptor, and clients can begin as many as they can forge addresses: half of what the process may have stays
    /// for everything else.
    pub(crate) most: usize,
}

/// A snapshot with this worker's clusters.
pub struct Current {
    /// What is served.
    pub snapshot: Arc<Snapshot>,
    /// By slot. A cluster is made for the first request to it: of many thousand a worker may see few.
    clusters: Box<[OnceCell<Rc<Cluster>>]>,
    worker: usize,
}

struct Port {
    connections: Rc<Connections>,
    accepting: Option<AbortHandle>,
    /// For UDP: who holds the socket.
    udp: Option<Rc<udp::Socket>>,
}

impl Current {
    fn empty(worker: usize) -> Current {
        Current { snapshot: Arc::default(), clusters: Box::default(), worker }
    }

    /// The cluster in a slot of the snapshot.
    pub fn cluster(&self, slot: u32) -> Option<&Rc<Cluster>> {
        let made = self.clusters.get(slot as usize)?;
        made.get().or_else(|| {
            let entry = self.snapshot.clusters.get(slot as usize)?.as_ref()?;
            let (config, endpoints) = (entry.config.clone(), entry.endpoints.clone());
            Some(made.get_or_init(|| Cluster::new(config, endpoints, entry.metrics.clone(), self.worker)))
        })
    }

    /// Clusters that did not change keep their pools; those whose endpoints changed keep the pools of the others.
    fn next(&self, snapshot: Arc<Snapshot>) -> Current {
        let keep = |(slot, new): (usize, &Option<Arc<ClusterEntry>>)| {
            let made = self.clusters.get(slot).and_then(OnceCell::get)?;
            let (new, old) = (new.as_ref()?, self.snapshot.clusters.get(slot)?.as_ref()?);
            if !Arc::ptr_eq(&new.config, &old.config) {
                return None;
            }
            if !Arc::ptr_eq(&new.endpoints, &old.endpoints) {
                made.update_endpoints(new.endpoints.clone());
            }
            Some(made.clone())
        };
        let kept =
            snapshot.clusters.iter().enumerate().map(|slot| keep(slot).map_or_else(OnceCell::new, OnceCell::from));
        Current { clusters: kept.collect(), snapshot, worker: self.worker }
    }

    /// The clusters that were asked for.
    fn clusters(&self) -> impl Iterator<Item = &Rc<Cluster>> {
        self.clusters.iter().filter_map(OnceCell::get)
    }
}

impl Worker {
    /// What is served now: one atomic load unless there is a newer snapshot.
    pub fn current(&self) -> Rc<Current> {
        let epoch = self.snapshots.epoch();
        if epoch != self.epoch.get() {
            let (epoch, snapshot) = self.snapshots.load();
            let next = Rc::new(self.current.borrow().next(snapshot));
            *self.current.borrow_mut() = next;
            self.epoch.set(epoch);
            self.note_version();
        }
        self.current.borrow().clone()
    }

    /// Of the snapshot in [`Worker::current`].
    pub fn epoch(&self) -> u64 {
        self.epoch.get()
    }

    /// Memory for one read, to be given back before anything is waited for. Nothing is allocated on workers that never ask.
    pub fn scratch(&self) -> RefMut<'_, [u8]> {
        RefMut::map(self.scratch.borrow_mut(), |scratch| {
            if scratch.is_empty() {
                *scratch = vec![0; SCRATCH].into();
            }
            &mut **scratch
        })
    }

    fn note_version(&self) {
        let version = self.current.borrow().snapshot.version;
        self.metrics.at(0).snapshot_version.set(i64::try_from(version).unwrap_or(i64::MAX));
    }

    /// An exchange with warm buffers.
    pub fn exchange(&self) -> Box<Exchange> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    /// For the next request.
    pub fn recycle(&self, mut exchange: Box<Exchange>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_EXCHANGES && exchange.clear() {
            spare.push(exchange);
        }
    }

    /// Numbers the worker's connections.
    pub fn serial(&self) -> u64 {
        self.serial.set(self.serial.get() + 1);
        self.serial.get()
    }

    /// Counts a connection in or out, for the balance between workers.
    pub fn count_open(&self, change: isize) {
        let open = self.open.get().saturating_add_signed(change);
        self.open.set(open);
        if let Some(load) = self.loads.get(self.index) {
            load.set(open);
        }
    }

    /// A worker with clearly fewer connections than this one, so that a few long ones don't pile up here.
    fn idler(&self) -> Option<&WeakUnboundedSender<Command>> {
        let open = self.open.get();
        let (index, least) = self.loads.iter().map(Load::value).enumerate().min_by_key(|(_, load)| *load)?;
        (open > 8 + least + least / 4).then(|| self.peers.get(index)).flatten()
    }

    fn serve(self: &Rc<Self>, bind: Bind, accepted: Accepted) {
        let connections = self.ports.borrow().get(&bind).map(|port| port.connections.clone());
        if let Some(connections) = connections {
            serve::spawn(self, bind, &connections, accepted);
        }
    }

    fn listen(self: &Rc<Self>, bind: Bind, socket: std::net::TcpListener) {
        match Listener::new(socket) {
            Ok(listener) => {
                let accepting = tokio::task::spawn_local(accept(self.clone(), bind, listener)).abort_handle();
                self.open_port(bind, Port { connections: Rc::default(), accepting: Some(accepting), udp: None });
            }
            Err(error) => {
                tracing::error!(worker = self.index, port = bind.port, %error, "cannot register a listening socket")
            }
        }
    }
}

impl Worker {
    fn listen_udp(self: &Rc<Self>, bind: Bind, socket: std::net::UdpSocket) {
        let connections: Rc<Connections> = Rc::default();
        match udp::Socket::start(self, bind, socket, connections.clone()) {
            Ok((socket, serving)) => {
                self.open_port(bind, Port { connections, accepting: Some(serving), udp: Some(socket) });
            }
            Err(error) => {
                tracing::error!(worker = self.index, port = bind.port, %error, "cannot register a UDP socket")
            }
        }
    }

    fn open_port(&self, bind: Bind, port: Port) {
        if self.announced.get() {
            port.connections.announce();
        }
        let old = self.ports.borrow_mut().insert(bind, port);
        if let Some(old) = old {
            old.close();
        }
    }
}

impl Port {
    /// Ends what it has open: UDP sessions at once, connections when they are done.
    fn close(&self) {
        self.stop_accepting();
        self.connections.drain();
        if let Some(socket) = &self.udp {
            socket.close();
        }
    }

    /// Lets everything finish what it does. New datagrams are still taken: those in front may not know of the end yet.
    fn drain(&self) {
        if self.udp.is_none() {
            self.stop_accepting();
        }
        self.connections.drain();
    }

    fn stop_accepting(&self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
    }
}

/// The thread's body.
pub(crate) fn run(seed: Seed, commands: UnboundedReceiver<Command>) {
    // Ids of requests and traces are to differ from those of any other proxy: what a thread begins with is not random enough.
    fastrand::seed(RandomState::new().hash_one(seed.index));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(tokio::runtime::LocalOptions::default());
    match runtime {
        Ok(runtime) => runtime.block_on(life(seed, commands)),
        Err(error) => tracing::error!(worker = seed.index, %error, "cannot make an event loop"),
    }
}

async fn life(seed: Seed, mut commands: UnboundedReceiver<Command>) {
    let (epoch, snapshot) = seed.snapshots.load();
    let log = seed.access_log.map(|(log, writer)| writer.sink(log, seed.index));
    let workers = seed.loads.len().max(1);
    let worker = Rc::new(Worker {
        index: seed.index,
        current: RefCell::new(Rc::new(Current::empty(seed.index).next(snapshot))),
        epoch: Cell::new(epoch),
        snapshots: seed.snapshots,
        spare: RefCell::default(),
        needs: log.as_ref().map_or_else(Needs::default, LogSink::needs),
        log,
        clock: Clock::new(),
        response_limits: Limits::default(),
        ports: RefCell::default(),
        announced: Cell::new(false),
        peers: seed.peers.iter().map(UnboundedSender::downgrade).collect(),
        loads: seed.loads,
        open: Cell::new(0),
        serial: Cell::new(0),
        metrics: seed.metrics,
        spans: SpanBuffer::default(),
        exporter: seed.exporter,
        scratch: RefCell::default(),
        pipes: Rc::default(),
        udp_sessions: Sessions { open: Cell::new(0), most: seed.descriptors / 2 / workers },
    });
    drop(seed.peers);
    worker.note_version();
    tokio::task::spawn_local(tick(worker.clone()));
    while let Some(command) = commands.recv().await {
        match command {
            Command::Listen { bind, socket } => worker.listen(bind, socket),
            Command::ListenUdp { bind, socket } => worker.listen_udp(bind, socket),
            Command::Close { bind } => {
                let port = worker.ports.borrow_mut().remove(&bind);
                if let Some(port) = port {
                    port.close();
                }
            }
            Command::Serve { bind, accepted } => worker.serve(bind, accepted),
            Command::Announce => {
                worker.announced.set(true);
                worker.ports.borrow().values().for_each(|port| port.connections.announce());
            }
            Command::Drain { done } => {
                let ports: Vec<Port> = worker.ports.borrow_mut().drain().map(|(_, port)| port).collect();
                tokio::task::spawn_local(async move {
                    for port in &ports {
                        port.drain();
                    }
                    for port in &ports {
                        std::future::poll_fn(|cx| port.connections.poll_idle(cx)).await;
                    }
                    let _ = done.send(());
                });
            }
        }
    }
    worker.flush_log();
    worker.flush_spans();
}

impl Worker {
    /// What the worker counts about itself.
    pub fn cells(&self) -> &WorkerCells {
        self.metrics.at(0)
    }

    /// Wall-clock time of an instant.
    pub fn wall(&self, instant: std::time::Instant) -> Timestamp {
        self.clock.wall(instant)
    }

    fn flush_log(&self) {
        if let Some(sink) = &self.log {
            sink.flush();
        }
    }
}

async fn accept(worker: Rc<Worker>, bind: Bind, listener: Listener) {
    let mut warned: Option<std::time::Instant> = None;
    loop {
        match listener.accept().await {
            Ok(accepted) => match worker.idler().and_then(WeakUnboundedSender::upgrade) {
                Some(idler) => {
                    let _ = idler.send(Command::Serve { bind, accepted });
                }
                None => worker.serve(bind, accepted),
            },
            Err(error) => {
                if let Some(port) = worker.current().snapshot.port(bind) {
                    port.metrics.at(worker.index).accept_errors.inc();
                }
                // Clients can cause it, and it is tried again soon.
                if warned.is_none_or(|at| at.elapsed() > WARN_EVERY) {
                    warned = Some(std::time::Instant::now());
                    tracing::warn!(worker = worker.index, port = bind.port, %error, "cannot accept connections");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Housekeeping off the request path.
async fn tick(worker: Rc<Worker>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let current = worker.current();
        let now = std::time::Instant::now();
        for cluster in current.clusters() {
            cluster.sweep(now);
        }
        worker.flush_log();
        worker.flush_spans();
    }
}
