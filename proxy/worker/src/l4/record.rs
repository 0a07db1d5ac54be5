//! The end of a connection or session: counters and one line of the access log.

use super::Flow;
use crate::certificate::Presented;
use crate::serve::Connection;
use crate::worker::Worker;
use fairlead_http::RequestHead;
use fairlead_telemetry::{Certificate, Moment, Record, Timeline, Upstream};
use std::net::SocketAddr;
use std::time::Instant;

/// Bytes that moved just now.
pub fn count_bytes(flow: &Flow, worker: usize, received: u64, sent: u64) {
    if let Some(listener) = &flow.listener {
        let cells = listener.metrics.at(worker);
        cells.bytes_received.add(received);
        cells.bytes_sent.add(sent);
    }
    if let Some(cluster) = &flow.cluster {
        let cells = cluster.metrics().at(worker);
        cells.bytes_sent.add(received);
        cells.bytes_received.add(sent);
    }
}

/// A connection's end.
pub fn connection(connection: &Connection, flow: &Flow) {
    let info = &connection.info;
    let tls = info.tls.as_ref().map(|tls| (tls.version.as_str(), tls.cipher));
    let (tls_version, tls_cipher) = tls.unwrap_or_default();
    let certificate = Presented::of(info.tls.as_ref());
    let base = Ends { peer: info.peer, local: info.local, id: info.id, tls_version, tls_cipher, certificate };
    end(&connection.worker, flow, &base);
}

/// What is known of the client's side.
pub struct Ends<'a> {
    pub peer: SocketAddr,
    pub local: SocketAddr,
    pub id: u64,
    pub tls_version: &'a str,
    pub tls_cipher: &'a str,
    pub certificate: Option<Presented<'a>>,
}

/// Counts and logs the end.
pub fn end(worker: &Worker, flow: &Flow, ends: &Ends<'_>) {
    let (start, duration) = (flow.start.into_std(), flow.start.elapsed());
    if let Some(listener) = &flow.listener {
        listener.metrics.at(worker.index).connections_active.dec();
    }
    if let Some(route) = &flow.route {
        let cells = route.metrics.at(worker.index);
        cells.requests.inc(0);
        cells.duration_micros.add(duration.as_micros() as u64);
    }
    let Some(sink) = &worker.log else { return };
    let tls = flow.connected.as_ref().and_then(|connected| Some(&connected.secured.as_ref()?.1));
    let endpoint = Presented::of(tls);
    let upstream = flow.cluster.as_ref().map(|cluster| Upstream {
        cluster: &cluster.config().id,
        host: flow.pick.as_ref().map_or("", |pick| pick.endpoint().name()),
        local: flow.upstream_local,
        tls_version: tls.map_or("", |tls| tls.version.as_str()),
        tls_cipher: tls.map_or("", |tls| tls.cipher),
        certificate: endpoint.as_ref().map(|endpoint| endpoint as &dyn Certificate),
        failure: flow.failure.as_deref().unwrap_or_default(),
        attempts: attempts(flow),
        ..Upstream::default()
    });
    sink.write(&Record {
        duration,
        is_http: false,
        flags: flow.flags,
        details: flow.details,
        termination: flow.termination,
        bytes_received: flow.received,
        bytes_sent: flow.sent,
        route: flow.route.as_ref().map_or("", |route| &route.config.id),
        upstream,
        local: Some(ends.local),
        remote: Some(ends.peer),
        direct_remote: Some(ends.peer),
        server_name: &flow.server_name,
        tls_version: ends.tls_version,
        tls_cipher: ends.tls_cipher,
        certificate: ends.certificate.as_ref().map(|certificate| certificate as &dyn Certificate),
        connection: ends.id,
        timeline: Some(&Times { flow, end: start + duration }),
        ..Record::new(worker.wall(start), &RequestHead::default())
    });
}

/// When what happened.
struct Times<'a> {
    flow: &'a Flow,
    end: Instant,
}

impl Timeline for Times<'_> {
    fn at(&self, moment: Moment) -> Option<Instant> {
        let connected = self.flow.connected.as_ref();
        match moment {
            Moment::ConnectionBegin => Some(self.flow.start.into_std()),
            Moment::ConnectionEnd => Some(self.end),
            Moment::ConnectBegin => connected.map(|connected| connected.begun),
            Moment::ConnectEnd => connected.map(|connected| connected.established),
            Moment::HandshakeEnd => connected.and_then(|connected| Some(connected.secured.as_ref()?.0)),
            _ => None,
        }
    }
}

fn attempts(flow: &Flow) -> u32 {
    let failed = u32::try_from(flow.tried.len()).unwrap_or(u32::MAX);
    failed + u32::from(flow.upstream_local.is_some())
}
