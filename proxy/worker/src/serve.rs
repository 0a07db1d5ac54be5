//! A connection's life: TLS, protocol, requests, drain.

mod h1;
mod h2;
pub(crate) mod tls;

use crate::connection::{ConnInfo, Connections, Registered};
use crate::l4;
use crate::worker::Worker;
use fairlead_http::{Limits, Underscores};
use fairlead_ir::{Bind, HttpSettings, ListenerProtocol};
use fairlead_net::Accepted;
use fairlead_snapshot::Port;
use fairlead_telemetry::RejectReason;
use std::rc::Rc;
use std::sync::Arc;
use tokio::time::Instant;

/// What a connection is served with.
pub(crate) struct Connection {
    pub worker: Rc<Worker>,
    pub info: Rc<ConnInfo>,
    pub port: Arc<Port>,
    pub registered: Registered,
}

impl Connection {
    fn http(&self) -> &HttpSettings {
        &self.port.http
    }

    /// When a connection that waits since then is closed.
    fn idle_until(&self, since: Instant) -> Option<Instant> {
        self.http().idle_timeout.limit().map(|limit| since + limit)
    }

    fn limits(&self) -> Limits {
        use fairlead_ir::Underscores as Wanted;
        let http = self.http();
        let underscores = match http.underscores {
            Wanted::RejectUnlessGrpc => Underscores::RejectUnlessGrpc,
            Wanted::Reject => Underscores::Reject,
            Wanted::Drop => Underscores::Drop,
            Wanted::Allow => Underscores::Allow,
        };
        let (max_head_bytes, max_headers) = (http.max_head_bytes, http.max_headers);
        Limits { max_head_bytes, max_headers, underscores, ..Limits::default() }
    }

    /// Counts a client that was refused before it came to a request.
    fn count_reject(&self, reason: RejectReason) {
        self.port.metrics.at(self.worker.index).rejects.inc(reason);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.worker.count_open(-1);
        self.port.metrics.at(self.worker.index).connections_active.dec();
    }
}

/// Serves a connection in a task of its own.
pub(crate) fn spawn(worker: &Rc<Worker>, bind: Bind, connections: &Rc<Connections>, accepted: Accepted) {
    let Some(port) = worker.current().snapshot.port(bind).cloned() else { return };
    let (peer, local) = (accepted.peer, accepted.local);
    let Ok(stream) = accepted.into_stream() else { return };
    worker.count_open(1);
    let cells = port.metrics.at(worker.index);
    cells.connections.inc();
    cells.connections_active.inc();
    let (id, siblings) = (worker.serial(), connections.clone());
    let info = ConnInfo { peer, local, peer_ip: peer.ip().to_string().into(), bind, tls: None, id, siblings };
    let connection =
        Connection { worker: worker.clone(), info: Rc::new(info), port, registered: connections.register() };
    match connection.port.protocol {
        ListenerProtocol::Http => tokio::task::spawn_local(h1::serve(connection, stream)),
        ListenerProtocol::Https => tokio::task::spawn_local(tls::serve(connection, stream)),
        ListenerProtocol::Tls => tokio::task::spawn_local(l4::serve_tls(connection, stream)),
        // Datagrams are not accepted.
        ListenerProtocol::Tcp | ListenerProtocol::Udp => tokio::task::spawn_local(l4::serve_tcp(connection, stream)),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_net::Stream;

    fn size_of_future<F: Future>(_: fn(Connection, Stream) -> F) -> usize {
        size_of::<F>()
    }

    /// A waiting plain connection is its task and little else: the budget of 2 KiB has about 600 bytes of runtime and registration in it.
    #[test]
    fn connections_are_small() {
        let (plain, tls) = (size_of_future(h1::serve), size_of_future(tls::serve));
        assert!(plain <= 1120, "a plain connection's future has {plain} bytes");
        assert!(tls <= 1280, "a TLS handshake's future has {tls} bytes");
    }
}
