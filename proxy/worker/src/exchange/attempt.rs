//! Attempts: an endpoint, a connection, the request sent, the response's head awaited; again where the rule says so.

use crate::cause::Cause;
use crate::exchange::clock::Expired;
use crate::exchange::pump::{self, Failure};
use crate::exchange::{Exchange, exhausted, overflowed, session};
use crate::tracing;
use crate::worker::Worker;
use fairlead_http::{Error, Framing, Incoming, Leg, Limits};
use fairlead_snapshot::{Route, Session};
use fairlead_upstream::{Cluster, ConnectErrorKind, Pick, RetryRefused, Want};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// How the endpoint answered; the head and the upstream leg are in the exchange.
#[derive(Clone, Copy)]
pub enum Answered {
    /// A response with this framing.
    Response(Framing),
    /// 101 to an upgrade.
    Upgraded,
}

/// Why an attempt did not give a response that is passed on.
enum Missed {
    /// Before anything was sent: another endpoint may be tried.
    Connect(Cause),
    /// A pooled connection was closed by the endpoint before any byte of a response: tried once more on a new one.
    Stale,
    /// After the request, or a part of it, was sent.
    Sent(Cause),
    /// A response whose status the rule wants tried again.
    Status(Answered),
    /// The deadline of the attempt.
    TimedOut,
    /// Nothing can be tried again.
    Final(Cause),
}

impl Missed {
    /// What a span says of it: the status that was answered, or what went wrong.
    fn outcome(&self, status: u16) -> (u16, &'static str) {
        match self {
            Missed::Status(_) => (status, ""),
            Missed::Stale => (0, Cause::UpstreamClosed.answer().details),
            Missed::TimedOut => (0, Cause::AttemptTimeout.answer().details),
            Missed::Connect(cause) | Missed::Sent(cause) | Missed::Final(cause) => (0, cause.answer().details),
        }
    }
}

/// Tries until there is a response to pass on, or a cause to answer.
pub async fn until_answered(
    worker: &Worker,
    route: &Route,
    cluster: &Rc<Cluster>,
    session: Option<&Session>,
    down: &mut Leg,
    ex: &mut Exchange,
) -> Result<Answered, Cause> {
    let retry = route.config.retry.as_ref();
    let mut left = retry.map_or(0, |r| r.attempts);
    let mut stale_left = 2;
    // Held while the retry is under way.
    let mut _permit = None;
    ex.body.keep(left > 0);
    loop {
        let missed = match note(one(worker, route, cluster, session, down, ex).await, ex) {
            Ok(answered) => return Ok(answered),
            // The endpoint may have acted on it all the same: only what may be repeated is (RFC 9110 §9.2.2).
            Err(Missed::Stale) if stale_left > 0 && ex.request.method().is_idempotent() && ex.body.rewind() => {
                ex.up = None;
                stale_left -= 1;
                continue;
            }
            Err(missed) => missed,
        };
        if matches!(missed, Missed::Final(_)) || left == 0 || !ex.body.can_rewind() {
            let exhausted = retry.is_some() && left == 0 && !matches!(missed, Missed::Final(_));
            if exhausted {
                route.metrics.at(worker.index).retries_exhausted.inc();
            }
            return settle(missed, ex, exhausted);
        }
        let Some(retry) = retry else { return settle(missed, ex, false) };
        if !worth(&missed, retry) {
            return settle(missed, ex, false);
        }
        _permit = None;
        _permit = match cluster.try_retry() {
            Ok(permit) => Some(permit),
            Err(RetryRefused::Breaker) => {
                ex.flag(overflowed());
                return settle(missed, ex, false);
            }
            // GEP-3388: 503, whatever the last response was.
            Err(RetryRefused::Budget) => return Err(Cause::RetryBudget),
        };
        ex.up = None;
        let attempt = retry.attempts - left;
        left -= 1;
        ex.body.rewind();
        route.metrics.at(worker.index).retries.inc();
        cluster.metrics().at(worker.index).retries.inc();
        if let Some(pick) = ex.notes.pick.take() {
            ex.notes.tried.push(pick.endpoint().clone());
        }
        pause(backoff(retry, attempt), ex).await?;
    }
}

/// Tells the attempt's span what came of it, if that was no answer.
fn note(tried: Result<Answered, Missed>, ex: &mut Exchange) -> Result<Answered, Missed> {
    if let Err(missed) = &tried
        && ex.trace.is_recorded()
    {
        let (status, error) = missed.outcome(ex.response.status);
        tracing::ended(ex, status, error);
    }
    tried
}

/// What a miss comes to when nothing is tried again.
fn settle(missed: Missed, ex: &mut Exchange, limit_reached: bool) -> Result<Answered, Cause> {
    if limit_reached {
        ex.flag(exhausted());
    }
    match missed {
        Missed::Status(answered) => Ok(answered),
        Missed::Connect(cause) | Missed::Sent(cause) | Missed::Final(cause) => Err(cause),
        Missed::Stale => Err(Cause::UpstreamClosed),
        Missed::TimedOut => Err(Cause::AttemptTimeout),
    }
}

