//! What `status` of each object should say. Shapes and names are those of the Gateway API; who writes them adds
//! `lastTransitionTime` and keeps what belongs to others.

mod conditions;
mod reasons;

pub use conditions::{Condition, ConditionStatus, ConditionType};
pub(crate) use conditions::{Fault, observed};
pub use reasons::Reason;

use fairlead_crds::Kind;
use fairlead_crds::gateway::{GROUP, GatewayStatusAddress, ParentReference, RouteGroupKind};
use fairlead_store::Key;
use imbl::OrdMap;
use serde::Serialize;
use std::sync::Arc;

/// Every status of a Plan. An object that is not here is not ours: nothing of it is written. Cheap to clone; what did not
/// change is the same `Arc` as in the Plan before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatusSet {
    /// By key; those of our controller name.
    pub gateway_classes: OrdMap<Key, Arc<GatewayClassStatus>>,
    /// By key; those of our classes.
    pub gateways: OrdMap<Key, Arc<GatewayStatus>>,
    /// By key; those whose parent is one of our Gateways.
    pub listener_sets: OrdMap<Key, Arc<ListenerSetStatus>>,
    /// ListenerSets whose Gateway does not exist (any more), which may have been ours: for who says that they are attached.
    pub orphans: OrdMap<Key, Arc<ListenerSetStatus>>,
    /// By kind and key; those with a parent of ours.
    pub routes: OrdMap<(Kind, Key), Arc<RouteStatus>>,
    /// BackendTLSPolicies with an ancestor of ours.
    pub policies: OrdMap<(Kind, Key), Arc<PolicyStatus>>,
    /// Our own kinds `Backend` and `RouteFilter`.
    pub objects: OrdMap<(Kind, Key), Arc<ObjectStatus>>,
}

/// Of a GatewayClass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClassStatus {
    /// Accepted and SupportedVersion.
    pub conditions: Vec<Condition>,
    /// Names of `pkg/features`, sorted.
    pub supported_features: Vec<Arc<str>>,
}

/// Of a Gateway.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayStatus {
    /// Where it can be reached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<GatewayStatusAddress>,
    /// Accepted, Programmed, ResolvedRefs; InsecureFrontendValidationMode when it holds.
    pub conditions: Vec<Condition>,
    /// In the order of the spec.
    pub listeners: Vec<ListenerStatus>,
    /// Accepted ones.
    pub attached_listener_sets: u32,
}

/// Of a listener of a Gateway or ListenerSet.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerStatus {
    /// Of the listener.
    pub name: Box<str>,
    /// Kinds of routes that may attach.
    pub supported_kinds: Vec<RouteGroupKind>,
    /// Accepted routes that are attached.
    pub attached_routes: u32,
    /// Accepted, Programmed, ResolvedRefs, Conflicted; OverlappingTLSConfig when it holds.
    pub conditions: Vec<Condition>,
}

/// Of a ListenerSet.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerSetStatus {
    /// Accepted and Programmed.
    pub conditions: Vec<Condition>,
    /// In the order of the spec; empty while the ListenerSet may not attach.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<ListenerStatus>,
}

/// Of a route; our entries only.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteStatus {
    /// One per parentRef that names a parent of ours, in the order of the spec.
    pub parents: Vec<ParentStatus>,
}

/// Of a route towards one parent.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentStatus {
    /// As the route has it.
    pub parent_ref: ParentReference,
    /// Ours.
    pub controller_name: Arc<str>,
    /// Accepted and ResolvedRefs; PartiallyInvalid when it holds.
    pub conditions: Vec<Condition>,
}

/// Of a policy; our entries only.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    /// At most 16, ordered by namespace and name.
    pub ancestors: Vec<AncestorStatus>,
}

/// Of a policy towards one Gateway.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AncestorStatus {
    /// The Gateway.
    pub ancestor_ref: ParentReference,
    /// Ours.
    pub controller_name: Arc<str>,
    /// Accepted and ResolvedRefs.
    pub conditions: Vec<Condition>,
}

impl AncestorStatus {
    /// Of a policy towards this Gateway.
    pub(crate) fn of(gateway: &Key, controller: &Arc<str>, conditions: Vec<Condition>) -> Self {
        let ancestor_ref = ParentReference {
            group: Some(GROUP.to_owned()),
            kind: Some(Kind::Gateway.as_str().to_owned()),
            namespace: Some(gateway.namespace.to_string()),
            name: gateway.name.to_string(),
            ..ParentReference::default()
        };
        AncestorStatus { ancestor_ref, controller_name: controller.clone(), conditions }
    }
}

/// Of an object that has conditions only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStatus {
    /// Accepted.
    pub conditions: Vec<Condition>,
}
