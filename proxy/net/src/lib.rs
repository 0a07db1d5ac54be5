//! Sockets, listeners and TLS: the lowest crate of the proxy.
//!
//! It turns addresses and key material into byte streams and knows nothing of HTTP, of routes, or of the
//! configuration language. Nothing here takes a lock or allocates once a connection is established.
//!
//! ```text
//! listen ──▶ accept ──▶ (read ahead) ──▶ tls::read_hello ──▶ Hello::accept ──▶ Stream     downstream
//! bind_udp_group ──▶ Datagrams                                                                 downstream
//!            connect_tcp, connect_unix ──▶ tls::connect ─────────────────────▶ Stream     upstream
//!            connect_udp ──▶ UdpLink                                                           upstream
//! Stream ──▶ Pipe ──▶ Stream                                        plain to plain, uncopied
//! ```
//!
//! A connection belongs to one worker for life. Only an [`Accepted`] socket, which is not yet registered with a
//! runtime, may move to another worker.

#![allow(unsafe_code)]

mod accept;
mod connect;
mod descriptors;
mod listen;
pub mod memory;
mod splice;
mod stream;
#[cfg(test)]
mod testing;
pub mod tls;
mod udp;

pub use accept::{Accepted, Listener};
pub use connect::{ConnectOptions, connect_tcp, connect_unix};
pub use descriptors::lift_descriptor_limit;
pub use listen::{ListenError, ListenErrorKind, ListenOptions, listen_tcp, listen_tcp_group};
pub use splice::Pipe;
pub use stream::{Prefixed, Stream};
pub use udp::{Datagrams, MAX_DATAGRAM, Path, UdpLink, bind_udp_group, connect_udp};
