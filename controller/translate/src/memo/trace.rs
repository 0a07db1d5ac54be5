//! What the memo keeps of a route's plan. There may be a hundred thousand of them: ids only, in slices without room to grow.

use crate::Note;
use crate::frame::ParentId;
use crate::policy::Target;
use crate::reader::Dependency;
use crate::route::{RoutePlan, Uses};
use fairlead_ir::Id;
use fairlead_store::Key;
use std::sync::Arc;

/// What a route put into the configuration and into the counts, so that it can be taken out again. Everything is sorted
/// but `notes`.
#[derive(Default)]
pub(super) struct Trace {
    /// Ids of its rules.
    pub routes: Box<[Id]>,
    pub clusters: Box<[Id]>,
    pub endpoints: Box<[Id]>,
    pub secrets: Box<[Id]>,
    /// What policies could be for.
    pub targets: Box<[Target]>,
    /// Listeners that it is attached to.
    pub attached: Box<[(ParentId, usize)]>,
    /// Gateways that it is attached to.
    pub gateways: Box<[Key]>,
    /// What was looked up.
    pub reads: Box<[Dependency]>,
    pub notes: Box<[Arc<Note>]>,
}

impl Trace {
    /// Of what a Gateway uses by itself.
    pub fn of_gateway(gateway: &Key, uses: &Uses) -> Trace {
        Trace {
            clusters: uses.clusters.keys().cloned().collect(),
            endpoints: uses.endpoints.keys().cloned().collect(),
            secrets: uses.secrets.keys().cloned().collect(),
            targets: uses.targets.iter().cloned().collect(),
            gateways: [gateway.clone()].into(),
            ..Trace::default()
        }
    }

    pub fn of(plan: &RoutePlan) -> Trace {
        Trace {
            routes: sorted(plan.routes.iter().map(|route| &route.id)),
            clusters: plan.uses.clusters.keys().cloned().collect(),
            endpoints: plan.uses.endpoints.keys().cloned().collect(),
            secrets: plan.uses.secrets.keys().cloned().collect(),
            targets: plan.uses.targets.iter().cloned().collect(),
            attached: plan.attached.iter().cloned().collect(),
            gateways: plan.gateways.iter().cloned().collect(),
            reads: sorted(&plan.reads),
            notes: plan.notes.iter().cloned().collect(),
        }
    }
}

/// What is in one sorted slice and not in another.
pub(super) fn only<'s, T: Ord>(these: &'s [T], those: &[T]) -> impl Iterator<Item = &'s T> {
    these.iter().filter(|one| those.binary_search(one).is_err())
}

pub(super) fn sorted<'s, T: Clone + Ord + 's>(all: impl IntoIterator<Item = &'s T>) -> Box<[T]> {
    let mut all: Box<[T]> = all.into_iter().cloned().collect();
    all.sort_unstable();
    all
}
