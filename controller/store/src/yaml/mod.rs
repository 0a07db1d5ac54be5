//! YAML → JSON values with lines; places of fields on demand.
//!
//! JSON files go the same way: JSON is YAML. Scalars mean what they mean to `kubectl`.

mod parse;
mod scalar;
mod spans;
mod split;

pub(crate) use parse::{Document, parse};
pub(crate) use scalar::plain;
pub(crate) use spans::Spans;
pub(crate) use split::{Chunk, split};

/// Where something stands in a chunk of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// From 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// In characters; 0 when it goes on in the next line.
    pub length: u32,
}

/// Why a text is not YAML that we take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Error {
    pub message: String,
    pub mark: Mark,
    /// What to do, where that is known.
    pub help: Option<&'static str>,
}

/// Collections within each other; Kubernetes objects need about 20.
const MAX_DEPTH: usize = 100;

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl Mark {
    fn of(span: &granit_parser::Span) -> Mark {
        let length = if span.start.line() == span.end.line() { span.len() } else { 0 };
        Mark { line: number(span.start.line()), column: number(span.start.col() + 1), length: number(length) }
    }
}

impl Error {
    fn new(message: impl Into<String>, mark: Mark) -> Error {
        Error { message: message.into(), mark, help: None }
    }
}

impl From<granit_parser::ScanError> for Error {
    fn from(error: granit_parser::ScanError) -> Self {
        let marker = error.marker();
        let mark = Mark { line: number(marker.line().max(1)), column: number(marker.col() + 1), length: 1 };
        Error::new(error.info(), mark)
    }
}

fn options() -> granit_parser::Options {
    granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    }
}

#[cfg(test)]
mod tests;
