//! A request of the proxy's own to a cluster, and its answer, both whole in memory. Dropping the future gives up: the stream is reset or the
//! connection closed.

use crate::cause::Cause;
use crate::exchange::pump;
use crate::tracing;
use fairlead_http::{Error, Event, Fields, Framing, Incoming, Leg, Limits, RequestHead, ResponseHead, Version, hop};
use fairlead_telemetry::trace::Attempt;
use fairlead_upstream::{Cluster, ConnectError, ConnectErrorKind, Pick, Upstream, Want};
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

/// What is asked.
pub struct Callout<'a> {
    /// Of whom.
    pub cluster: &'a Rc<Cluster>,
    /// In which protocol.
    pub want: Want,
    /// The request's head, without framing.
    pub head: RequestHead,
    /// The host to ask for, unless the endpoint has a name. `None`: the head has it.
    pub authority: Option<&'a str>,
    /// Its body.
    pub body: &'a [u8],
    /// Bytes of the answer's body at most.
    pub most: usize,
    /// What becomes of a longer one.
    pub excess: Excess,
    /// Its span, if it is recorded: told where the request goes.
    pub span: Option<&'a mut Attempt>,
}

/// What becomes of an answer that is longer than what is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// It is none.
    Refused,
    /// Its rest is read and forgotten.
    Dropped,
}

/// An answer.
pub struct Answer {
    /// Without the fields of its connection.
    pub head: ResponseHead,
    /// Whole, but for what was dropped.
    pub body: Vec<u8>,
    /// Empty when there are none.
    pub trailers: Fields,
    /// What was spoken.
    pub version: Version,
}

/// Why there is none.
pub enum Unanswered {
    /// The cluster has no endpoint.
    NoEndpoint,
    /// There is no connection.
    Connect(ConnectError),
    /// The connection failed, or what came is no HTTP.
    Failed(Error),
    /// The answer is longer than what is taken.
    TooLarge,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unanswered::NoEndpoint => f.write_str("no endpoint"),
            Unanswered::Connect(error) => error.fmt(f),
            Unanswered::Failed(error) => error.fmt(f),
            Unanswered::TooLarge => f.write_str("answer too large"),
        }
    }
}

impl Unanswered {
    /// As in the details of the access log: one of a few.
    pub fn details(&self) -> &'static str {
        let cause = match self {
            Unanswered::NoEndpoint => Cause::NoHealthyUpstream,
            Unanswered::Connect(error) => match error.kind {
                ConnectErrorKind::Overflow => Cause::Overflow,
                ConnectErrorKind::Timeout => Cause::ConnectTimeout,
                _ => Cause::ConnectFailed,
            },
            Unanswered::Failed(error) => pump::cause_of(error),
            Unanswered::TooLarge => return "answer_too_large",
        };
        cause.answer().details
    }
}

impl From<Error> for Unanswered {
    fn from(error: Error) -> Self {
        Unanswered::Failed(error)
    }
}

/// Asks one endpoint; a second time only when a pooled connection was closed by the endpoint in the meantime. `block` is the caller's of the
/// cluster's metrics.
pub async fn send(limits: &Limits, block: usize, mut callout: Callout<'_>) -> Result<Answer, Unanswered> {
    let pick = callout.cluster.pick(&[]).ok_or(Unanswered::NoEndpoint)?;
    if let Some(authority) = callout.authority {
        let host = pick.endpoint().hostname().unwrap_or(authority);
        callout.head.set_authority(host.as_bytes());
    }
    if let Some(span) = &mut callout.span {
        span.retarget(callout.cluster.config().is_tls(), &callout.head);
        tracing::goes_to(span, &pick);
    }
    let start = Instant::now();
    let result = match callout.cluster.acquire(&pick, callout.want).await {
        Ok(up) => match converse(limits, up, &callout).await {
            Err((Unanswered::Failed(Error::CLOSED), true)) => anew(limits, &pick, &callout).await,
            other => other.map_err(|(unanswered, _)| unanswered),
        },
        Err(error) => Err(Unanswered::Connect(error)),
    };
    count(block, &callout, &pick, start, &result);
    result
}

