//! The access log: a record per exchange, in Envoy's words.
//!
//! `AccessLog::parse(format)` compiles a format once; `AccessLog::write(&record, &mut batch)` then appends one line and
//! allocates nothing. Operators are those of Envoy (`configuration/observability/access_log/usage`), as far as their facts
//! exist here; the default is JSON with the keys of Envoy Gateway.

mod certificate;
mod escape;
mod fact;
mod format;
mod header;
mod moment;
mod operator;
mod parse;
mod record;
mod sink;
mod stamp;

pub use certificate::Certificate;
pub use format::{AccessLog, DEFAULT_JSON, DEFAULT_TEXT};
pub use moment::{Moment, Timeline};
pub use parse::FormatError;
pub use record::{Needs, Record, Upstream};
pub use sink::{LogSink, LogTarget, LogWriter};

#[cfg(test)]
mod tests;
