//! HTTP filters: one folder each.
//!
//! SEAM PROPOSED BY THE LEAD for the worker (already used by proxy/worker and proxy/snapshot): keep these signatures, replace the bodies.

use fairlead_http::{Fields, RequestHead, ResponseHead};

/// An answer of a filter's own.
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Header fields, without content-length.
    pub fields: Fields,
    /// Body.
    pub body: Vec<u8>,
    /// Envoy's `%RESPONSE_CODE_DETAILS%`.
    pub details: &'static str,
}

/// What a filter says.
pub enum Verdict {
    /// Go on.
    Next,
    /// Answer this.
    Reply(Box<Reply>),
}

/// What filters see of a request.
pub struct RequestCtx<'a> {
    /// To be changed.
    pub head: &'a mut RequestHead,
    /// Bytes of the path that a prefix match took, without trailing `/`.
    pub prefix_len: Option<usize>,
    /// The listener's port.
    pub listener_port: u16,
    /// Whether the client came by TLS.
    pub https: bool,
}

/// What filters see of a response.
pub struct ResponseCtx<'a> {
    /// To be changed.
    pub head: &'a mut ResponseHead,
    /// The request as it was sent upstream.
    pub request: &'a RequestHead,
}

/// The filters of a rule or backend, in order.
#[derive(Default)]
pub struct Chain(());

/// What can't be compiled.
#[derive(Debug)]
pub struct Problem(pub String);

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Chain {
    /// Compiles.
    pub fn compile(_filters: &[fairlead_ir::Filter]) -> Result<Chain, Problem> {
        Ok(Chain(()))
    }

    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        true
    }

    /// Whether a filter may change the path (the original is then kept for the log).
    pub fn rewrites_path(&self) -> bool {
        false
    }

    /// In order until one answers.
    pub fn on_request(&self, _ctx: &mut RequestCtx<'_>) -> Verdict {
        Verdict::Next
    }

    /// In order.
    pub fn on_response(&self, _ctx: &mut ResponseCtx<'_>) {}
}
