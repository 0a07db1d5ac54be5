//! One request and its response on the way through the proxy.
//!
//! `head ─► find (─► enter ─► find) ─► deliver { filter ─► draw ─► attempt { pick ─► checkout ─► send ─► wait } ─► filter ─► pump } ─► record`

mod attempt;
mod auth;
pub mod callout;
mod clock;
mod deliver;
mod enter;
mod find;
mod forwarded;
mod local;
pub(crate) mod mirror;
pub(crate) mod pump;
mod record;
mod session;
mod tunnel;

use crate::cause::Cause;
use crate::connection::ConnInfo;
use crate::tracing::Trace;
use crate::worker::Worker;
use auth::Around;
use clock::Deadlines;
use fairlead_filter::Additions;
use fairlead_http::normalize::{self, EscapedSlashes, Outcome, PathPolicy};
use fairlead_http::{Fields, Framing, Leg, RequestHead, ResponseHead, Version};
use fairlead_ir::HttpSettings;
use fairlead_telemetry::{Flag, Flags, Needs, RejectReason};
use fairlead_upstream::{Connected, Endpoint, Pick, Upstream};
use mirror::Tee;
use pump::{RequestBody, ResponseBody};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::Instant;

/// A request, its response, and what became of them. Recycled: in steady state a request allocates nothing.
#[derive(Default)]
pub struct Exchange {
    /// As received, then as the filters made it.
    pub request: RequestHead,
    /// As received, then as the filters made it.
    pub response: ResponseHead,
    /// The request's body, over all attempts.
    pub(crate) body: RequestBody,
    /// The response's body.
    pub(crate) reply: ResponseBody,
    /// The response's trailers, when it has some.
    pub(crate) trailers: Fields,
    /// The attempt under way. Here and not in a future, so that futures stay small.
    pub(crate) up: Option<Upstream>,
    /// Where mirrors get their copy of the body.
    pub(crate) tee: Option<Tee>,
    /// What authorisation services want in the response.
    pub(crate) additions: Vec<Additions>,
    pub(crate) clock: Deadlines,
    pub(crate) notes: Notes,
    pub(crate) trace: Trace,
}

/// What the log and the metrics want to know at the end.
pub(crate) struct Notes {
    /// What of it the log's format names, where it costs something.
    pub needs: Needs,
    pub start: Instant,
    /// When all of it was over.
    pub end: Instant,
    /// Status sent to the client; 0 if none was.
    pub status: u16,
    pub flags: Flags,
    pub details: &'static str,
    /// The original path, when a filter changed it.
    pub original_path: Vec<u8>,
    /// The original authority, when a filter may change it.
    pub original_authority: Vec<u8>,
    /// The last endpoint that was tried, and those before it.
    pub pick: Option<Pick>,
    pub tried: Vec<Rc<Endpoint>>,
    pub cluster: Option<u32>,
    /// Session tokens that the client sent.
    pub presented: session::Presented,
    /// The request's head is as backends get it, but for the filters.
    pub prepared: bool,
    /// When the last authorisation service said its word.
    pub consented: Option<Instant>,
    /// From sending the request to the response's head.
    pub upstream_time: Option<Duration>,
    /// A rewrite wants the endpoint's host name as the request's host.
    pub takes_backend_host: bool,
    /// When the response's head came.
    pub answered: Option<Instant>,
    /// What was spoken with the endpoint.
    pub protocol: Option<Version>,
    /// When the request's head was sent.
    pub sent: Option<Instant>,
    /// When the response's head went to the client; only if needed.
    pub replied: Option<Instant>,
    /// How the last attempt's connection came about; only if needed.
    pub connected: Option<Rc<Connected>>,
    /// The body of an answer of the proxy's own; only if needed.
    pub local_body: Vec<u8>,
    /// Why the last attempt got no connection.
    pub failure: Option<Rc<str>>,
    /// The response was cut off: the client must not take what it got for all of it.
    pub cut: bool,
}

impl Exchange {
    /// Forgets the request; false when its buffers have grown too large to be kept.
    pub(crate) fn clear(&mut self) -> bool {
        let small = self.request.fields.capacity().max(self.response.fields.capacity()) <= KEPT_BYTES;
        self.request.clear();
        self.response.clear();
        self.trailers.clear();
        self.up = None;
        self.tee = None;
        self.additions.clear();
        self.notes.pick = None;
        self.notes.connected = None;
        // Not looked at by most requests: only some formats name it.
        if self.notes.needs.local_body {
            self.notes.local_body = Vec::new();
        }
        self.notes.tried.clear();
        self.notes.presented.clear();
        self.notes.original_path.clear();
        self.notes.original_authority.clear();
        self.body.clear();
        self.trace = Trace::default();
        small
    }

    fn begin(&mut self, worker: &Worker, framing: Framing, idle: Option<Duration>) {
        let now = Instant::now();
        self.notes.restart(now, worker.needs);
        self.body.start(framing, worker.needs.moments);
        self.reply.start(worker.needs.moments);
        self.clock.begin(now, idle);
    }

    pub(crate) fn flag(&mut self, flags: Flags) {
        for flag in flags.iter() {
            self.notes.flags.set(flag);
        }
    }
}

