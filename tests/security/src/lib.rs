//! The security tests: hostile clients, hostile backends, and what must not leak.
//!
//! Nearly all cases run against the real process. What reaches a backend is judged by one that records each byte and reads as
//! strictly as RFC 9112 allows ([`fairlead_testkit::Backend`]).
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod guarded;

use fairlead_testkit::{Backend, Manifests, Proxy, Version};

pub use guarded::{Got, Guarded};

/// A Gateway on port 80 and one route for every host to a backend.
pub fn manifests(port: u16, http2: bool) -> String {
    Manifests::new().only("all", port, if http2 { Version::H2 } else { Version::H1 }).text()
}

/// A proxy with a recording backend that answers everything.
pub fn recorded() -> (Proxy, Backend) {
    let backend = Backend::answering();
    (Proxy::serve(&manifests(backend.address.port(), false), &[80]), backend)
}
