//! What others than the operator may see, for an address that a cluster reaches: probes and scrapes. Nothing here shows or changes
//! configuration.

use crate::endpoints;
use crate::reply::Reply;
use crate::site::{Audience, Endpoint, Methods, Site};
use crate::state::Readiness;
use fairlead_telemetry::Registry;
use std::sync::Arc;
use tokio::sync::watch;

/// What the public side is made from.
pub struct PublicState {
    /// All numbers.
    pub registry: Arc<Registry>,
    /// Whether the proxy should get traffic.
    pub readiness: watch::Receiver<Readiness>,
}

pub(crate) fn site(state: PublicState) -> Site<PublicState> {
    Site { title: endpoints::TITLE, audience: Audience::Public, endpoints: ENDPOINTS, state }
}

const ENDPOINTS: &[Endpoint<PublicState>] = &[
    Endpoint {
        path: "/ready",
        methods: Methods::Read,
        parameters: &[],
        what: endpoints::READY,
        run: |state, _, _| Ok(endpoints::ready(&state.readiness.borrow())),
    },
    Endpoint {
        path: "/live",
        methods: Methods::Read,
        parameters: &[],
        what: endpoints::LIVE,
        run: |_, _, _| Ok(Reply::live()),
    },
    Endpoint {
        path: "/metrics",
        methods: Methods::Read,
        parameters: &[],
        what: endpoints::METRICS,
        run: |state, _, _| Ok(endpoints::metrics(&state.registry)),
    },
];
