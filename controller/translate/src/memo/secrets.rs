//! Which Secrets a Plan depends on: nobody else needs to be read.

use super::Memo;
use crate::reader::Dependency;
use fairlead_crds::Kind;
use fairlead_store::Key;
use std::collections::BTreeSet;

/// Who was asked for.
#[derive(Default)]
pub(super) struct Needed {
    told: Option<BTreeSet<Key>>,
    /// Whether there may be others now.
    pub changed: bool,
}

impl Memo {
    /// See [`Planner::take_secrets`](crate::Planner::take_secrets).
    pub fn take_secrets(&mut self) -> Option<BTreeSet<Key>> {
        if !std::mem::take(&mut self.secrets.changed) {
            return None;
        }
        let listeners = self.entries.values().chain(self.tracing.values()).flat_map(|trace| trace.reads.iter());
        let all = self.frame.reads.iter().chain(self.policies.reads()).chain(&self.telemetry.reads);
        let secret = |(kind, key): &Dependency| (*kind == Kind::Secret).then(|| key.clone());
        let now: BTreeSet<Key> = all.chain(listeners).chain(self.dependents.keys()).filter_map(secret).collect();
        if self.secrets.told.as_ref() == Some(&now) {
            return None;
        }
        self.secrets.told = Some(now.clone());
        Some(now)
    }
}
