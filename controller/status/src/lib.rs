//! Writes what a Plan says about objects, as the leader only.
//!
//! ```text
//! Desired{World, StatusSet, versions} ─┐
//! Progress (acks of the proxies) ──────┼──(overlay, gate, merge)──► PATCH …/status     Events
//! Leadership (Lease) ──────────────────┘
//! ```
//!
//! What status says is `translate`'s; here is when it may be said, by whom, and how it gets along with what others have
//! written there: foreign conditions, parents and ancestors stay as they are. Knows nothing of what a listener or route means.

mod desk;
mod events;
mod lease;
mod merge;
mod overlay;
mod standing;
mod writer;

pub use events::{Event, Events, Reporter, Severity};
pub use lease::{Leadership, Lease, Settings as LeaseSettings};
pub use writer::{Counts, Desired, Obstacle, Obstacles, Problem, Settings, Writer};

#[cfg(test)]
mod testing;
