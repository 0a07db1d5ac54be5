//! Sockets, listeners and TLS: the lowest crate of the proxy.
//!
//! It turns addresses and key material into byte streams and knows nothing of HTTP, of routes, or of the
//! configuration language. Nothing here takes a lock or allocates once a connection is established.
//!
//! ```text
//! listen ──▶ accept ──▶ (read ahead) ──▶ tls::server ──▶ Stream        downstream
//!            connect ──▶ tls::client ──────────────────▶ Stream        upstream
//! ```
//!
//! Connections belong to one worker for life. Only a socket (accepted, not yet registered with a
//! runtime) may move to another worker.

mod stream;

pub use stream::{Prefixed, Stream};
