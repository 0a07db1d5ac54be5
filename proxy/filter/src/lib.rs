//! HTTP filters: one folder each.
//!
//! `ir::Filter ──(compile)──► Filter, in a Chain ──(on_request)──► Verdict … (on_response)──► the head that goes to the client`
//!
//! A filter sees heads and never bodies, does not wait, and knows neither routes nor clusters. All constants are compiled once; what
//! a filter writes goes into the memory that the head already has. Where a service has a say, the chain stops and says what to ask.
//! Each folder has the same leaves: `mod.rs` with `compile` and the steps that the filter takes part in, and `tests.rs`.
//!
//! Order is data: a chain runs as listed, the rule's before the backend's; responses pass the backend's first.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod chain;
mod check;
mod cors;
mod direct;
mod external_auth;
mod headers;
mod mirror;
mod path;
mod redirect;
mod rewrite;
#[cfg(test)]
mod tests;

pub use chain::{Chain, Reply, RequestCtx, ResponseCtx, Stop, Verdict};
pub use external_auth::{Additions, Decision, ExternalAuth, Facts, Grant};
pub use fairlead_route::Problem;
pub use mirror::Mirror;
