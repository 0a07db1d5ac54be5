//! The admin interface: what the proxy is doing, for people, probes and scrapers.
//!
//! `GET /ready, /metrics, /config, /routes, /listeners, /clusters … ──► AdminState (wired by the binary) ──► text, YAML, JSON`
//!
//! Runs on a thread of its own, so that a scrape of many series costs the workers nothing. Knows no snapshot, pool or
//! connection: it reads the IR and the counters, and calls the closures that it is given. What changes something asks for POST.
//! It is meant for loopback: there it refuses browsers that another site sent. [`Admin::start_public`] serves what others may see.
//! The server itself knows no proxy: [`Admin::serve`] takes any [`Site`], such as the controller's.
#![warn(missing_docs)]

mod clusters;
mod config;
mod endpoints;
mod listeners;
mod public;
mod query;
mod reply;
mod routes;
mod server;
mod site;
mod state;
mod table;

pub use endpoints::logging;
pub use public::PublicState;
pub use query::Query;
pub use reply::Reply;
pub use server::Admin;
pub use site::{Audience, Endpoint, Methods, Site};
pub use state::{AdminState, Readiness};

#[cfg(test)]
mod tests;
