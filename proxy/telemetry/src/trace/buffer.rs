//! A worker's spans on their way out: encoded at once, so that what waits is bytes, and bounded.

use super::otlp::{self, Span};
use super::tracer::Tracer;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// Spans of one tracer, encoded.
pub struct Batch {
    /// Whose they are.
    pub tracer: Arc<Tracer>,
    /// `ScopeSpans.spans`, one after the other.
    pub bytes: Vec<u8>,
    /// How many.
    pub spans: u64,
}

/// The spans of a worker that were not handed over yet.
#[derive(Default)]
pub struct SpanBuffer {
    batches: RefCell<Vec<Batch>>,
}

impl SpanBuffer {
    /// Bytes at which a batch is full.
    pub const FULL: usize = 64 * 1024;

    /// Takes a span. Gives the batch when it is full.
    pub fn push(&self, tracer: &Arc<Tracer>, span: &Span) -> Option<Batch> {
        let mut batches = self.batches.borrow_mut();
        let known = batches.iter().position(|batch| Arc::ptr_eq(&batch.tracer, tracer));
        let at = known.unwrap_or_else(|| {
            // Where there is one span there are more.
            let bytes = Vec::with_capacity(Self::FULL + Self::FULL / 16);
            batches.push(Batch { tracer: tracer.clone(), bytes, spans: 0 });
            batches.len() - 1
        });
        let batch = batches.get_mut(at)?;
        otlp::append(span, &mut batch.bytes);
        batch.spans += 1;
        (batch.bytes.len() >= Self::FULL).then(|| batches.swap_remove(at))
    }

    /// All there is.
    pub fn take(&self) -> Vec<Batch> {
        std::mem::take(&mut self.batches.borrow_mut())
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.batches.borrow().is_empty()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("spans", &self.spans).field("bytes", &self.bytes.len()).finish()
    }
}