async fn anew(limits: &Limits, pick: &Pick, callout: &Callout<'_>) -> Result<Answer, Unanswered> {
    let up = callout.cluster.connect(pick, callout.want).await.map_err(Unanswered::Connect)?;
    converse(limits, up, callout).await.map_err(|(unanswered, _)| unanswered)
}

/// One request and its answer; an error says whether the connection had been used before.
async fn converse(limits: &Limits, mut up: Upstream, callout: &Callout<'_>) -> Result<Answer, (Unanswered, bool)> {
    let reused = up.is_reused();
    let answer = speak(limits, up.leg(), callout).await.map_err(|unanswered| (unanswered, reused))?;
    up.finish();
    Ok(answer)
}

async fn speak(limits: &Limits, up: &mut Leg, callout: &Callout<'_>) -> Result<Answer, Unanswered> {
    up.send_request(&callout.head, Framing::Length(callout.body.len() as u64))?;
    let mut head = ResponseHead::default();
    let mut rest = Some(callout.body);
    poll_fn(|cx| {
        if let Some(data) = &mut rest {
            match poll_send(cx, up, data) {
                Poll::Ready(Ok(())) => rest = None,
                // It may have answered without reading.
                Poll::Ready(Err(error)) if pump::is_gone(&error) => rest = None,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
        }
        loop {
            match ready!(up.poll_response(cx, &mut head, limits))? {
                Incoming::Interim => {}
                Incoming::Final(_) => return Poll::Ready(Ok(())),
                Incoming::Upgraded => return Poll::Ready(Err(Error::protocol("unexpected_upgrade"))),
            }
        }
    })
    .await?;
    hop::strip_response(&mut head);
    let mut body = Vec::new();
    poll_fn(|cx| poll_body(cx, up, callout, &mut body)).await?;
    Ok(Answer { head, body, trailers: up.trailers().clone(), version: up.version() })
}

fn poll_send(cx: &mut Context<'_>, up: &mut Leg, rest: &mut &[u8]) -> Poll<Result<(), Error>> {
    while !rest.is_empty() {
        let n = ready!(up.poll_write(cx, rest))?;
        *rest = rest.get(n..).unwrap_or_default();
    }
    up.poll_finish(cx, None)
}

fn poll_body(
    cx: &mut Context<'_>,
    up: &mut Leg,
    callout: &Callout<'_>,
    body: &mut Vec<u8>,
) -> Poll<Result<(), Unanswered>> {
    loop {
        match ready!(up.poll_data(cx))? {
            Event::Data => {
                let (data, room) = (up.data(), callout.most - body.len());
                let n = data.len();
                if n > room && callout.excess == Excess::Refused {
                    return Poll::Ready(Err(Unanswered::TooLarge));
                }
                body.extend_from_slice(data.get(..room).unwrap_or(data));
                up.consume(n);
            }
            Event::Trailers => {}
            Event::End => return Poll::Ready(Ok(())),
        }
    }
}

/// Counts the request for its cluster and endpoint. Failed connects are counted where they fail.
fn count(block: usize, callout: &Callout<'_>, pick: &Pick, start: Instant, result: &Result<Answer, Unanswered>) {
    let cells = callout.cluster.metrics().at(block);
    let failed = match result {
        Ok(answer) => {
            cells.requests.inc(answer.head.status);
            cells.duration.record_duration(start.elapsed());
            cells.bytes_sent.add(callout.body.len() as u64);
            cells.bytes_received.add(answer.body.len() as u64);
            answer.head.status >= 500
        }
        Err(Unanswered::NoEndpoint | Unanswered::Connect(_)) => return,
        Err(Unanswered::Failed(error)) => {
            cells.requests.inc(pump::cause_of(error).answer().status);
            if error.is_protocol() {
                cells.protocol_errors.inc()
            } else {
                cells.resets_received.inc()
            }
            true
        }
        Err(Unanswered::TooLarge) => {
            cells.requests.inc(502);
            cells.resets_sent.inc();
            true
        }
    };
    let cells = pick.endpoint().cells();
    cells.requests.inc();
    if failed {
        cells.failures.inc();
    }
}
