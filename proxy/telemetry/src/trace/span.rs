//! A recorded request: from its head to the spans of its end.

use super::attempt::Attempt;
use super::context::{Context, SpanId};
use super::fact::{self, OF_SERVER_SPANS, error, int, some_text, text};
use super::otlp::{KeyValue, Span, SpanKind, Status, StatusCode, Value, attribute};
use super::tracer::{Source, Tracer};
use crate::{Record, Timestamp};
use fairlead_http::{Known, RequestHead};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a `tracestate` that is kept in spans.
const LONGEST_STATE: usize = 512;
/// Bits of `Span.flags`: it is known whether the parent is remote; it is.
const REMOTE_KNOWN: u32 = 0x100;
const REMOTE: u32 = 0x200;

/// A request whose spans are recorded.
#[derive(Debug)]
pub struct Recording {
    tracer: Arc<Tracer>,
    /// Of the server span.
    context: Context,
    parent: Option<SpanId>,
    state: String,
    /// Values of the attributes that come from the request's fields, as they came; in the order of the settings.
    received: Vec<Option<Value>>,
    attempts: Vec<Attempt>,
}

impl Recording {
    /// Of a request as it came. `parent` is what the client said, `context` that of the server span.
    pub fn begin(tracer: Arc<Tracer>, context: Context, parent: Option<&Context>, request: &RequestHead) -> Recording {
        let mut state = Vec::new();
        for field in request.fields.all(Known::Tracestate).filter(|_| parent.is_some()) {
            state.extend_from_slice(if state.is_empty() { b"" } else { b"," });
            state.extend_from_slice(field);
        }
        let state = String::from_utf8(state).ok().filter(|state| state.len() <= LONGEST_STATE).unwrap_or_default();
        let received = tracer.settings.attributes.iter().map(|attribute| match &attribute.source {
            Source::Header(name) => request.fields.get_name(name.as_bytes()).map(fact::bytes),
            Source::RequestHeader(name) => fact::values(&request.fields, name),
            _ => None,
        });
        let received = received.collect();
        Recording { context, parent: parent.map(|parent| parent.span), state, received, attempts: Vec::new(), tracer }
    }

    /// Whose settings hold.
    pub fn tracer(&self) -> &Arc<Tracer> {
        &self.tracer
    }

    /// An attempt begins; the one before it is over. Or a question to an authorisation service is over.
    pub fn attempt(&mut self, attempt: Attempt) {
        self.attempts.push(attempt);
    }

    /// The attempt that is under way.
    pub fn open(&mut self) -> Option<&mut Attempt> {
        self.attempts.last_mut().filter(|attempt| attempt.end.is_none())
    }

