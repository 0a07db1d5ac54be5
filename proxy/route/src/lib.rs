//! Which route takes a request, and why.
//!
//! `ir::Route ──(compile)──► Entry ──► Table (one per listener) ──(find)──► Hit`
//!
//! Pure: no clock, no I/O, no runtime, no HTTP crate. A request is whatever implements [`Request`]; the proxy serves with
//! [`Table::find`] and `fairlead explain` answers with [`Table::explain`], over the same predicates.
//!
//! What wins, in order (HTTPRouteRule, GRPCRouteRule and GEP-1722 in the words of Gateway API v1.7):
//! 1. the listener ([`ListenerIndex`]), then the route's own host name: exact, longest wildcard, none. When no rule of a host
//!    name takes the request, the next host name is asked;
//! 2. within a host name, GRPCRoutes before HTTPRoutes, because they take nothing but gRPC requests;
//! 3. HTTPRoute: exact path, regular expression (longest pattern), longest prefix; then method, most headers, most query
//!    parameters. GRPCRoute: longest service, longest method, most headers (an exact one before a regular expression);
//! 4. the older object, then `<namespace>/<name>`, then the earlier rule.
//!
//! A TLSRoute, TCPRoute or UDPRoute has no predicates: of those on a listener (and, with TLS, of the first host name) the
//! first of 4 takes all connections.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod bucket;
mod bytes;
mod entry;
mod explain;
mod hosts;
mod listeners;
#[cfg(test)]
mod oracle;
mod pattern;
mod place;
mod predicate;
mod problem;
mod query;
mod rank;
mod request;
mod split;
mod table;
#[cfg(test)]
mod tests;

pub use entry::Entry;
pub use explain::{Criterion, Explanation, Miss, Predicate, Taker};
pub use listeners::ListenerIndex;
pub use pattern::Pattern;
pub use problem::Problem;
pub use request::{Connection, Probe, Request};
pub use split::Split;
pub use table::{Hit, Table};
