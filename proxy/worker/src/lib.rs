//! The request path: accept, serve, filter, route, pick, send, reply, record.
//!
//! `accept ─► (TLS) ─► serve ─► exchange { find ─► filter ─► draw ─► attempt ─► filter ─► pump } ─► record`
//! `accept ─► (TLS) ─► l4 { find ─► draw ─► link ─► pump } ─► record`, and the same of datagrams
//!
//! One [`Workers`] per process: threads that share nothing but the newest snapshot (read through an epoch), each with its own event
//! loop, sockets, pools and cells. Knows neither files nor Kubernetes, nor where its snapshots come from.
#![warn(missing_docs)]

mod cause;
mod certificate;
mod connection;
mod date;
mod exchange;
mod l4;
mod serve;
mod timer;
mod tracing;
mod worker;
mod workers;

pub use cause::{Answer, Cause};
pub use exchange::path_policy;
pub use workers::{Settings, Workers};
