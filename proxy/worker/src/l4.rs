//! Connections that are only passed on: TLSRoute and TCPRoute; and UDP sessions.
//!
//! `accept ─► (peek at the ClientHello ─► shake hands, where TLS ends here) ─► find ─► draw ─► link ─► pump ─► record`
//!
//! Whatever is amiss, the client sees its connection closed by a reset and never an alert or a byte of ours: no listener or route
//! for the name, a reference that does not resolve, no backend with a weight, no endpoint, no connection to one. Flags and
//! details in the log are those that a request would have had.
//!
//! An endpoint that can't be connected to is no end yet: up to [`ATTEMPTS`] are tried, each at most once. (Envoy tries one, unless
//! `max_connect_attempts` says otherwise.) Nothing of what the client sent is lost meanwhile: it is not read before a connection stands.

pub(crate) mod pipes;
mod pump;
mod record;
mod tls;
pub(crate) mod udp;

pub(crate) use tls::serve as serve_tls;

use crate::cause::Cause;
use crate::serve::Connection;
use crate::worker::Current;
use fairlead_net::Stream;
use fairlead_snapshot::{Listener, Route, Target};
use fairlead_telemetry::{Flag, Flags};
use fairlead_upstream::{Cluster, ConnectError, ConnectErrorKind, Connected, Endpoint, Link, Pick};
use pump::{End, Pump};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How many endpoints are tried for a connection.
const ATTEMPTS: usize = 3;

/// A connection on which nothing moves for this time is closed, unless its route says otherwise. Envoy's `idle_timeout`.
const IDLE: Duration = Duration::from_secs(3600);

/// What is known of a connection or session, for counters and the log.
pub(crate) struct Flow {
    start: Instant,
    listener: Option<Arc<Listener>>,
    route: Option<Arc<Route>>,
    cluster: Option<Rc<Cluster>>,
    /// Of the last attempt.
    pick: Option<Pick>,
    /// Endpoints to which there was no connection.
    tried: Vec<Rc<Endpoint>>,
    upstream_local: Option<SocketAddr>,
    /// How the connection to the endpoint came about.
    connected: Option<Rc<Connected>>,
    failure: Option<Rc<str>>,
    server_name: Box<str>,
    /// Bytes of the client.
    received: u64,
    /// Bytes to the client.
    sent: u64,
    flags: Flags,
    details: &'static str,
    /// Why a connection that stood was ended.
    termination: &'static str,
}

/// Serves a connection of a TCP listener.
pub(crate) async fn serve_tcp(connection: Connection, stream: Stream) {
    // TCP listeners have no host names.
    let listener = connection.port.listeners.find(b"").cloned();
    let mut flow = Flow::new(listener, "");
    let drawn = flow.draw(&connection.worker.current());
    run(connection, stream, flow, drawn).await;
}

/// From a drawn cluster, or why there is none, to the end.
async fn run(connection: Connection, stream: Stream, mut flow: Flow, drawn: Result<(), Cause>) {
    flow.count_in(&connection);
    match drawn {
        Ok(()) => forward(&connection, stream, &mut flow).await,
        Err(cause) => flow.refuse(cause, stream),
    }
    record::connection(&connection, &flow);
}

async fn forward(connection: &Connection, down: Stream, flow: &mut Flow) {
    let up = match flow.link(connection.worker.index).await {
        Ok(up) => up,
        Err(cause) => return flow.refuse(cause, down),
    };
    flow.connected = up.connected().cloned();
    flow.upstream_local = flow.connected.as_ref().and_then(|connected| connected.local);
    let idle = flow.idle(IDLE);
    let end = Pump::new(connection, flow, idle).run(down, up).await;
    match end {
        End::Done => {}
        End::Idle => flow.termination = "idle_timeout",
        End::Drained => flow.termination = "drained",
        End::ClientGone => flow.flags |= Flag::DownstreamConnectionTermination,
        End::UpstreamGone => flow.flags |= Flag::UpstreamConnectionTermination,
    }
}

impl Flow {
    fn new(listener: Option<Arc<Listener>>, server_name: &str) -> Flow {
        Flow {
            start: Instant::now(),
            listener,
            route: None,
            cluster: None,
            pick: None,
            tried: Vec::new(),
            upstream_local: None,
            connected: None,
            failure: None,
            server_name: server_name.into(),
            received: 0,
            sent: 0,
            flags: Flags::default(),
            details: "",
            termination: "",
        }
    }

