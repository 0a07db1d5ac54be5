//! A request that has a route: filters, a backend, attempts, and the response on its way back.

use crate::cause::Cause;
use crate::connection::ConnInfo;
use crate::exchange::attempt::{self, Answered};
use crate::exchange::auth::{self, Around, Filters};
use crate::exchange::find::Found;
use crate::exchange::pump::{self, Cut, Failure};
use crate::exchange::{Exchange, clock::Expired, forwarded, local, mirror, session, tunnel};
use crate::worker::{Current, Worker};
use fairlead_filter::{Chain, Reply, RequestCtx, ResponseCtx, Stop, Verdict};
use fairlead_http::{Known, Leg, RequestHead, hop};
use fairlead_snapshot::{Backend, Listener, Route, Session, Target};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Envoy's default for the time from the end of the request to the response.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// Runs the request through the rule's filters to a backend, and the response back. A cause is answered by the caller.
pub async fn deliver(
    worker: &Rc<Worker>,
    current: &Current,
    conn: &ConnInfo,
    found: &Found<'_>,
    down: &mut Leg,
    ex: &mut Exchange,
) -> Result<(), Cause> {
    let hit = found.hit.as_ref().map_err(|cause| *cause)?;
    let route = hit.route;
    if !ex.notes.prepared {
        prepare(found.listener, conn, ex)?;
    }
    if route.config.broken.is_some() {
        return Err(Cause::Unresolved);
    }
    let mut prefix_len = hit.prefix_len;
    let around = Around { worker, current, conn };
    let reply = match filter(&route.chain, None, conn, &mut prefix_len, ex) {
        Verdict::Next => None,
        Verdict::Reply(reply) => Some(reply),
        Verdict::Ask(stop) => {
            limit(route, ex);
            let filters = Filters { chain: &route.chain, auths: &route.auths };
            Box::pin(auth::ask(around, filters, stop, &mut prefix_len, down, ex)).await?
        }
    };
    if let Some(reply) = reply {
        return Box::pin(replied(conn, down, ex, reply, None)).await;
    }
    let backend = draw(route)?;
    let session = backend.session.as_deref();
    if let Some(session) = session {
        ex.notes.presented.read(session, &ex.request.fields);
    }
    let reply = match filter(&backend.chain, None, conn, &mut prefix_len, ex) {
        Verdict::Next => None,
        Verdict::Reply(reply) => Some(reply),
        Verdict::Ask(stop) => {
            limit(route, ex);
            let filters = Filters { chain: &backend.chain, auths: &backend.auths };
            Box::pin(auth::ask(around, filters, stop, &mut prefix_len, down, ex)).await?
        }
    };
    if let Some(reply) = reply {
        return Box::pin(replied(conn, down, ex, reply, Some(&route.chain))).await;
    }
    if ex.request.authority().is_empty() {
        ex.request.set_authority(own_authority(conn, &ex.request).as_bytes());
    }
    let Target::Cluster(slot) = backend.target else { return Err(Cause::Unresolved) };
    let cluster = current.cluster(slot).ok_or(Cause::NoCluster)?;
    ex.notes.takes_backend_host = route.chain.takes_backend_host() || backend.chain.takes_backend_host();
    ex.notes.cluster = Some(slot);
    set_deadline(route, ex);
    mirror::start(worker, current, route, backend, ex);

    let answered = attempt::until_answered(worker, route, cluster, session, down, ex).await?;
    if route.config.timeouts.request.is_none() {
        ex.clock.set_request(None);
    }
    let Answered::Response(framing) = answered else {
        add(ex);
        stick(session, conn, ex);
        return tunnel::run(ex, down).await;
    };
    hop::strip_response(&mut ex.response);
    let mut ctx = ResponseCtx { head: &mut ex.response, request: &ex.request };
    backend.chain.on_response(&mut ctx);
    route.chain.on_response(&mut ctx);
    add(ex);
    stick(session, conn, ex);
    ex.notes.status = ex.response.status;
    conn.announce_end(down);
    ex.notes.reply_begins();
    down.send_response(&ex.response, framing).map_err(|_| Cause::ClientGone)?;
    let result = pump::bodies(ex, down).await;
    if let Some(up) = ex.up.take() {
        up.finish();
    }
    result.map_err(|cut| cause_of_cut(&cut, ex))
}

/// Answers what a filter says. Boxed where it is used: the future of an exchange that is passed on need not hold a reply.
async fn replied(
    conn: &ConnInfo,
    down: &mut Leg,
    ex: &mut Exchange,
    reply: Box<Reply>,
    chain: Option<&Chain>,
) -> Result<(), Cause> {
    conn.announce_end(down);
    local::reply(down, ex, &reply, chain).await;
    Ok(())
}

