//! Heads, bodies, framing, the HTTP/1.1 codec and HTTP/2: one message model for both protocols.
//!
//! It turns a [`fairlead_net::Stream`] into messages and back, and decides once what is a valid message. It knows nothing of
//! routes, clusters or the configuration language.
//!
//! ```text
//! Stream ─▶ h1::Conn / h2 stream ─▶ Leg (server) ─▶ RequestHead, content, trailers ─▶ Leg (client) ─▶ h1::Conn / h2 stream ─▶ Stream
//! ```
//!
//! Everything belongs to one worker: no locks, no tasks, buffers from the worker's free list.

pub mod authority;
mod buf;
mod error;
mod fields;
mod framing;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod h1;
pub mod h2;
pub mod hop;
mod known;
mod leg;
mod limits;
mod method;
pub mod normalize;
mod request;
mod response;
mod target;

pub use error::{Error, ErrorKind, Reject};
pub use fields::{FieldRef, Fields};
pub use framing::{Framing, parse_length};
pub use known::Known;
pub use leg::{Event, Incoming, Leg};
pub use limits::{Limits, Underscores};
pub use method::{Method, Scheme, Version};
pub use request::{RequestHead, Upgrade, is_grpc_type};
pub use response::{ResponseHead, reason};
