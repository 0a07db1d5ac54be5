//! What routes and listeners use, counted, so that the last user takes it out of the configuration.

use crate::endpoints::Origin;
use crate::route::Uses;
use fairlead_ir::{Cluster, Config, Id, Secret};
use foldhash::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::sync::Arc;

/// Users of everything that is shared.
#[derive(Default)]
pub(super) struct Users {
    clusters: Shared<Cluster>,
    pub secrets: Shared<Secret>,
    endpoints: HashMap<Id, (u32, Origin)>,
    /// Endpoints that are used now and were not.
    pub fresh: BTreeSet<Id>,
}

/// Number of users by id.
pub(super) struct Shared<T>(HashMap<Id, u32>, PhantomData<T>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Shared(HashMap::default(), PhantomData)
    }
}

impl<T: PartialEq> Shared<T> {
    /// One user: from using `old` to using `new`. What is equal stays the same `Arc`.
    pub fn swap(&mut self, map: &mut BTreeMap<Id, Arc<T>>, new: &BTreeMap<Id, Arc<T>>, old: &BTreeMap<Id, Arc<T>>) {
        for (id, value) in new {
            *self.0.entry(id.clone()).or_default() += 1;
            match map.get(id) {
                Some(known) if known == value => {}
                _ => {
                    map.insert(id.clone(), value.clone());
                }
            }
        }
        for id in old.keys() {
            if let Some(users) = self.0.get_mut(id) {
                *users -= 1;
                if *users == 0 {
                    self.0.remove(id);
                    map.remove(id);
                }
            }
        }
    }
}

impl Users {
    /// A route: from what it used to what it uses.
    pub fn swap(&mut self, config: &mut Config, new: &Uses, old: &Uses) {
        self.clusters.swap(&mut config.clusters, &new.clusters, &old.clusters);
        self.secrets.swap(&mut config.secrets, &new.secrets, &old.secrets);
        for (id, origin) in &new.endpoints {
            let entry = self.endpoints.entry(id.clone()).or_insert_with(|| {
                self.fresh.insert(id.clone());
                (0, origin.clone())
            });
            entry.0 += 1;
        }
        for id in old.endpoints.keys() {
            if let Some((users, _)) = self.endpoints.get_mut(id) {
                *users -= 1;
                if *users == 0 {
                    self.endpoints.remove(id);
                    self.fresh.remove(id);
                    config.endpoints.remove(id);
                }
            }
        }
    }

    /// Where used endpoints come from.
    pub fn origin(&self, id: &Id) -> Option<&Origin> {
        self.endpoints.get(id).map(|(_, origin)| origin)
    }

    /// All used endpoints.
    pub fn endpoints(&self) -> impl Iterator<Item = (&Id, &Origin)> {
        self.endpoints.iter().map(|(id, (_, origin))| (id, origin))
    }
}

/// Makes `map` equal to `new`, keeping each `Arc` that is equal.
pub(super) fn replace<T: PartialEq>(map: &mut BTreeMap<Id, Arc<T>>, new: &BTreeMap<Id, Arc<T>>) {
    map.retain(|id, _| new.contains_key(id));
    for (id, value) in new {
        match map.get(id) {
            Some(known) if known == value => {}
            _ => {
                map.insert(id.clone(), value.clone());
            }
        }
    }
}
