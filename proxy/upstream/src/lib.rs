//! Clusters, balancers, pools and DNS: from "this cluster" to a connection that may carry a request.
//!
//! ```text
//! control   ir::Cluster ──► ClusterConfig ─┐          ir::Endpoints + dns::Resolver ──► EndpointList
//! worker    Cluster ◄──────────────────────┴──────────────────────────────────────────────┘
//!           Cluster::pick ──► Pick ──► try_checkout, checkout ──► Upstream { Leg } ──► finish
//!                                  └─► link, link_udp ──► Link { Stream | UdpLink }       what is not HTTP
//! ```
//!
//! What the control side compiles is `Send + Sync` and shared by all workers; a [`Cluster`] belongs to one worker, and everything
//! under it is `Rc` and `Cell`: no lock, and nothing allocated for a pick, a checkout of a pooled connection and its return. Knows
//! neither routes nor filters; what an exchange does with its connection is the worker's business. Semantics follow Envoy's
//! (circuit breakers, least request, strict DNS), except where a comment says otherwise.
#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod balance;
mod budget;
mod cluster;
mod config;
mod connect;
pub mod dns;
mod endpoint;
mod error;
mod h1;
mod h2;
mod lease;
mod link;
mod list;
mod session;
#[cfg(test)]
mod testing;
mod waiters;

pub use budget::RetryBudget;
pub use cluster::{Cluster, Pick, RetryPermit, RetryRefused};
pub use config::{ClusterConfig, Problem, Thresholds, Want};
pub use connect::Connected;
pub use endpoint::{Eligibility, Endpoint};
pub use error::{ConnectError, ConnectErrorKind};
pub use lease::{Checkout, Upstream};
pub use link::Link;
pub use list::{Address, EndpointList, Target};
pub use session::{SessionKey, Tag, TokenText};
