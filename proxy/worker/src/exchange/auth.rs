//! The consent of authorisation services (GEP-1494), for the filters of listeners, rules and backends alike.
//!
//! Whatever goes wrong, the request does not go on: a service that can't be reached, takes too long or says what can't be understood is
//! answered with 403 (Envoy's `status_on_error`) and the flag `UAEX`.

use crate::cause::Cause;
use crate::connection::ConnInfo;
use crate::exchange::callout::{self, Answer, Callout, Excess, Unanswered};
use crate::exchange::clock::Expired;
use crate::exchange::deliver::{filter, own_authority};
use crate::exchange::{Exchange, local, pump};
use crate::worker::{Current, Worker};
use fairlead_filter::{Chain, Decision, ExternalAuth, Facts, Reply, Stop, Verdict};
use fairlead_http::{Framing, Leg, RequestHead};
use fairlead_telemetry::trace::Attempt;
use fairlead_telemetry::{Flag, GrpcStatus};
use fairlead_upstream::{Cluster, Want};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::SystemTime;
use tokio::time::Instant;

/// Bytes of a service's answer: what it tells a client is a page, not a download.
const MOST: usize = 256 * 1024;

/// Where a request is.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    pub worker: &'a Rc<Worker>,
    pub current: &'a Current,
    pub conn: &'a ConnInfo,
}

/// The filters that it is in, and the slots of their services.
#[derive(Clone, Copy)]
pub struct Filters<'a> {
    pub chain: &'a Chain,
    pub auths: &'a [u32],
}

/// Goes on where a chain stopped: asks, and runs the filters that follow, until the request is through or has an answer.
pub async fn ask(
    around: Around<'_>,
    filters: Filters<'_>,
    mut stop: Stop,
    prefix_len: &mut Option<usize>,
    down: &mut Leg,
    ex: &mut Exchange,
) -> Result<Option<Box<Reply>>, Cause> {
    loop {
        if let Some(mut reply) = refusal(around, filters, stop, down, ex).await? {
            filters.chain.answer(&mut reply, &ex.request);
            return Ok(Some(reply));
        }
        match filter(filters.chain, Some(stop), around.conn, prefix_len, ex) {
            Verdict::Next => return Ok(None),
            Verdict::Reply(reply) => return Ok(Some(reply)),
            Verdict::Ask(next) => stop = next,
        }
    }
}

/// Asks one service. `None` is its consent, and what it changes is changed.
async fn refusal(
    around: Around<'_>,
    filters: Filters<'_>,
    stop: Stop,
    down: &mut Leg,
    ex: &mut Exchange,
) -> Result<Option<Box<Reply>>, Cause> {
    let service = filters.chain.auths().get(stop.auth).zip(filters.auths.get(stop.auth));
    let (auth, slot) = service.ok_or(Cause::AuthFailed)?;
    let cluster = around.current.cluster(*slot).ok_or(Cause::AuthFailed)?;
    if auth.max_body() > 0 && !collect(auth.max_body(), down, ex).await? {
        return Err(Cause::PayloadTooLarge);
    }
    let answer = call(around, auth, cluster, down, ex).await;
    let decision = match answer {
        Ok(Answer { head, body, trailers, .. }) => auth.decide(&head, body, &trailers),
        Err(Stopped::Failed) => Decision::Error(None),
        Err(Stopped::Elsewhere(cause)) => return Err(cause),
    };
    let cells = cluster.metrics().at(around.worker.index);
    match decision {
        Decision::Allow(grant) => {
            cells.auth_allowed.inc();
            if grant.changes_query() && ex.notes.original_path.is_empty() {
                ex.notes.original_path.extend_from_slice(ex.request.path_and_query());
            }
            ex.additions.extend(grant.apply(&mut ex.request));
            ex.notes.consented = Some(Instant::now());
            Ok(None)
        }
        Decision::Deny(reply) => {
            cells.auth_denied.inc();
            Ok(Some(refused(reply, ex)))
        }
        Decision::Error(reply) => {
            cells.auth_errors.inc();
            reply.map(|reply| Some(refused(reply, ex))).ok_or(Cause::AuthFailed)
        }
        Decision::Invalid => {
            cells.auth_errors.inc();
            Err(Cause::AuthInvalid)
        }
    }
}

fn refused(mut reply: Box<Reply>, ex: &mut Exchange) -> Box<Reply> {
    ex.flag(Flag::UnauthorizedExternalService.into());
    if ex.request.is_grpc() {
        local::as_call(&mut reply);
    }
    reply
}

/// Takes the client's whole body; says whether it is within the limit.
async fn collect(limit: usize, down: &mut Leg, ex: &mut Exchange) -> Result<bool, Cause> {
    let Exchange { body, clock, .. } = ex;
    poll_fn(|cx| {
        let mut moved = false;
        if let Poll::Ready(result) = body.poll_collect(cx, down, limit, &mut moved) {
            return Poll::Ready(result.map_err(|error| pump::cause_of_client(&error)));
        }
        clock.progress(moved);
        clock.poll_expired(cx).map(|expired| Err(cause_of_expiry(expired)))
    })
    .await
}

