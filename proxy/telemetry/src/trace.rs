//! Tracing: W3C trace context, the decision to record, spans, and their way into OTLP messages.
//!
//! ```text
//! snapshot   settings ──► Tracer                      request  traceparent ──► Context ──► Tracer::decide
//! worker     Record, Attempt ──► Tracer::spans ──► SpanBuffer ──(batches)──► exporter ──► otlp::request ──► collector
//! ```
//!
//! A request that is not recorded costs a parse, a random number and at most one header field; it allocates nothing. Attributes
//! are those of OpenTelemetry's semantic conventions for HTTP spans (1.23 and later, stable), and of gRPC calls for RPC (release candidate).

mod attempt;
mod buffer;
mod context;
mod fact;
pub mod otlp;
mod span;
mod tracer;

pub use attempt::Attempt;
pub use buffer::{Batch, SpanBuffer};
pub use context::{Context, SpanId, TraceId, is_tracestate};
pub use fact::Fact;
pub use span::Recording;
pub use tracer::{Attribute, Decision, Protocol, Rate, Settings, Source, Tracer};

#[cfg(test)]
mod tests;