/// GEP-1731: connection errors are tried again whenever attempts are set; other failures count as the status they would be answered with.
fn worth(missed: &Missed, retry: &fairlead_ir::Retry) -> bool {
    let listed = |cause: Cause| retry.codes.contains(&cause.answer().status);
    match missed {
        Missed::Connect(_) | Missed::Stale | Missed::Status(_) => true,
        Missed::Sent(cause) => matches!(cause, Cause::UpstreamClosed | Cause::UpstreamReset) || listed(*cause),
        Missed::TimedOut => listed(Cause::AttemptTimeout),
        Missed::Final(_) => false,
    }
}

async fn one(
    worker: &Worker,
    route: &Route,
    cluster: &Rc<Cluster>,
    session: Option<&Session>,
    down: &mut Leg,
    ex: &mut Exchange,
) -> Result<Answered, Missed> {
    ex.clock.set_attempt(
        route.config.timeouts.backend_request.and_then(fairlead_ir::Millis::limit).map(|limit| Instant::now() + limit),
    );
    let kept = session.and_then(|session| session::pick(session, cluster, ex));
    let pick = kept.or_else(|| cluster.pick(&ex.notes.tried)).ok_or(Missed::Final(Cause::NoHealthyUpstream))?;
    cluster.count_attempt();
    if ex.trace.is_recorded() {
        tracing::attempt(ex, cluster, &pick);
    }
    let want = want(cluster, ex);
    // Not a match on the checkout: what it matches on would live in this future until the connection stands.
    ex.up = cluster.try_checkout(&pick, want);
    if ex.up.is_none() {
        let connected = connect(cluster, &pick, want, ex).await;
        if let Err(missed) = connected {
            // The next attempt goes elsewhere, and the log names this one.
            (ex.notes.pick, ex.notes.connected) = (Some(pick), None);
            return Err(missed);
        }
    }
    if ex.notes.takes_backend_host
        && let Some(host) = pick.endpoint().hostname()
    {
        ex.request.set_authority(host.as_bytes());
    }
    ex.notes.pick = Some(pick);
    let framing = ex.body.framing();
    let Some(up) = &mut ex.up else { return Err(Missed::Final(Cause::ConnectFailed)) };
    up.leg().send_request(&ex.request, framing).map_err(|error| Missed::Sent(pump::cause_of(&error)))?;
    let reused = up.is_reused();
    ex.notes.protocol = Some(up.leg().version());
    if ex.notes.needs.upstream_connection {
        ex.notes.connected = up.connected().cloned();
    }
    let sent = Instant::now();
    ex.notes.sent = Some(sent);
    ex.clock.begin_attempt(sent);
    let result = poll_fn(|cx| poll_head(cx, &worker.response_limits, ex, down)).await;
    let now = Instant::now();
    ex.notes.upstream_time = Some(now - sent);
    count(worker, cluster, ex, &result);
    match result {
        Ok(answered) => {
            ex.notes.answered = Some(now);
            let again = route.config.retry.as_ref().is_some_and(|retry| retry.codes.contains(&ex.response.status));
            if again { Err(Missed::Status(answered)) } else { Ok(answered) }
        }
        Err(Unanswered::Upstream(error)) if reused && error == Error::CLOSED => Err(Missed::Stale),
        Err(Unanswered::Upstream(error)) => Err(Missed::Sent(pump::cause_of(&error))),
        Err(Unanswered::Downstream(error)) => Err(Missed::Final(pump::cause_of_client(&error))),
        Err(Unanswered::Expired(expired)) => Err(expired_in_attempt(expired, ex)),
    }
}

/// Counts the attempt for its cluster and endpoint.
fn count(worker: &Worker, cluster: &Cluster, ex: &Exchange, result: &Result<Answered, Unanswered>) {
    let cells = cluster.metrics().at(worker.index);
    let failed = match result {
        Ok(_) => {
            cells.requests.inc(ex.response.status);
            ex.response.status >= 500
        }
        Err(Unanswered::Downstream(_)) => {
            cells.resets_sent.inc();
            false
        }
        Err(Unanswered::Expired(_)) => {
            cells.requests.inc(504);
            cells.timeouts.inc();
            cells.resets_sent.inc();
            true
        }
        Err(Unanswered::Upstream(error)) => {
            let cause = pump::cause_of(error);
            cells.requests.inc(cause.answer().status);
            match cause {
                Cause::UpstreamReset => cells.resets_received.inc(),
                Cause::UpstreamProtocol => cells.protocol_errors.inc(),
                _ => {}
            }
            true
        }
    };
    if let Some(pick) = &ex.notes.pick {
        let cells = pick.endpoint().cells();
        cells.requests.inc();
        if failed {
            cells.failures.inc();
        }
    }
}

