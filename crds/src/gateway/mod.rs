//! The Gateway API v1.7.0, experimental channel: one Rust type per upstream definition.
//!
//! Served versions of a kind share one type. Fields that upstream requires are plain, others are `Option`, `Vec` or
//! `BTreeMap`; string types with known values are open enums: every value parses, and an unknown one is `Other`.

#[allow(missing_docs)]
mod generated;
pub(crate) mod macros;

pub use generated::*;

/// The group of upstream's kinds.
pub const GROUP: &str = "gateway.networking.k8s.io";
/// The group of upstream's experimental kinds.
pub const X_GROUP: &str = "gateway.networking.x-k8s.io";

#[cfg(test)]
mod tests;
