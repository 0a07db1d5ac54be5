//! World to Plan: what the objects mean, as the Gateway API v1.7 has it.
//!
//! `World ──(class, frame: gateway, listener, listenerset, conflict, fleet)──(policy)──(route: attach, rules, cluster)──► Plan { config, status, fleet, notes }`
//!
//! Pure and total: no clock, no I/O, no failure. Every problem of the input becomes a condition (or a [`Note`]) of the object that
//! has it, and harms no other object. Knows neither sockets nor the proxy's inside: it speaks [`fairlead_ir`].
//!
//! [`plan`] is the meaning; [`Planner`] gives the same with work in proportion to the change. The rules stand at the top of
//! each module; `testdata/<topic>/<case>/{in,ir,status}.yaml` show them.

mod addresses;
mod attach;
mod class;
mod cluster;
mod conflict;
mod duration;
mod endpoints;
mod features;
pub mod fleet;
mod frame;
mod frontend;
mod gateway;
mod host;
mod listener;
mod listener_filters;
mod listenerset;
mod memo;
mod plan;
mod policy;
mod reader;
mod route;
mod selector;
mod session;
mod settings;
pub mod status;
mod tls;
mod tracing;

pub use memo::Planner;
pub use plan::{Note, Plan};
pub use settings::Settings;
pub use status::StatusSet;

use fairlead_store::World;

/// The Plan of a World.
pub fn plan(world: &World, settings: &Settings) -> Plan {
    Planner::new(settings.clone()).plan(world, &[])
}
