//! The security tests: hostile clients, hostile backends, and what must not leak.
//!
//! Nearly all cases run against the real process. What reaches a backend is judged by one that records each byte and reads as
//! strictly as RFC 9112 allows ([`fairlead_testkit::Backend`]).
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod guarded;

use fairlead_testkit::{Backend, Proxy};

pub use guarded::{Got, Guarded};

/// A Gateway on port 80 and one route for every host to a backend.
pub fn manifests(port: u16, http2: bool) -> String {
    let protocols = if http2 { "  appProtocols: [kubernetes.io/h2c]\n" } else { "" };
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw}}\nspec:\n  gatewayClassName: fairlead\n  \
         listeners:\n    - {{name: http, protocol: HTTP, port: 80}}\n\
         ---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: all}}\nspec:\n  \
         parentRefs: [{{name: gw}}]\n  rules:\n    - backendRefs: [{{group: fairlead.dev, kind: Backend, name: all}}]\n\
         ---\napiVersion: fairlead.dev/v1alpha1\nkind: Backend\nmetadata: {{name: all}}\nspec:\n{protocols}  \
         endpoints: [{{ip: {{address: 127.0.0.1, port: {port}}}}}]\n"
    )
}

/// A proxy with a recording backend that answers everything.
pub fn recorded() -> (Proxy, Backend) {
    let backend = Backend::answering();
    (Proxy::serve(&manifests(backend.address.port(), false), &[80]), backend)
}