/// Makes the head what backends get, but for the filters. A client that waits for `100 Continue` gets it when its body is wanted.
pub fn prepare(listener: Option<&Arc<Listener>>, conn: &ConnInfo, ex: &mut Exchange) -> Result<(), Cause> {
    if ex.request.expects_continue() {
        ex.body.expect();
        ex.request.fields.remove_known(Known::Expect);
    }
    let trusted = listener.is_some_and(|listener| listener.config.http.xff_trusted_hops > 0);
    forwarded::prepare(&mut ex.request, conn, trusted)?;
    ex.trace.forward(&mut ex.request);
    ex.notes.prepared = true;
    Ok(())
}

/// Adds what authorisation services want in the response.
fn add(ex: &mut Exchange) {
    for additions in &ex.additions {
        additions.apply(&mut ex.response.fields);
    }
}

/// Tells the client where its session is.
fn stick(session: Option<&Session>, conn: &ConnInfo, ex: &mut Exchange) {
    if let Some(session) = session {
        session::write(session, conn.tls.is_some(), ex);
    }
}

/// Runs a chain, or the rest of it; `prefix_len` is what a path rewrite goes by, and what it leaves for the next chain.
pub fn filter(
    chain: &Chain,
    from: Option<Stop>,
    conn: &ConnInfo,
    prefix_len: &mut Option<usize>,
    ex: &mut Exchange,
) -> Verdict {
    if chain.is_empty() {
        return Verdict::Next;
    }
    if chain.rewrites_path() && ex.notes.original_path.is_empty() {
        ex.notes.original_path.extend_from_slice(ex.request.path_and_query());
    }
    if chain.rewrites_host() && ex.notes.original_authority.is_empty() {
        ex.notes.original_authority.extend_from_slice(ex.request.authority());
    }
    let listener_port = public_port(conn, &ex.request);
    let mut ctx =
        RequestCtx { head: &mut ex.request, prefix_len: *prefix_len, listener_port, https: conn.tls.is_some() };
    let verdict = match from {
        None => chain.on_request(&mut ctx),
        Some(stop) => chain.resume(&mut ctx, stop),
    };
    *prefix_len = ctx.prefix_len;
    verdict
}

/// Where redirects lead when nothing says otherwise: the listener's port (HTTPRequestRedirectFilter, `port`), except for a client that
/// names the port that the listener's is mapped to, and would not get through on another.
fn public_port(conn: &ConnInfo, request: &RequestHead) -> u16 {
    let mapped = conn.local.port();
    if request.port() == Some(mapped) { mapped } else { conn.bind.port }
}

/// What an HTTP/1.0 client that names no host came to (RFC 9112 §3.3). Only backends are told: they want a host, and what we answer
/// ourselves is not to show addresses to strangers.
pub fn own_authority(conn: &ConnInfo, request: &RequestHead) -> String {
    let (ip, port) = (conn.local.ip().to_canonical(), conn.bind.port);
    match (ip, port == request.scheme.default_port()) {
        (IpAddr::V4(ip), true) => ip.to_string(),
        (IpAddr::V6(ip), true) => format!("[{ip}]"),
        (ip, false) => SocketAddr::new(ip, port).to_string(),
    }
}

/// The backend that takes this request, by weight.
fn draw(route: &Route) -> Result<&Backend, Cause> {
    let index = route.split.pick(fastrand::u64(..)).ok_or(Cause::NoBackend)?;
    route.backends.get(index).ok_or(Cause::NoBackend)
}

/// The rule's limit holds for authorisation services too.
fn limit(route: &Route, ex: &mut Exchange) {
    if let Some(limit) = route.config.timeouts.request.and_then(fairlead_ir::Millis::limit) {
        ex.clock.set_request(Some(ex.notes.start + limit));
    }
}

/// What the rule says counts from the start of the request (GEP-1742), the default from its end: uploads may take their time.
fn set_deadline(route: &Route, ex: &mut Exchange) {
    match route.config.timeouts.request {
        Some(limit) => ex.clock.set_request(limit.limit().map(|limit| ex.notes.start + limit)),
        None if ex.body.is_received() => {
            ex.clock.set_request(Some(ex.notes.consented.unwrap_or(ex.notes.start) + DEFAULT_TIMEOUT));
        }
        None => ex.clock.set_response(DEFAULT_TIMEOUT),
    }
}

fn cause_of_cut(cut: &Cut, ex: &mut Exchange) -> Cause {
    match cut {
        Cut::Failed(Failure::Downstream(error)) => pump::cause_of_client(error),
        Cut::Failed(Failure::Upstream(error)) => pump::cause_of(error),
        Cut::TimedOut(Expired::Request) => Cause::RequestTimeout,
        Cut::TimedOut(Expired::Attempt) => Cause::AttemptTimeout,
        Cut::TimedOut(Expired::Idle) => Cause::StreamIdle { received: ex.body.is_received() },
    }
}
