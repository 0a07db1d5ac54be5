//! What many routes add up to: attached routes of listeners, Gateways that reach a backend, routes with notes.

use super::RouteId;
use super::trace::Trace;
use crate::frame::ParentId;
use crate::policy::Target;
use crate::status::ListenerStatus;
use fairlead_store::Key;
use foldhash::{HashMap, HashSet};
use std::collections::BTreeSet;

#[derive(Default)]
pub(super) struct Counts {
    /// Routes by listener.
    attached: HashMap<(ParentId, usize), u32>,
    /// Parents whose numbers changed.
    changed: HashSet<ParentId>,
    /// Routes by target and Gateway.
    reach: HashMap<Target, Gateways>,
    reach_changed: bool,
    noted: BTreeSet<RouteId>,
}

impl Counts {
    /// A route: from the old to the new.
    pub fn swap(&mut self, id: &RouteId, new: &Trace, old: &Trace) {
        if new.attached != old.attached {
            for door in &new.attached {
                *self.attached.entry(door.clone()).or_default() += 1;
                self.changed.insert(door.0.clone());
            }
            for door in &old.attached {
                decrease(&mut self.attached, door);
                self.changed.insert(door.0.clone());
            }
        }
        if new.gateways != old.gateways || new.targets != old.targets {
            for target in &new.targets {
                let gateways = self.reach.entry(target.clone()).or_default();
                for gateway in &new.gateways {
                    self.reach_changed |= gateways.add(gateway);
                }
            }
            for target in &old.targets {
                let Some(gateways) = self.reach.get_mut(target) else { continue };
                for gateway in &old.gateways {
                    self.reach_changed |= gateways.remove(gateway);
                }
                if gateways.0.is_empty() {
                    self.reach.remove(target);
                }
            }
        }
        if new.notes.is_empty() {
            self.noted.remove(id);
        } else {
            self.noted.insert(id.clone());
        }
    }

    pub fn take_changed(&mut self) -> HashSet<ParentId> {
        std::mem::take(&mut self.changed)
    }

    /// Whether some Gateway reaches a backend that it did not, or no longer.
    pub fn take_reach_changed(&mut self) -> bool {
        std::mem::take(&mut self.reach_changed)
    }

    /// Gateways that reach a target, ordered.
    pub fn gateways(&self, target: &Target) -> impl Iterator<Item = &Key> + use<'_> {
        self.reach.get(target).into_iter().flat_map(|gateways| gateways.0.iter().map(|(gateway, _)| gateway))
    }

    pub fn noted(&self) -> &BTreeSet<RouteId> {
        &self.noted
    }

    pub fn fill(&self, parent: &ParentId, listeners: &mut [ListenerStatus]) {
        for (i, listener) in listeners.iter_mut().enumerate() {
            listener.attached_routes = self.attached.get(&(parent.clone(), i)).copied().unwrap_or_default();
        }
    }
}

/// Gateways with the number of their routes, ordered: few, and mostly one.
#[derive(Default)]
struct Gateways(Vec<(Key, u32)>);

impl Gateways {
    /// One route more. Says whether the Gateway is new.
    fn add(&mut self, gateway: &Key) -> bool {
        match self.find(gateway) {
            Ok(at) => {
                self.0[at].1 += 1;
                false
            }
            Err(at) => {
                self.0.reserve_exact(1);
                self.0.insert(at, (gateway.clone(), 1));
                true
            }
        }
    }

    /// One route less. Says whether that was the Gateway's last.
    fn remove(&mut self, gateway: &Key) -> bool {
        let Ok(at) = self.find(gateway) else { return false };
        self.0[at].1 -= 1;
        let last = self.0[at].1 == 0;
        if last {
            self.0.remove(at);
        }
        last
    }

    fn find(&self, gateway: &Key) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.cmp(gateway))
    }
}

fn decrease(map: &mut HashMap<(ParentId, usize), u32>, key: &(ParentId, usize)) {
    if let Some(count) = map.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            map.remove(key);
        }
    }
}