impl Notes {
    /// For a new request. What [`Exchange::clear`] has emptied keeps its memory.
    fn restart(&mut self, now: Instant, needed: Needs) {
        // Each field is named, so that none outlives its request by mistake.
        let Notes {
            original_path: _,
            original_authority: _,
            tried: _,
            presented: _,
            local_body: _,
            pick: _,
            connected: _,
            needs,
            start,
            end,
            status,
            flags,
            details,
            cluster,
            prepared,
            consented,
            upstream_time,
            takes_backend_host,
            answered,
            protocol,
            sent,
            replied,
            failure,
            cut,
        } = self;
        *needs = needed;
        (*start, *end, *status, *flags, *details) = (now, now, 0, Flags::default(), VIA_UPSTREAM);
        (*cluster, *protocol, *failure) = (None, None, None);
        (*consented, *upstream_time, *answered) = (None, None, None);
        (*sent, *replied) = (None, None);
        (*prepared, *takes_backend_host, *cut) = (false, false, false);
    }
}

impl Notes {
    /// The response's head goes to the client.
    pub(crate) fn reply_begins(&mut self) {
        if self.needs.moments {
            self.replied = Some(Instant::now());
        }
    }

    /// The proxy answers with this.
    pub(crate) fn local_body(&mut self, body: &[u8]) {
        if self.needs.local_body {
            self.local_body.clear();
            self.local_body.extend_from_slice(body);
        }
    }
}

impl Default for Notes {
    fn default() -> Self {
        let now = Instant::now();
        Notes {
            needs: Needs::default(),
            start: now,
            end: now,
            status: 0,
            flags: Flags::default(),
            details: VIA_UPSTREAM,
            original_path: Vec::new(),
            original_authority: Vec::new(),
            pick: None,
            tried: Vec::new(),
            cluster: None,
            presented: session::Presented::default(),
            prepared: false,
            consented: None,
            upstream_time: None,
            takes_backend_host: false,
            answered: None,
            protocol: None,
            sent: None,
            replied: None,
            connected: None,
            local_body: Vec::new(),
            failure: None,
            cut: false,
        }
    }
}

/// Envoy's words for an answer that came from a backend.
const VIA_UPSTREAM: &str = "via_upstream";

/// Buffers larger than this are not kept for the next request.
const KEPT_BYTES: usize = 16 * 1024;

/// Serves one request whose head has been read: answers it, or passes it on and its response back.
///
/// When it returns, the leg is reusable if both sides of the exchange are complete.
pub async fn run(worker: &Rc<Worker>, conn: &Rc<ConnInfo>, down: &mut Leg, ex: &mut Exchange, framing: Framing) {
    let current = worker.current();
    let port = current.snapshot.port(conn.bind);
    let outcome = match normalize::path(
        &mut ex.request,
        &port.map_or_else(PathPolicy::default, |port| path_policy(&port.http)),
    ) {
        Ok(outcome) => outcome,
        Err(reject) => return self::reject(worker, conn, down, ex, Cause::from(reject)).await,
    };
    let mut found = find::find(port, conn, &ex.request);
    ex.begin(worker, framing, found.listener.and_then(|l| l.stream_idle_timeout));
    if framing.is_empty() {
        ex.body.received = Some(ex.notes.start);
    }
    if let Some(listener) = found.listener {
        listener.metrics.at(worker.index).requests_active.inc();
        if let Some(tracer) = &listener.tracer {
            ex.trace = Trace::begin(tracer, &mut ex.request);
        }
    }
    let done = match outcome {
        Outcome::Normal => match enter::filters(&found) {
            None => deliver::deliver(worker, &current, conn, &found, down, ex).await,
            Some(filters) => {
                let around = Around { worker, current: &current, conn };
                Box::pin(enter::enter(around, filters, &mut found, down, ex)).await
            }
        },
        Outcome::Redirect => local::redirect(conn, down, ex).await,
    };
    if let Err(cause) = done {
        conn.announce_end(down);
        local::fail(down, ex, found.hit.as_ref().ok().map(|hit| hit.route), cause).await;
    }
    record::record(worker, &current, conn, &found, ex);
}

/// How paths are normalised before they are routed.
pub fn path_policy(http: &HttpSettings) -> PathPolicy {
    use fairlead_ir::EscapedSlashes as Wanted;
    let escaped_slashes = match http.escaped_slashes {
        Wanted::Reject => EscapedSlashes::Reject,
        Wanted::Keep => EscapedSlashes::Keep,
        Wanted::Unescape => EscapedSlashes::Unescape,
        Wanted::Redirect => EscapedSlashes::Redirect,
    };
    PathPolicy { escaped_slashes, ..PathPolicy::default() }
}

/// Answers a request whose head was refused; counted by listener port, and logged.
pub(crate) async fn reject(worker: &Rc<Worker>, conn: &Rc<ConnInfo>, down: &mut Leg, ex: &mut Exchange, cause: Cause) {
    let current = worker.current();
    ex.begin(worker, Framing::Empty, Some(REJECT_TIMEOUT));
    conn.announce_end(down);
    local::fail(down, ex, None, cause).await;
    if let Some(port) = current.snapshot.port(conn.bind) {
        port.metrics.at(worker.index).rejects.inc(RejectReason::of_status(ex.notes.status));
    }
    let found = find::Found { listener: None, hit: Err(cause) };
    record::record(worker, &current, conn, &found, ex);
}

/// A client that does not take the answer to a bad request in this time is left.
const REJECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The flag of a retry limit that was reached.
pub(crate) fn exhausted() -> Flags {
    Flags::from(Flag::UpstreamRetryLimitExceeded)
}

/// The flag of a circuit breaker that is open.
pub(crate) fn overflowed() -> Flags {
    Flags::from(Flag::UpstreamOverflow)
}
