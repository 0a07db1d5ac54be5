//! The push protocol: how configuration gets from the controller to its proxies.
//!
//! ```text
//! publish::Server ──(gRPC over mutual TLS: Chunk, Chunk …)──► Client ──► ir::Push ──► the proxy
//!                 ◄──────────── Hello, Ack ─────────────────        ◄── ack
//! ```
//!
//! Knows resources by kind, id and equality; what they mean is the proxy's business. The envelope is protobuf (`proto/push.proto`),
//! the payload the IR's own serde form as JSON, so that there is one schema and either side may be one minor version ahead.

pub mod cache;
pub mod client;
mod clock;
mod connect;
mod payload;
mod pem;
mod validity;

pub use clock::Clock;
pub use payload::{KINDS, Undecodable, decode, decode_name, encode, encode_name, kind_of};
pub use pem::{PemError, certificate_pem, certificates};
pub use validity::out_of_time;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use std::sync::Arc;
use std::time::Duration;

/// The messages and the service of `proto/push.proto`.
#[allow(missing_docs, clippy::all, clippy::too_many_lines)]
pub mod proto {
    tonic::include_proto!("fairlead.push.v1");
}

/// A side that hears nothing pings after this time …
pub const PING_INTERVAL: Duration = Duration::from_secs(5);
/// … and gives the connection up when the answer takes longer than this.
pub const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that one message may have: a chunk and the largest resource (an EndpointSlice's worth of addresses or a certificate chain).
pub const MAX_MESSAGE: usize = 32 << 20;
/// What the channel speaks over TLS (ALPN).
pub const ALPN: &[u8] = b"h2";

/// The cryptography of the channel.
pub fn crypto() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
