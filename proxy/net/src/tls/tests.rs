//! Real handshakes over loopback sockets.

#![allow(clippy::unwrap_used)]

mod client;
mod identity;
mod server;
