//! IR compiled for the hot path.
//!
//! `Push ──► Compiler ──► Snapshot ──(epoch cell)──► workers`
//!
//! A snapshot is immutable and shared by all workers; what did not change is shared with the one before it. A change of endpoints
//! touches one cluster's entry and compiles nothing. What can't be compiled is rejected one resource at a time, and its last
//! good version stays. Knows nothing of sockets' life, pools or requests in flight.
#![warn(missing_docs)]

mod cell;
mod compiler;
mod listener;
mod route;
mod session;
mod tracing;

pub use cell::Cell;
pub use compiler::{Applied, Compiler};
pub use listener::{Listener, ListenerFilters, Port};
pub use route::{Backend, Route, Target};
pub use session::Session;

use fairlead_ir::Bind;
use fairlead_telemetry::ClusterMetrics;
use fairlead_upstream::{ClusterConfig, EndpointList};
use foldhash::HashMap;
use std::sync::Arc;

/// Everything that is served, compiled.
#[derive(Default)]
pub struct Snapshot {
    /// Of the last push that went into it.
    pub version: u64,
    /// By slot; the slot of a cluster id never changes.
    pub clusters: Vec<Option<Arc<ClusterEntry>>>,
    ports: HashMap<Bind, Arc<Port>>,
}

/// A cluster and where it is now.
pub struct ClusterEntry {
    /// How to speak to it.
    pub config: Arc<ClusterConfig>,
    /// Host names are resolved.
    pub endpoints: Arc<EndpointList>,
    /// Its counters.
    pub metrics: Arc<ClusterMetrics>,
}

impl Snapshot {
    /// What listens on a bind.
    pub fn port(&self, bind: Bind) -> Option<&Arc<Port>> {
        self.ports.get(&bind)
    }

    /// All binds.
    pub fn binds(&self) -> impl Iterator<Item = Bind> {
        self.ports.keys().copied()
    }
}
