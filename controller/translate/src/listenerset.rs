//! ListenerSets: listeners that others add to a Gateway (GEP-1713).
//!
//! * The Gateway's `allowedListeners` says from which namespaces; the default is none: `NotAllowed`.
//! * `Accepted` is false when the Gateway is not accepted (`ParentNotAccepted`) or no listener is fit to serve
//!   (`ListenersNotValid`); `Programmed` follows, and is `ParentNotProgrammed` when the Gateway is not programmed.
//! * One whose Gateway does not exist is nobody's; should its status still say that it is attached, that is put right.
//! * Grants are judged from the ListenerSet's own namespace and kind; validation of clients comes from the Gateway.

use crate::frame::{Context, age};
use crate::gateway::{self, GatewayDraft};
use crate::listener::{self, Draft, Owner, Spec};
use crate::status::{Condition, ConditionType, Fault, ListenerSetStatus, Reason, observed};
use fairlead_crds::Kind;
use fairlead_crds::gateway::{GROUP, ListenerSet};
use fairlead_store::{Key, World};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A ListenerSet on its way through the checks.
pub(crate) struct SetDraft {
    pub key: Key,
    generation: Option<i64>,
    /// Why it may not attach.
    pub refused: Option<Fault>,
    pub listeners: Vec<Draft>,
}

/// ListenerSets by the Gateway that they name; the older first, then by namespace and name.
pub(crate) fn by_gateway(world: &World) -> BTreeMap<Key, Vec<(&Key, &Arc<ListenerSet>)>> {
    let mut sets: BTreeMap<Key, Vec<_>> = BTreeMap::new();
    for (key, set) in world.all::<ListenerSet>().iter() {
        let parent = &set.spec.parent_ref;
        let kind =
            Kind::of_group(parent.group.as_deref().unwrap_or(GROUP), parent.kind.as_deref().unwrap_or("Gateway"));
        if kind == Some(Kind::Gateway) {
            let namespace = parent.namespace.as_deref().unwrap_or(&key.namespace);
            sets.entry(Key::new(namespace, parent.name.as_str())).or_default().push((key, set));
        }
    }
    for sets in sets.values_mut() {
        sets.sort_by(|(a, x), (b, y)| age(&x.metadata).cmp(&age(&y.metadata)).then_with(|| a.cmp(b)));
    }
    sets
}

/// Reads a ListenerSet of one of our Gateways.
pub(crate) fn draft<'a>(
    key: &Key,
    set: &'a ListenerSet,
    gateway: &GatewayDraft,
    context: &mut Context<'a, '_>,
) -> SetDraft {
    let refused = (!gateway.allowed_listeners.take(&key.namespace, &mut context.reader)).then(|| {
        let message = format!(
            "Gateway {} takes no ListenerSets of namespace {}; see its spec.allowedListeners",
            gateway.key, key.namespace
        );
        Fault::new(Reason::NotAllowed, "spec.parentRef", message)
    });
    let owner = Owner {
        kind: Kind::ListenerSet,
        key,
        frontend: &gateway.frontend,
        client_certificate: gateway.client_certificate.as_ref(),
    };
    let listeners = match refused {
        Some(_) => Vec::new(),
        None => set
            .spec
            .listeners
            .iter()
            .enumerate()
            .map(|(i, l)| listener::draft(&Spec::from(l), i, &owner, context))
            .collect(),
    };
    SetDraft { key: key.clone(), generation: set.metadata.generation, refused, listeners }
}

/// The status of a ListenerSet whose Gateway does not exist.
pub(crate) fn orphan(set: &ListenerSet, gateway: &Key) -> ListenerSetStatus {
    let message = format!("there is no Gateway {gateway}; nothing serves this ListenerSet");
    let conditions = vec![
        Condition::new(ConditionType::Accepted, false, Reason::ParentNotAccepted, message.as_str()),
        Condition::new(ConditionType::Programmed, false, Reason::ParentNotProgrammed, message),
    ];
    ListenerSetStatus { conditions: observed(conditions, set.metadata.generation), listeners: Vec::new() }
}

impl SetDraft {
    /// Why it is not accepted.
    pub fn accepted(&self, gateway: &GatewayDraft) -> Option<Fault> {
        if self.refused.is_some() {
            return self.refused.clone();
        }
        if !gateway.accepted() {
            return Some(Fault::new(Reason::ParentNotAccepted, "", format!("Gateway {} is not accepted", gateway.key)));
        }
        let dead = !self.listeners.iter().any(Draft::fit);
        dead.then(|| {
            Fault::new(
                Reason::ListenersNotValid,
                "",
                format!("no listener is usable: {}", gateway::problems(&self.listeners)),
            )
        })
    }

    pub fn status(&self, gateway: &GatewayDraft) -> ListenerSetStatus {
        let rejected = self.accepted(gateway);
        let out = gateway::problems(&self.listeners);
        let accepted = match &rejected {
            None if !out.is_empty() => {
                Condition::new(ConditionType::Accepted, true, Reason::ListenersNotValid, format!("Not served: {out}"))
            }
            fault => {
                Condition::of(ConditionType::Accepted, fault.as_ref(), Reason::Accepted, "The ListenerSet is attached")
            }
        };
        let unprogrammed = rejected.map(|fault| match fault.reason {
            Reason::ParentNotAccepted => Fault { reason: Reason::ParentNotProgrammed, ..fault },
            _ => fault,
        });
        let unprogrammed = unprogrammed.or_else(|| {
            let parent = gateway.unprogrammed()?;
            Some(Fault::new(
                Reason::ParentNotProgrammed,
                "",
                format!("Gateway {} is not programmed: {parent}", gateway.key),
            ))
        });
        let unprogrammed = unprogrammed.or_else(|| {
            let dead = !self.listeners.iter().any(Draft::programmed);
            dead.then(|| Fault::new(Reason::PortUnavailable, "", "no socket could be opened; the listeners say why"))
        });
        let conditions = vec![
            accepted,
            Condition::of(
                ConditionType::Programmed,
                unprogrammed.as_ref(),
                Reason::Programmed,
                "The ListenerSet is served",
            ),
        ];
        ListenerSetStatus {
            conditions: observed(conditions, self.generation),
            listeners: self.listeners.iter().map(|l| l.status(self.generation, gateway.unserved().as_ref())).collect(),
        }
    }
}
