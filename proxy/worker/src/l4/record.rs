//! The end of a connection or session: counters and one line of the access log.

use super::Flow;
use crate::serve::Connection;
use crate::worker::Worker;
use fairlead_http::RequestHead;
use fairlead_telemetry::{Record, Upstream};
use std::net::SocketAddr;

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
    let base = Ends { peer: info.peer, local: info.local, id: info.id, tls_version, tls_cipher };
    end(&connection.worker, flow, &base);
}

/// What is known of the client's side.
pub struct Ends<'a> {
    pub peer: SocketAddr,
    pub local: SocketAddr,
    pub id: u64,
    pub tls_version: &'a str,
    pub tls_cipher: &'a str,
}

/// Counts and logs the end.
pub fn end(worker: &Worker, flow: &Flow, ends: &Ends<'_>) {
    let duration = flow.start.elapsed();
    if let Some(listener) = &flow.listener {
        listener.metrics.at(worker.index).connections_active.dec();
    }
    if let Some(route) = &flow.route {
        let cells = route.metrics.at(worker.index);
        cells.requests.inc(0);
        cells.duration_micros.add(duration.as_micros() as u64);
    }
    let Some(sink) = &worker.log else { return };
    let upstream = flow.cluster.as_ref().map(|cluster| Upstream {
        cluster: &cluster.config().id,
        host: flow.pick.as_ref().map_or("", |pick| pick.endpoint().name()),
        local: flow.upstream_local,
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
        connection: ends.id,
        ..Record::new(worker.wall(flow.start.into_std()), &RequestHead::default())
    });
}

fn attempts(flow: &Flow) -> u32 {
    let failed = u32::try_from(flow.tried.len()).unwrap_or(u32::MAX);
    failed + u32::from(flow.upstream_local.is_some())
}