    /// Finds the route, and draws one of its backends by weight.
    fn draw(&mut self, current: &Current) -> Result<(), Cause> {
        let listener = self.listener.as_ref().ok_or(Cause::NoRoute)?;
        let route = listener.connection_route(&self.server_name).ok_or(Cause::NoRoute)?;
        self.route = Some(route.clone());
        let index = route.split.pick(fastrand::u64(..)).ok_or(Cause::NoBackend)?;
        let slot = match route.backends.get(index).ok_or(Cause::NoBackend)?.target {
            Target::Cluster(slot) => slot,
            Target::Invalid => return Err(Cause::Unresolved),
        };
        let cluster = current.cluster(slot).ok_or(Cause::NoCluster)?;
        self.cluster = Some(cluster.clone());
        // Known before a TLS client is answered anything.
        if cluster.is_empty() { Err(Cause::NoHealthyUpstream) } else { Ok(()) }
    }

    /// Chooses the endpoint of the next attempt.
    fn pick(&mut self) -> Result<(Rc<Cluster>, Pick), Cause> {
        let cluster = self.cluster.clone().ok_or(Cause::NoCluster)?;
        let pick = cluster.pick(&self.tried).ok_or(Cause::NoHealthyUpstream)?;
        Ok((cluster, pick))
    }

    /// A connection to one of the cluster's endpoints.
    async fn link(&mut self, worker: usize) -> Result<Link<Stream>, Cause> {
        loop {
            let (cluster, pick) = self.pick()?;
            pick.endpoint().cells().requests.inc();
            let result = cluster.link(&pick).await;
            let endpoint = pick.endpoint().clone();
            self.pick = Some(pick);
            match result {
                Ok(link) => return Ok(link),
                Err(error) => self.missed(endpoint, error, worker)?,
            }
        }
    }

    /// A socket towards one of the cluster's endpoints.
    fn link_udp(&mut self, worker: usize) -> Result<udp::Linked, Cause> {
        loop {
            let (cluster, pick) = self.pick()?;
            let endpoint = pick.endpoint().clone();
            endpoint.cells().requests.inc();
            let result = cluster.link_udp(&pick);
            self.pick = Some(pick);
            match result {
                Ok(link) => {
                    self.upstream_local = Some(link.socket().local_addr());
                    return Ok((link, cluster, endpoint));
                }
                Err(error) => self.missed(endpoint, error, worker)?,
            }
        }
    }

    /// Notes that an attempt failed. An error when there is nothing more to try.
    fn missed(&mut self, endpoint: Rc<Endpoint>, error: ConnectError, worker: usize) -> Result<(), Cause> {
        endpoint.cells().failures.inc();
        let retryable = error.retryable();
        let cause = match error.kind {
            ConnectErrorKind::Overflow => Cause::Overflow,
            ConnectErrorKind::Timeout => Cause::ConnectTimeout,
            _ => Cause::ConnectFailed,
        };
        self.failure = error.detail;
        self.tried.push(endpoint);
        let endpoints = self.cluster.as_ref().map_or(0, |cluster| cluster.len());
        if !retryable {
            return Err(cause);
        }
        if self.tried.len() >= ATTEMPTS.min(endpoints) {
            self.flags |= Flag::UpstreamRetryLimitExceeded;
            return Err(cause);
        }
        if let Some(cluster) = &self.cluster {
            cluster.metrics().at(worker).retries.inc();
        }
        Ok(())
    }

    fn fail(&mut self, cause: Cause) {
        let answer = cause.answer();
        answer.flags.iter().for_each(|flag| self.flags.set(flag));
        self.details = answer.details;
    }

    /// Turns the client away.
    fn refuse(&mut self, cause: Cause, stream: Stream) {
        self.fail(cause);
        stream.abort();
    }

    /// How long nothing may move.
    fn idle(&self, default: Duration) -> Option<Duration> {
        match self.route.as_ref().and_then(|route| route.config.timeouts.idle) {
            Some(idle) => idle.limit(),
            None => Some(default),
        }
    }

    fn count_in(&self, connection: &Connection) {
        if let Some(listener) = &self.listener {
            let cells = listener.metrics.at(connection.worker.index);
            cells.connections.inc();
            cells.connections_active.inc();
        }
    }
}
