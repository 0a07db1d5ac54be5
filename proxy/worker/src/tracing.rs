//! Tracing on the request path: decided once, told to backends, recorded until the end.
//!
//! `begin ─► { ask ─► answered } ─► forward ─► { attempt ─► ended } ─► export`
//!
//! An exchange that is not recorded keeps its trace context here and nothing else; one that is has a [`Recording`] of its own.

pub(crate) mod exporter;
mod lane;
mod send;

use crate::exchange::Exchange;
use crate::worker::Worker;
use fairlead_http::{Fields, Known, RequestHead};
use fairlead_snapshot::Route;
use fairlead_telemetry::trace::{Attempt, Batch, Context, Decision, Recording, SpanId, TraceId, Tracer, is_tracestate};
use fairlead_telemetry::{GrpcStatus, Record};
use fairlead_upstream::{Address, Cluster, Pick};
use std::sync::Arc;
use tokio::time::Instant;

/// What tracing knows of an exchange.
#[derive(Debug, Default)]
pub struct Trace {
    /// Of the exchange's own span, or as the client sent it when that goes on as it is.
    context: Option<Context>,
    /// What backends get is not what the client sent.
    replaced: bool,
    recording: Option<Box<Recording>>,
}

impl Trace {
    /// Reads what the client says and decides. A `traceparent` that is not valid, or there twice, counts as none, and takes
    /// `tracestate` with it (W3C trace context §3.2.2, §3.3).
    pub fn begin(tracer: &Arc<Tracer>, request: &mut RequestHead) -> Trace {
        let parent = parent(&request.fields);
        let decision = tracer.decide(parent.as_ref(), fastrand::u64(..));
        if decision == Decision::Pass {
            return Trace { context: parent, ..Trace::default() };
        }
        let state = &mut request.fields;
        if state.contains(Known::Tracestate) && (parent.is_none() || !is_tracestate(state.all(Known::Tracestate))) {
            state.remove_known(Known::Tracestate);
        }
        let (recorded, span) = (decision == Decision::Record, SpanId::new(fastrand::u64(..)));
        let context = match parent {
            Some(parent) => parent.child(span, recorded),
            None => Context::new(TraceId::new(fastrand::u128(..)), span, recorded),
        };
        let recording = recorded.then(|| Box::new(Recording::begin(tracer.clone(), context, parent.as_ref(), request)));
        Trace { context: Some(context), replaced: true, recording }
    }

    /// Tells what is behind us. After the client's `Connection` had its say: it can't take this away.
    #[inline]
    pub fn forward(&self, request: &mut RequestHead) {
        if let Some(context) = self.context.filter(|_| self.replaced) {
            request.fields.set_known(Known::Traceparent, &context.to_bytes());
        }
    }

    /// Tells an authorisation service, and begins the span of the question when spans are recorded. `since`: the request's start.
    pub fn ask(
        &self,
        cluster: &Cluster,
        since: Instant,
        request: &RequestHead,
        question: &mut RequestHead,
    ) -> Option<Box<Attempt>> {
        let context = self.context?;
        let span = SpanId::new(fastrand::u64(..));
        let told = if self.is_recorded() { context.child(span, true) } else { context };
        question.fields.set_known(Known::Traceparent, &told.to_bytes());
        question.fields.remove_known(Known::Tracestate);
        for state in request.fields.all(Known::Tracestate) {
            question.fields.push_known(Known::Tracestate, state);
        }
        self.recording.as_ref()?;
        let config = cluster.config();
        let mut attempt = Attempt::new(span, since.elapsed(), config.id.clone(), config.is_tls(), question);
        attempt.authorises = true;
        Some(Box::new(attempt))
    }

    /// The question is over.
    pub fn answered(&mut self, attempt: Attempt) {
        if let Some(recording) = &mut self.recording {
            recording.attempt(attempt);
        }
    }

