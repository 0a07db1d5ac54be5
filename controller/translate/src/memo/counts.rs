//! What many routes add up to: attached routes of listeners, Gateways that reach a backend, routes with notes.

use super::RouteId;
use crate::frame::ParentId;
use crate::policy::Target;
use crate::route::RoutePlan;
use crate::status::ListenerStatus;
use fairlead_store::Key;
use foldhash::{HashMap, HashSet};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(super) struct Counts {
    /// Routes by listener.
    attached: HashMap<(ParentId, usize), u32>,
    /// Parents whose numbers changed.
    changed: HashSet<ParentId>,
    /// Routes by target and Gateway.
    reach: HashMap<Target, BTreeMap<Key, u32>>,
    reach_changed: bool,
    noted: BTreeSet<RouteId>,
}

impl Counts {
    /// A route: from the old to the new.
    pub fn swap(&mut self, id: &RouteId, new: &RoutePlan, old: &RoutePlan) {
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
        if new.gateways != old.gateways || new.uses.targets != old.uses.targets {
            for target in &new.uses.targets {
                let gateways = self.reach.entry(target.clone()).or_default();
                for gateway in &new.gateways {
                    let users = gateways.entry(gateway.clone()).or_default();
                    self.reach_changed |= *users == 0;
                    *users += 1;
                }
            }
            for target in &old.uses.targets {
                let Some(gateways) = self.reach.get_mut(target) else { continue };
                for gateway in &old.gateways {
                    if let Some(users) = gateways.get_mut(gateway) {
                        *users -= 1;
                        if *users == 0 {
                            gateways.remove(gateway);
                            self.reach_changed = true;
                        }
                    }
                }
                if gateways.is_empty() {
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
        self.reach.get(target).into_iter().flat_map(|gateways| gateways.keys())
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

fn decrease(map: &mut HashMap<(ParentId, usize), u32>, key: &(ParentId, usize)) {
    if let Some(count) = map.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            map.remove(key);
        }
    }
}