    /// The exchange is over: the server span, then those of the attempts.
    pub fn spans<'r>(&'r self, record: &'r Record<'r>) -> impl Iterator<Item = Span> + use<'r> {
        let own = self.own(record);
        let server = self.server(record, own.clone());
        std::iter::once(server).chain(
            self.attempts.iter().enumerate().map(move |(i, attempt)| self.client(record, i, attempt, own.clone())),
        )
    }

    /// The attributes that the settings add.
    fn own(&self, record: &Record<'_>) -> Vec<KeyValue> {
        let each = self.tracer.settings.attributes.iter().zip(&self.received);
        each.filter_map(|(wanted, received)| {
            let value = match &wanted.source {
                Source::Literal(value) => Some(text(value)),
                Source::Fact(fact) => fact.value(record),
                Source::RequestHeader(_) => received.clone(),
                Source::ResponseHeader(name) => record.response.and_then(|head| fact::values(&head.fields, name)),
                Source::Header(name) => received.clone().or_else(|| {
                    record.response.and_then(|head| head.fields.get_name(name.as_bytes())).map(fact::bytes)
                }),
            };
            Some(attribute(&wanted.name, value?))
        })
        .collect()
    }

    fn server(&self, record: &Record<'_>, own: Vec<KeyValue>) -> Span {
        let mut attributes: Vec<KeyValue> = OF_SERVER_SPANS
            .iter()
            .filter_map(|fact| Some(attribute(fact.key(), fact.value(record)?)))
            .chain(ours(record))
            .collect();
        merge(&mut attributes, own);
        let name = match &self.tracer.settings.span_name {
            Some(name) => name.to_string(),
            None => name(record),
        };
        let remote = if self.parent.is_some() { REMOTE } else { 0 };
        Span {
            parent_span_id: self.parent.map(|parent| parent.bytes().to_vec()).unwrap_or_default(),
            flags: self.context.flags() | REMOTE_KNOWN | remote,
            ..self
                .span(self.context.span, SpanKind::Server, name, (record, Duration::ZERO, record.duration))
                .with(attributes, error(record))
        }
    }

    fn client(&self, record: &Record<'_>, index: usize, attempt: &Attempt, own: Vec<KeyValue>) -> Span {
        let before = self.attempts.iter().take(index).filter(|attempt| !attempt.authorises);
        let mut attributes = attempt.attributes(if attempt.authorises { 0 } else { before.count() });
        merge(&mut attributes, own);
        // What closed the exchange may have looked at the clock before what closed the attempt.
        let end = attempt.end.unwrap_or(record.duration).min(record.duration);
        let (name, error) = (attempt.name(), attempt.failure());
        Span {
            parent_span_id: self.context.span.bytes().to_vec(),
            flags: self.context.flags() | REMOTE_KNOWN,
            ..self.span(attempt.span, SpanKind::Client, name, (record, attempt.start, end)).with(attributes, error)
        }
    }

    fn span(&self, id: SpanId, kind: SpanKind, name: String, when: (&Record<'_>, Duration, Duration)) -> Span {
        let (record, start, end) = when;
        Span {
            trace_id: self.context.trace.bytes().to_vec(),
            span_id: id.bytes().to_vec(),
            trace_state: self.state.clone(),
            name,
            kind: kind.into(),
            start_time_unix_nano: nanos(record.start, start),
            end_time_unix_nano: nanos(record.start, end),
            ..Span::default()
        }
    }
}

impl Span {
    /// With attributes and, when there is an error, a status that says so.
    fn with(self, attributes: Vec<KeyValue>, error: Option<String>) -> Span {
        let status = error.map(|_| Status { code: StatusCode::Error.into(), message: String::new() });
        Span { attributes, status, ..self }
    }
}

/// What only this proxy has to say.
fn ours(record: &Record<'_>) -> impl Iterator<Item = KeyValue> {
    let flags = Some(record.flags).filter(|flags| !flags.is_empty()).map(|flags| text(&flags.to_string()));
    let upstream = record.upstream.as_ref();
    let retries = upstream.map(|upstream| i64::from(upstream.attempts) - 1).filter(|retries| *retries > 0);
    let facts = [
        ("fairlead.route", some_text(record.route)),
        ("fairlead.cluster", upstream.and_then(|upstream| some_text(upstream.cluster))),
        ("fairlead.retries", retries.map(int)),
        ("fairlead.response_flags", flags),
        ("fairlead.response_code_details", some_text(record.details)),
    ];
    facts.into_iter().filter_map(|(key, value)| Some(attribute(key, value?)))
}

/// What the settings say wins: a span has no key twice.
fn merge(attributes: &mut Vec<KeyValue>, own: Vec<KeyValue>) {
    attributes.retain(|known| own.iter().all(|new| new.key != known.key));
    attributes.extend(own);
}

/// Method and matched path: few different ones, whatever clients ask for.
fn name(record: &Record<'_>) -> String {
    let method = match fact::method(record.request) {
        "_OTHER" => "HTTP",
        method => method,
    };
    match record.pattern {
        "" => method.to_owned(),
        pattern => format!("{method} {pattern}"),
    }
}

fn nanos(start: Timestamp, after: Duration) -> u64 {
    start.0.saturating_mul(1_000).saturating_add(u64::try_from(after.as_nanos()).unwrap_or(u64::MAX))
}