    /// The trace's id; `None` when requests of the listener are not traced.
    pub fn id(&self) -> Option<TraceId> {
        self.context.map(|context| context.trace)
    }

    /// Whether spans are recorded.
    #[inline]
    pub fn is_recorded(&self) -> bool {
        self.recording.is_some()
    }

    /// The recording, for its end.
    pub fn take(&mut self) -> Option<Box<Recording>> {
        self.recording.take()
    }
}

/// What the client says.
fn parent(fields: &Fields) -> Option<Context> {
    let mut all = fields.all(Known::Traceparent);
    let only = all.next().filter(|_| all.next().is_none())?;
    Context::parse(only)
}

/// An attempt begins: it is the endpoint's parent.
#[cold]
pub fn attempt(ex: &mut Exchange, cluster: &Cluster, pick: &Pick) {
    let (Some(recording), Some(context)) = (&mut ex.trace.recording, ex.trace.context) else { return };
    let (span, start) = (SpanId::new(fastrand::u64(..)), ex.notes.start.elapsed());
    let config = cluster.config();
    let mut attempt = Attempt::new(span, start, config.id.clone(), config.is_tls(), &ex.request);
    goes_to(&mut attempt, pick);
    recording.attempt(attempt);
    ex.request.fields.set_known(Known::Traceparent, &context.child(span, true).to_bytes());
}

/// The endpoint is known.
pub fn goes_to(attempt: &mut Attempt, pick: &Pick) {
    let endpoint = pick.endpoint();
    attempt.host = endpoint.hostname().map(str::to_owned);
    attempt.address = match endpoint.address() {
        Address::Ip(address) => Some(*address),
        Address::Unix(_) => None,
    };
}

/// The attempt under way is over: with the status of a response, or with what went wrong.
#[cold]
pub fn ended(ex: &mut Exchange, status: u16, error: &'static str) {
    let (end, version) = (ex.notes.start.elapsed(), ex.notes.protocol);
    let call = Some(status).filter(|status| *status > 0);
    let call = call.and_then(|_| GrpcStatus::of(Some(&ex.trailers), Some(&ex.response)));
    if let Some(attempt) = ex.trace.recording.as_mut().and_then(|recording| recording.open()) {
        (attempt.end, attempt.status, attempt.error, attempt.version) = (Some(end), status, error, version);
        attempt.call = call;
    }
}

/// The matched path, as the route has it: `http.route`. For gRPC it is the method where the route names it, else unknown.
pub fn pattern<'a>(route: &'a Route, match_index: usize, request: &'a RequestHead) -> &'a str {
    use fairlead_ir::MethodMatch;
    use fairlead_ir::PathMatch::{Exact, Prefix, Regex};
    use fairlead_ir::StringMatch::Exact as Text;
    let Some(found) = route.config.matches.get(match_index) else { return "/" };
    match (&found.path, &found.grpc) {
        (Some(Exact(path) | Prefix(path) | Regex(path)), _) => path,
        (None, Some(MethodMatch { service: Some(Text(_)), method: Some(Text(_)) })) => {
            str::from_utf8(request.path()).unwrap_or_default()
        }
        (None, Some(_)) => "",
        (None, None) => "/",
    }
}

impl Worker {
    /// Takes the spans of an exchange that is over.
    #[cold]
    pub fn export(&self, recording: &Recording, record: &Record<'_>) {
        for span in recording.spans(record) {
            self.cells().spans.inc();
            if let Some(full) = self.spans.push(recording.tracer(), &span) {
                self.hand_over(full);
            }
        }
    }

    /// Hands over what spans there are.
    pub fn flush_spans(&self) {
        if !self.spans.is_empty() {
            self.spans.take().into_iter().for_each(|batch| self.hand_over(batch));
        }
    }

    fn hand_over(&self, batch: Batch) {
        let spans = batch.spans;
        if self.exporter.try_send(batch).is_err() {
            self.cells().spans_dropped.add(spans);
        }
    }
}