/// Why there is no answer.
enum Stopped {
    /// It is the service's fault.
    Failed,
    /// The client's, or the request's time is over.
    Elsewhere(Cause),
}

async fn call(
    around: Around<'_>,
    auth: &ExternalAuth,
    cluster: &Rc<Cluster>,
    down: &mut Leg,
    ex: &mut Exchange,
) -> Result<Answer, Stopped> {
    let Around { worker, conn, .. } = around;
    let Exchange { request, body, clock, trace, notes, .. } = ex;
    let (collected, received) = body.collected();
    let told = if auth.max_body() > 0 { collected } else { &[] };
    let facts = Facts {
        client: conn.peer,
        local: conn.local,
        principal: principal(conn),
        server_name: conn.server_name().unwrap_or_default(),
        time: SystemTime::now(),
        size: match body.framing() {
            Framing::Length(length) => Some(length),
            _ => received.then_some(collected.len() as u64),
        },
    };
    let mut head = RequestHead::new();
    let question = auth.question(request, told, &facts, &mut head);
    if auth.authority().is_none() && head.authority().is_empty() {
        head.set_authority(own_authority(conn, request).as_bytes());
    }
    let mut span = trace.ask(cluster, notes.start, request, &mut head);
    let want = if auth.is_grpc() { Want::Http2 } else { cluster.config().protocol };
    let (authority, noted) = (auth.authority(), span.as_deref_mut());
    let excess = Excess::Refused;
    let callout = Callout { cluster, want, head, authority, body: &question, most: MOST, excess, span: noted };
    clock.set_attempt(auth.timeout().map(|limit| Instant::now() + limit));
    let result = {
        let mut asking = pin!(callout::send(&worker.response_limits, worker.index, callout));
        poll_fn(|cx| {
            if let Poll::Ready(answer) = asking.as_mut().poll(cx) {
                return Poll::Ready(Ok(answer));
            }
            if received && let Poll::Ready(error) = down.poll_gone(cx) {
                return Poll::Ready(Err(Gone::Client(pump::cause_of_client(&error))));
            }
            clock.poll_expired(cx).map(|expired| Err(Gone::Time(expired)))
        })
        .await
    };
    clock.set_attempt(None);
    if let Some(span) = span {
        trace.answered(over(*span, notes.start, &result));
    }
    let cells = cluster.metrics().at(worker.index);
    match result {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(unanswered)) => {
            tracing::debug!(cluster = %cluster.config().id, %unanswered, "an authorisation service gave no answer");
            Err(Stopped::Failed)
        }
        Err(Gone::Time(Expired::Attempt)) => {
            cells.requests.inc(504);
            cells.timeouts.inc();
            cells.resets_sent.inc();
            tracing::debug!(cluster = %cluster.config().id, "an authorisation service took too long");
            Err(Stopped::Failed)
        }
        Err(gone) => {
            cells.resets_sent.inc();
            Err(Stopped::Elsewhere(match gone {
                Gone::Client(cause) => cause,
                Gone::Time(expired) => cause_of_expiry(expired),
            }))
        }
    }
}

/// The span of a question that is over.
fn over(mut span: Attempt, start: Instant, result: &Result<Result<Answer, Unanswered>, Gone>) -> Attempt {
    span.end = Some(start.elapsed());
    match result {
        Ok(Ok(answer)) => {
            (span.status, span.version) = (answer.head.status, Some(answer.version));
            span.call = GrpcStatus::of(Some(&answer.trailers), Some(&answer.head));
        }
        Ok(Err(unanswered)) => span.error = unanswered.details(),
        Err(Gone::Client(cause)) => span.error = cause.answer().details,
        Err(Gone::Time(Expired::Attempt)) => span.error = Cause::AttemptTimeout.answer().details,
        Err(Gone::Time(expired)) => span.error = cause_of_expiry(*expired).answer().details,
    }
    span
}

/// What ended the wait.
enum Gone {
    Client(Cause),
    Time(Expired),
}

/// Before a backend is asked: there is no attempt yet.
fn cause_of_expiry(expired: Expired) -> Cause {
    match expired {
        Expired::Request | Expired::Attempt => Cause::RequestTimeout,
        Expired::Idle => Cause::StreamIdle { received: false },
    }
}

/// As Envoy: the first URI or DNS name of a certificate that was verified, or its subject.
fn principal(conn: &ConnInfo) -> &str {
    let certificate = conn.tls.as_ref().and_then(|tls| tls.peer_cert.as_ref()).filter(|cert| cert.verified());
    certificate
        .and_then(|certificate| certificate.facts())
        .map_or("", |facts| facts.uris.first().or(facts.dns.first()).unwrap_or(&facts.subject))
}
