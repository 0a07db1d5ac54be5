//! The end of an exchange: counters, one line of the access log, and spans.

use crate::certificate::Presented;
use crate::connection::ConnInfo;
use crate::exchange::{Exchange, find::Found};
use crate::tracing;
use crate::worker::{Current, Worker};
use fairlead_http::Version;
use fairlead_telemetry::{Certificate, Flag, Moment, Protocol, Record, Timeline, Upstream};
use fairlead_upstream::Cluster;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// Counts the exchange, logs it, and lets its spans go.
pub fn record(worker: &Worker, current: &Current, conn: &ConnInfo, found: &Found<'_>, ex: &mut Exchange) {
    ex.notes.end = Instant::now();
    let duration = ex.notes.end - ex.notes.start;
    let status = ex.notes.status;
    if let Some(listener) = found.listener {
        let cells = listener.metrics.at(worker.index);
        cells.requests_active.dec();
        cells.requests.inc(protocol(ex.request.version), status);
        cells.duration.record_duration(duration);
        cells.bytes_received.add(ex.body.bytes);
        cells.bytes_sent.add(ex.reply.bytes);
        if ex.notes.cut && ex.request.version == Version::H2 {
            let by_client = ex.notes.flags.has(Flag::DownstreamConnectionTermination);
            if by_client { cells.h2_resets_received.inc() } else { cells.h2_resets_sent.inc() }
        }
    }
    if let Ok(hit) = &found.hit {
        let cells = hit.route.metrics.at(worker.index);
        cells.requests.inc(status);
        cells.duration_micros.add(duration.as_micros() as u64);
        if ex.notes.flags.has(Flag::UpstreamRequestTimeout) {
            cells.timeouts.inc();
        }
    }
    let cluster = ex.notes.cluster.and_then(|slot| current.cluster(slot));
    if let (Some(cluster), Some(time)) = (cluster, ex.notes.upstream_time) {
        let cells = cluster.metrics().at(worker.index);
        cells.duration.record_duration(time);
        cells.bytes_sent.add(ex.body.bytes);
        cells.bytes_received.add(ex.reply.bytes);
    }
    if worker.log.is_none() && !ex.trace.is_recorded() {
        return;
    }
    if ex.trace.is_recorded() {
        let error = if ex.notes.cut { ex.notes.details } else { "" };
        tracing::ended(ex, ex.response.status, error);
    }
    let recording = ex.trace.take();
    let presented = Certificates {
        client: Presented::of(conn.tls.as_ref()),
        server: Presented::of(ex.notes.connected.as_ref().and_then(|c| Some(&c.secured.as_ref()?.1))),
    };
    let record = facts(worker, conn, found, cluster, duration, ex, &presented);
    if let Some(sink) = &worker.log {
        sink.write(&record);
    }
    if let Some(recording) = recording {
        worker.export(&recording, &record);
    }
}

/// What the two sides presented.
struct Certificates<'a> {
    client: Option<Presented<'a>>,
    server: Option<Presented<'a>>,
}

/// What is known of an exchange that is over.
fn facts<'a>(
    worker: &Worker,
    conn: &'a ConnInfo,
    found: &'a Found<'_>,
    cluster: Option<&'a Rc<Cluster>>,
    duration: Duration,
    ex: &'a Exchange,
    presented: &'a Certificates<'a>,
) -> Record<'a> {
    let hit = found.hit.as_ref().ok();
    Record {
        duration,
        request_duration: ex.body.received.map(|at| at - ex.notes.start),
        response_duration: ex.notes.answered.map(|at| at - ex.notes.start),
        original_path: Some(ex.notes.original_path.as_slice()).filter(|p| !p.is_empty()),
        original_authority: Some(ex.notes.original_authority.as_slice()).filter(|a| !a.is_empty()),
        response: Some(&ex.response),
        trailers: Some(&ex.trailers),
        status: ex.notes.status,
        flags: ex.notes.flags,
        details: ex.notes.details,
        bytes_received: ex.body.bytes,
        bytes_sent: ex.reply.bytes,
        cut: ex.notes.cut,
        route: hit.map_or("", |hit| &hit.route.config.id),
        pattern: hit.map_or("", |hit| tracing::pattern(hit.route, hit.match_index, &ex.request)),
        trace: ex.trace.id(),
        upstream: cluster.map(|cluster| upstream(cluster, ex, presented)),
        local: Some(conn.local),
        remote: Some(conn.peer),
        direct_remote: Some(conn.peer),
        server_name: conn.server_name().unwrap_or_default(),
        tls_version: conn.tls.as_ref().map_or("", |tls| tls.version.as_str()),
        tls_cipher: conn.tls.as_ref().map_or("", |tls| tls.cipher),
        certificate: presented.client.as_ref().map(|client| client as &dyn Certificate),
        connection: conn.id,
        local_body: &ex.notes.local_body,
        timeline: Some(ex),
        ..Record::new(worker.wall(ex.notes.start.into_std()), &ex.request)
    }
}

fn upstream<'a>(cluster: &'a Cluster, ex: &'a Exchange, presented: &'a Certificates<'a>) -> Upstream<'a> {
    let connected = ex.notes.connected.as_ref();
    let tls = connected.and_then(|connected| Some(&connected.secured.as_ref()?.1));
    Upstream {
        local: connected.and_then(|connected| connected.local),
        tls_version: tls.map_or("", |tls| tls.version.as_str()),
        tls_cipher: tls.map_or("", |tls| tls.cipher),
        cluster: &cluster.config().id,
        host: ex.notes.pick.as_ref().map_or("", |pick| pick.endpoint().name()),
        protocol: ex.notes.protocol,
        service_time: ex.notes.upstream_time,
        attempts: 1 + ex.notes.tried.len() as u32,
        failure: ex.notes.failure.as_deref().unwrap_or_default(),
        certificate: presented.server.as_ref().map(|server| server as &dyn Certificate),
    }
}

impl Timeline for Exchange {
    fn at(&self, moment: Moment) -> Option<std::time::Instant> {
        let notes = &self.notes;
        let connected = notes.connected.as_ref();
        let at = match moment {
            Moment::ConnectBegin => return connected.map(|connected| connected.begun),
            Moment::ConnectEnd => return connected.map(|connected| connected.established),
            Moment::HandshakeEnd => return connected.and_then(|connected| Some(connected.secured.as_ref()?.0)),
            // Those of the client's connection are told of connections that are only passed on.
            Moment::ConnectionBegin | Moment::ConnectionEnd => None,
            Moment::RequestBegin => Some(notes.start),
            Moment::RequestEnd => self.body.received,
            Moment::SendBegin => notes.sent,
            Moment::SendEnd => self.body.sent_at,
            Moment::AnswerBegin => notes.answered,
            Moment::AnswerBodyBegin => self.reply.first,
            Moment::AnswerEnd => self.reply.received,
            Moment::ReplyBegin => notes.replied,
            // Of a response that was cut off, too, the last byte that went out.
            Moment::ReplyEnd => Some(notes.end),
        };
        at.map(Instant::into_std)
    }
}

fn protocol(version: Version) -> Protocol {
    match version {
        Version::Http10 => Protocol::Http10,
        Version::Http11 => Protocol::Http11,
        Version::H2 => Protocol::Http2,
    }
}
