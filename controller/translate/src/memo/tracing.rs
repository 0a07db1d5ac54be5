//! XTelemetryPolicies among the other work: a policy uses clusters as a route does, and changes listeners.

use super::Memo;
use super::trace::{Trace, sorted};
use crate::Settings;
use crate::reader::Dependency;
use crate::route::Uses;
use crate::tracing::{Plan, Telemetry};
use fairlead_crds::Kind;
use fairlead_store::{Key, World};
use foldhash::HashSet;
use std::collections::BTreeSet;

impl Memo {
    /// Judges the policies again if anything that they depend on may have changed; says so. `around`: whether policies of backends or
    /// the frame did.
    pub(super) fn refresh_tracing(
        &mut self,
        world: &World,
        settings: &Settings,
        around: bool,
        dirty: &HashSet<Dependency>,
    ) -> bool {
        let concerns = |d: &Dependency| d.0 == Kind::XTelemetryPolicy || self.telemetry.reads.contains(d);
        if !around && !dirty.iter().any(concerns) {
            return false;
        }
        self.telemetry = Telemetry::build(world, &self.frame, &self.policies, settings);
        let keys: BTreeSet<Key> = self.telemetry.plans.keys().chain(self.tracing.keys()).cloned().collect();
        let nothing = Uses::default();
        for key in keys {
            let plan = self.telemetry.plans.get(&key);
            let (new, old) = (plan.map(trace).unwrap_or_default(), self.tracing.remove(&key).unwrap_or_default());
            self.users.swap(&mut self.config, plan.map_or(&nothing, |plan| &plan.uses), &old);
            self.counts.swap(&(Kind::XTelemetryPolicy, key.clone()), &new, &old);
            if plan.is_some() {
                self.tracing.insert(key, new);
            }
        }
        true
    }

    /// Puts the listeners into the configuration.
    pub(super) fn publish_listeners(&mut self) {
        match self.telemetry.traced(&self.frame.listeners) {
            Some(traced) => self.config.replace(&traced),
            None => self.config.replace(&self.frame.listeners),
        }
    }
}

fn trace(plan: &Plan) -> Trace {
    Trace {
        clusters: plan.uses.clusters.keys().cloned().collect(),
        endpoints: plan.uses.endpoints.keys().cloned().collect(),
        secrets: plan.uses.secrets.keys().cloned().collect(),
        targets: plan.uses.targets.iter().cloned().collect(),
        gateways: sorted(&plan.gateways),
        ..Trace::default()
    }
}
