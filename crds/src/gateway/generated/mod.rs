//! Written by `fairlead-crds-generate`; do not edit.

mod backendtlspolicy;
pub mod conditions;
mod gateway;
mod gatewayclass;
mod grpcroute;
mod httproute;
mod listenerset;
mod object_reference;
mod policy;
mod referencegrant;
mod shared;
mod tcproute;
mod tlsroute;
mod udproute;
mod xbackend;
mod xbackendtrafficpolicy;
mod xmesh;
mod xtelemetrypolicy;

pub use backendtlspolicy::*;
pub use gateway::*;
pub use gatewayclass::*;
pub use grpcroute::*;
pub use httproute::*;
pub use listenerset::*;
pub use object_reference::*;
pub use policy::*;
pub use referencegrant::*;
pub use shared::*;
pub use tcproute::*;
pub use tlsroute::*;
pub use udproute::*;
pub use xbackend::*;
pub use xbackendtrafficpolicy::*;
pub use xmesh::*;
pub use xtelemetrypolicy::*;

/// What the generated modules use.
mod prelude {
    pub(super) use std::collections::BTreeMap;

    pub(super) use serde::{Deserialize, Serialize};

    pub(super) use super::*;
    pub(super) use crate::gateway::macros::{kind, open_enum};
    pub(super) use crate::meta;
}
