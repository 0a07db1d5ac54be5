//! OTLP messages, and how a request is put together from spans that are encoded already.

use super::buffer::Batch;
use super::tracer::Tracer;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, message};

#[allow(missing_docs, clippy::all, clippy::unwrap_used, clippy::expect_used)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/opentelemetry.proto.rs"));
}

pub use any_value::Value;
pub use generated::*;

/// Path of OTLP/gRPC.
pub const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// Path of OTLP/HTTP.
pub const HTTP_PATH: &str = "/v1/traces";

/// Numbers of the fields that are put together by hand.
const RESOURCE_SPANS: u32 = 1;
const RESOURCE: u32 = 1;
const SCOPE_SPANS: u32 = 2;
const SCOPE: u32 = 1;
const SPANS: u32 = 2;

/// Appends a span as one of `ScopeSpans.spans`.
pub fn append(span: &Span, out: &mut Vec<u8>) {
    message::encode(SPANS, span, out);
}

/// The encoded `ResourceSpans.resource` and `ScopeSpans.scope` of a tracer.
pub(super) fn preamble(service: &str, version: &str) -> (Vec<u8>, Vec<u8>) {
    let (mut resource, mut scope) = (Vec::new(), Vec::new());
    message::encode(RESOURCE, &Resource { attributes: vec![text("service.name", service)] }, &mut resource);
    let of = InstrumentationScope { name: "fairlead".to_owned(), version: version.to_owned() };
    message::encode(SCOPE, &of, &mut scope);
    (resource, scope)
}

/// An encoded `ExportTraceServiceRequest` with all spans of these batches, which are the tracer's.
pub fn request(tracer: &Tracer, batches: &[Batch]) -> Vec<u8> {
    let spans: usize = batches.iter().map(|batch| batch.bytes.len()).sum();
    let mut out = Vec::with_capacity(spans + tracer.resource.len() + tracer.scope.len() + 32);
    let scope_spans = tracer.scope.len() + spans;
    let mut head = Vec::with_capacity(16);
    encode_key(SCOPE_SPANS, WireType::LengthDelimited, &mut head);
    encode_varint(scope_spans as u64, &mut head);
    encode_key(RESOURCE_SPANS, WireType::LengthDelimited, &mut out);
    encode_varint((tracer.resource.len() + head.len() + scope_spans) as u64, &mut out);
    for part in [&tracer.resource, &head, &tracer.scope] {
        out.extend_from_slice(part);
    }
    for batch in batches {
        out.extend_from_slice(&batch.bytes);
    }
    out
}

/// How many spans a collector's answer says it did not take, and why; `None` when it took all of them.
pub fn rejected(answer: &[u8]) -> Option<(u64, String)> {
    let partial = ExportTraceServiceResponse::decode(answer).ok()?.partial_success?;
    let rejected = u64::try_from(partial.rejected_spans).unwrap_or_default();
    (rejected > 0 || !partial.error_message.is_empty()).then_some((rejected, partial.error_message))
}

/// An attribute whose value is text.
pub fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

/// An attribute whose value is a number.
pub fn number(key: &str, value: impl Into<i64>) -> KeyValue {
    attribute(key, Value::IntValue(value.into()))
}

/// An attribute.
pub fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}
