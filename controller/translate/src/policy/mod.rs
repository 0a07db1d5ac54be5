//! What attaches to the backends that routes refer to, and the backends that have such settings of their own.

mod backend_tls;
pub(crate) mod targets;
mod traffic;
mod validation;
mod xbackend;

pub(crate) use targets::Target;
pub(crate) use traffic::Traffic;
pub(crate) use validation::BackendTls;
pub(crate) use xbackend::{Place, XBackendPlan};

use crate::frame::Context;
use crate::reader::{Dependency, Reader};
use crate::status::{AncestorStatus, Condition, PolicyStatus};
use crate::tls::Vault;
use crate::{Note, Settings};
use backend_tls::TlsPolicies;
use fairlead_crds::Kind;
use fairlead_store::{Key, World};
use foldhash::HashSet;
use std::collections::BTreeMap;
use std::sync::Arc;
use traffic::TrafficPolicies;
use xbackend::XBackends;

/// All of them, judged. Made anew as a whole when one of them changes, or what one of them reads; routes see it target by
/// target, and only those whose targets came out different are looked at again.
#[derive(Default)]
pub(crate) struct Policies {
    tls: TlsPolicies,
    traffic: TrafficPolicies,
    xbackends: XBackends,
}

/// Kinds that it is made of.
const KINDS: [Kind; 3] = [Kind::BackendTLSPolicy, Kind::XBackendTrafficPolicy, Kind::XBackend];

/// Of a policy; an XBackend may have twice as many, which nobody needs.
const MAX_ANCESTORS: usize = 16;

impl Policies {
    pub fn build(world: &World, settings: &Settings, vault: &mut Vault) -> Self {
        let tls = TlsPolicies::build(world, settings, vault);
        let traffic = TrafficPolicies::build(world);
        // None that holds for an XBackend depends on another policy.
        let none = Policies::default();
        let mut context = Context {
            reader: Reader::new(world),
            vault,
            policies: &none,
            settings,
            secrets: BTreeMap::new(),
            node_services: HashSet::default(),
        };
        Policies { tls, traffic, xbackends: XBackends::build(&mut context) }
    }

    /// Whether a change of this makes them stale.
    pub fn depend_on(&self, on: &Dependency) -> bool {
        KINDS.contains(&on.0)
            || self.tls.reads.contains(on)
            || self.traffic.reads.contains(on)
            || self.xbackends.reads.contains(on)
    }

    /// All that was looked up.
    pub fn reads(&self) -> impl Iterator<Item = &Dependency> {
        self.tls.reads.iter().chain(&self.traffic.reads).chain(&self.xbackends.reads)
    }

    /// Targets for which something else holds than before.
    pub fn differing(&self, old: &Policies) -> HashSet<Target> {
        let mut differing = HashSet::default();
        differences(&self.tls.targets, &old.tls.targets, &mut differing);
        differences(&self.traffic.targets, &old.traffic.targets, &mut differing);
        differences(&self.xbackends.plans, &old.xbackends.plans, &mut differing);
        differing
    }

    /// What BackendTLSPolicies say of a port of a target.
    pub fn tls(&self, target: &Target, section: Option<&str>) -> Option<&Result<Arc<BackendTls>, String>> {
        self.tls.of(target, section)
    }

    /// What an XBackendTrafficPolicy says of a target.
    pub fn traffic(&self, target: &Target) -> Option<&Arc<Traffic>> {
        self.traffic.targets.get(target)
    }

    /// An XBackend; `Err` when it can't be used.
    pub fn xbackend(&self, target: &Target) -> Option<&Result<Arc<XBackendPlan>, String>> {
        self.xbackends.plans.get(target)
    }

    pub fn notes(&self) -> impl Iterator<Item = &Arc<Note>> {
        self.tls.notes.iter().chain(&self.traffic.notes).chain(&self.xbackends.notes)
    }

    /// Statuses of all that some Gateway uses. `gateways` gives, ordered, those that reach a target.
    pub fn status<'g, I>(
        &self,
        controller: &Arc<str>,
        gateways: impl Fn(&Target) -> I,
    ) -> BTreeMap<(Kind, Key), PolicyStatus>
    where
        I: Iterator<Item = &'g Key>,
    {
        let mut all = BTreeMap::new();
        let mut add = |kind: Kind, key: &Key, targets: &[Target], conditions: &[Condition]| {
            let mut ancestors: Vec<&Key> = targets.iter().flat_map(&gateways).collect();
            ancestors.sort();
            ancestors.dedup();
            let each = ancestors.into_iter().take(MAX_ANCESTORS);
            let ancestors: Vec<_> =
                each.map(|gateway| AncestorStatus::of(gateway, controller, conditions.to_vec())).collect();
            if !ancestors.is_empty() {
                all.insert((kind, key.clone()), PolicyStatus { ancestors });
            }
        };
        for (key, (targets, conditions)) in self.tls.verdicts() {
            add(Kind::BackendTLSPolicy, key, targets, conditions);
        }
        for (key, (targets, conditions)) in self.traffic.verdicts() {
            add(Kind::XBackendTrafficPolicy, key, targets, conditions);
        }
        for (target, conditions) in self.xbackends.verdicts() {
            add(Kind::XBackend, &target.1, std::slice::from_ref(target), &conditions);
        }
        all
    }
}

fn differences<V: PartialEq>(new: &BTreeMap<Target, V>, old: &BTreeMap<Target, V>, into: &mut HashSet<Target>) {
    into.extend(
        old.iter().filter(|(target, value)| new.get(*target) != Some(*value)).map(|(target, _)| target.clone()),
    );
    into.extend(new.keys().filter(|target| !old.contains_key(*target)).cloned());
}
