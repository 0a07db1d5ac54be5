//! From manifests to sockets: every feature and every mishap, seen by clients of real processes.
//!
//! `Setup::example(topic)` copies `docs/examples/<topic>` and `Setup::manifests(text)` takes manifests of the test's own; both
//! name backends by well-known ports (3000, 3001 …), for which free ones are put in; the ports of listeners are mapped.
//! `start` gives a [`Stage`]: `fairlead serve` and its backends (`fairlead echo`), with clients for them.
#![allow(clippy::expect_used, clippy::unwrap_used)]

pub mod grpc;
pub mod guide;
mod load;
mod stage;

pub use load::{Load, Tally};
pub use stage::{Setup, Stage, pod, repository};
