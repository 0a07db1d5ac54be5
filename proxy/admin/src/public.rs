//! What others than the operator may see, for an address that a cluster reaches: probes and scrapes. Nothing here shows or changes
//! configuration.

use crate::endpoints;
use crate::reply::Reply;
use crate::state::Readiness;
use fairlead_telemetry::Registry;
use http::{Method, StatusCode};
use std::sync::Arc;
use tokio::sync::watch;

/// What the public side is made from.
pub struct PublicState {
    /// All numbers.
    pub registry: Arc<Registry>,
    /// Whether the proxy should get traffic.
    pub readiness: watch::Receiver<Readiness>,
}

/// Answers a request.
pub(crate) fn answer(state: &PublicState, method: &Method, path: &str) -> Reply {
    if !PATHS.contains(&path) {
        return Reply::text(StatusCode::NOT_FOUND, format!("no {path} here; there is: {}", PATHS.join(", ")));
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Reply::method_not_allowed("GET, HEAD");
    }
    match path {
        "/ready" => endpoints::ready(&state.readiness.borrow()),
        "/live" => endpoints::live(),
        _ => endpoints::metrics(&state.registry),
    }
}

const PATHS: [&str; 3] = ["/ready", "/live", "/metrics"];