fn expired_in_attempt(expired: Expired, ex: &Exchange) -> Missed {
    match expired {
        Expired::Request => Missed::Final(Cause::RequestTimeout),
        Expired::Attempt => Missed::TimedOut,
        Expired::Idle => Missed::Final(Cause::StreamIdle { received: ex.body.is_received() }),
    }
}

enum Unanswered {
    Upstream(fairlead_http::Error),
    Downstream(Error),
    Expired(Expired),
}

/// Sends the request's body as far as it goes, and looks for the response's head.
fn poll_head(
    cx: &mut Context<'_>,
    limits: &Limits,
    ex: &mut Exchange,
    down: &mut Leg,
) -> Poll<Result<Answered, Unanswered>> {
    let Exchange { body, response, tee, clock, up: Some(up), .. } = ex else {
        return Poll::Ready(Err(Unanswered::Upstream(Error::CLOSED)));
    };
    let up = up.leg();
    let mut moved = false;
    let mut failed = None;
    match body.poll(cx, down, up, tee.as_mut(), &mut moved) {
        Poll::Ready(Err(Failure::Downstream(error))) => return Poll::Ready(Err(Unanswered::Downstream(error))),
        Poll::Ready(Err(Failure::Upstream(error))) if pump::is_gone(&error) => body.give_up(),
        Poll::Ready(Err(Failure::Upstream(error))) => failed = Some(error),
        _ => {}
    }
    if body.is_received() {
        clock.received();
    }
    loop {
        match up.poll_response(cx, response, limits) {
            Poll::Ready(Ok(Incoming::Final(framing))) => return Poll::Ready(Ok(Answered::Response(framing))),
            Poll::Ready(Ok(Incoming::Upgraded)) => return Poll::Ready(Ok(Answered::Upgraded)),
            Poll::Ready(Ok(Incoming::Interim)) => {
                if let Err(error) = down.send_interim(response) {
                    return Poll::Ready(Err(Unanswered::Downstream(error)));
                }
                let _ = down.poll_flush(cx);
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(Unanswered::Upstream(error))),
            Poll::Pending => break,
        }
    }
    if let Some(error) = failed {
        return Poll::Ready(Err(Unanswered::Upstream(error)));
    }
    if body.is_done()
        && let Poll::Ready(error) = down.poll_gone(cx)
    {
        return Poll::Ready(Err(Unanswered::Downstream(error)));
    }
    clock.progress(moved);
    clock.poll_expired(cx).map(|expired| Err(Unanswered::Expired(expired)))
}

/// WebSocket needs HTTP/1.1, gRPC HTTP/2, whatever else the cluster speaks.
fn want(cluster: &Cluster, ex: &Exchange) -> Want {
    if ex.request.upgrade.is_some() {
        Want::Http1
    } else if ex.request.is_grpc() {
        Want::Http2
    } else {
        cluster.config().protocol
    }
}

/// A new connection, within the exchange's deadlines.
async fn connect(cluster: &Rc<Cluster>, pick: &Pick, want: Want, ex: &mut Exchange) -> Result<(), Missed> {
    let mut connecting = cluster.checkout(pick, want);
    let result = poll_fn(|cx| {
        if let Poll::Ready(result) = Pin::new(&mut connecting).poll(cx) {
            return Poll::Ready(Ok(result));
        }
        ex.clock.poll_expired(cx).map(Err)
    })
    .await;
    match result {
        Ok(Ok(up)) => {
            ex.up = Some(up);
            Ok(())
        }
        Ok(Err(error)) => Err({
            ex.notes.failure = error.detail;
            match error.kind {
                ConnectErrorKind::Overflow => Missed::Final(Cause::Overflow),
                ConnectErrorKind::Timeout => Missed::Connect(Cause::ConnectTimeout),
                _ => Missed::Connect(Cause::ConnectFailed),
            }
        }),
        Err(expired) => Err(expired_in_attempt(expired, ex)),
    }
}

/// Envoy's rule: a random part of a base that doubles with each attempt, at most ten times the base.
fn backoff(retry: &fairlead_ir::Retry, attempt: u32) -> Duration {
    let base = retry.backoff.map_or(Duration::from_millis(25), Duration::from);
    let ceiling = base.saturating_mul(1 << attempt.min(16)).min(base.saturating_mul(10));
    base.max(ceiling.mul_f64(fastrand::f64()))
}

async fn pause(time: Duration, ex: &mut Exchange) -> Result<(), Cause> {
    ex.clock.set_attempt(None);
    let mut sleep = Box::pin(tokio::time::sleep(time));
    poll_fn(|cx| {
        if sleep.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        ex.clock.poll_expired(cx).map(|expired| {
            Err(match expired {
                Expired::Idle => Cause::StreamIdle { received: ex.body.is_received() },
                _ => Cause::RequestTimeout,
            })
        })
    })
    .await
}
