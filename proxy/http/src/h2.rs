//! HTTP/2 on both sides: the `h2` crate's streams behind the same message model as HTTP/1.
//!
//! ```text
//! serve ─▶ Server ── poll_request ─▶ Leg (one per stream)
//! connect ─▶ (Sender, Driver) ── Sender::leg ─▶ Leg (one per stream)
//! ```
//!
//! A connection is driven by polling [`Server::poll_request`], or by a task that runs the [`Driver`]. WebSockets are
//! extended CONNECTs on the wire (RFC 8441) and look like HTTP/1.1 upgrades to everyone else.

mod client;
mod duplex;
mod head;
mod server;
mod stream;
mod watched;
mod websocket;

pub use ::h2::Reason;
pub use client::{ClientSettings, Driver, Sender, connect};
pub use server::{Accepted, Server, ServerSettings, serve};
pub use stream::{ClientStream, ServerStream};

#[cfg(test)]
pub(crate) use websocket::accept as accept_for_tests;

#[cfg(test)]
mod tests;
